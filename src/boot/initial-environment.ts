/** The saved boot state that a new device begins with, for environments that the boot script itself keeps. */
import { encodeEnvironment } from '../formats/uboot-env.ts';
import type { Board, EnvironmentLocation, RollbackScheme } from './board.ts';
import { initialState } from './profiles.ts';

/** Nothing on trial, nothing to roll back to, under the names of the profile. */
export function initialVariables(rollback: RollbackScheme): ReadonlyMap<string, string> {
  return initialState(rollback.profile ?? 'ostree', rollback.attempts);
}

/** One copy of the environment. */
export interface InitialCopy {
  readonly location: EnvironmentLocation;
  readonly bytes: Uint8Array;
}

/**
 * The copies at the board's places for them, the newer one first. None where U-Boot keeps its own environment, which
 * the script saves at the first start, so that U-Boot's defaults are in it; and none where nothing is kept.
 */
export function initialEnvironments(board: Board, rollback: RollbackScheme): readonly InitialCopy[] {
  const { environment } = board;
  if (environment.kind !== 'raw' && environment.kind !== 'fat-file') return [];
  const variables = initialVariables(rollback);
  const { location } = environment;
  const second = environment.kind === 'raw' ? environment.redundant : undefined;
  if (second === undefined) {
    return [{ location, bytes: encodeEnvironment(variables, { size: location.size, redundant: false }) }];
  }
  return [location, second].map((place, index) => ({
    location: place,
    bytes: encodeEnvironment(variables, { size: place.size, redundant: true }, { flag: 1 - index }),
  }));
}

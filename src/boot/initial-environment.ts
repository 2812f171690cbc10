/** The saved boot state that a new device begins with, for environments that the boot script itself keeps. */
import { encodeEnvironment } from '../formats/uboot-env.ts';
import type { Board, RollbackScheme } from './board.ts';

/** Nothing on trial, nothing to roll back to. */
export function initialVariables(rollback: RollbackScheme): ReadonlyMap<string, string> {
  return new Map([
    ['bootcount', '0'],
    ['bootlimit', String(rollback.attempts)],
    ['rollback', '0'],
    ['upgrade_available', '0'],
  ]);
}

/** The bytes at the board's place for them; undefined when U-Boot keeps its own environment, or nothing does. */
export function initialEnvironment(board: Board, rollback: RollbackScheme): Uint8Array | undefined {
  const { environment } = board;
  if (environment.kind !== 'raw' && environment.kind !== 'fat-file') return undefined;
  return encodeEnvironment(initialVariables(rollback), { size: environment.location.size, redundant: false });
}

import type { Config } from '../config/types.ts';
import { versionProblem } from '../config/names.ts';
import { TreewrightError } from '../core/errors.ts';

/** Refuses a version of the command line that cannot be one, before any work is done for it. */
export function checkGivenVersion(given: string | undefined): void {
  const problem = given === undefined ? undefined : versionProblem(given);
  if (problem === undefined) return;
  throw new TreewrightError('usage/bad-version', `${JSON.stringify(given)} cannot be a version: ${problem}`, {
    data: { version: given ?? '' },
  });
}

/** The version of a release: given on the command line, written in the configuration, or told by the build. */
export function chooseVersion(
  given: string | undefined,
  config: Config,
  fromSource: string | undefined,
): string {
  checkGivenVersion(given);
  const version = given ?? (config.version.kind === 'literal' ? config.version.version : fromSource);
  if (version === undefined) {
    throw new TreewrightError(
      'input/no-version',
      `the build does not say which version it is; set "version:" in ${config.file} or give --version`,
    );
  }
  const problem = versionProblem(version);
  if (problem === undefined) return version;
  throw new TreewrightError(
    'input/bad-version',
    `${JSON.stringify(version)} cannot be a version: ${problem}`,
    { data: { version } },
  );
}

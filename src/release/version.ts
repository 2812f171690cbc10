import type { Config } from '../config/types.ts';
import { versionProblem } from '../config/names.ts';
import { TreewrightError } from '../core/errors.ts';
import { openStore } from '../platform/store.ts';
import type { VersionedContent } from './content.ts';
import { differenceFrom } from './content.ts';
import { readManifest } from './read-manifest.ts';
import type { ReleaseSession } from './session.ts';

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

/**
 * The version itself while it is free, else `<version>-build.<n>`. The newest of these stays when it has this content:
 * a build that is run again without a change makes no new release.
 */
export async function nextVersion(
  { releases, output, targets }: Pick<ReleaseSession, 'releases' | 'output' | 'targets'>,
  version: string,
  content: VersionedContent,
): Promise<string> {
  const numbers = releases.map((release) => ({ release, number: buildNumber(release.version, version) }));
  const newest = numbers
    .filter(({ number }) => number > 0)
    .sort((a, b) => a.number - b.number)
    .at(-1);
  if (newest === undefined) return version;
  const published = await readManifest(openStore(output), targets, newest.release);
  if (differenceFrom(published, content) === undefined) return newest.release.version;
  return `${version}-build.${newest.number + 1}`;
}

/** 1 for the version itself, n for its `-build.<n>`, 0 for any other. */
function buildNumber(version: string, base: string): number {
  if (version === base) return 1;
  const prefix = `${base}-build.`;
  return version.startsWith(prefix) && /^[1-9]\d{0,8}$/.test(version.slice(prefix.length))
    ? Number(version.slice(prefix.length))
    : 0;
}

/** `treewright diff`: what two releases have installed, compared. */
import type { Config } from '../config/types.ts';
import { TreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import type { OpenedCatalog } from './open-release.ts';
import { openCatalog } from './open-release.ts';
import type { PackageDocument } from './packages.ts';
import { readPackages } from './packages.ts';
import { readManifest } from './read-manifest.ts';
import type { SizeDifference } from './size-difference.ts';
import { compareSizes } from './size-difference.ts';

export interface DiffOptions {
  readonly config: Config;
  /** The release directory, or the URL of one; the configuration's when absent. */
  readonly release?: string;
  /** A version; the release before `to` when absent. */
  readonly from?: string;
  /** The newest release when absent. */
  readonly to?: string;
  readonly events: EventSink;
  readonly now: Date;
}

/** Throws `usage/no-such-version`, `input/no-packages` for a release that did not keep them, and `trust/...`. */
export async function diffReleases(options: DiffOptions): Promise<SizeDifference> {
  const catalog = await openCatalog(options);
  const to = catalog.find(options.to);
  const from =
    options.from === undefined
      ? catalog.releases[catalog.releases.indexOf(to) - 1]
      : catalog.find(options.from);
  if (from === undefined) {
    throw new TreewrightError(
      'usage/no-such-version',
      `${to.version} is the first release of ${options.config.ostree.branch}: there is none to compare it with`,
    );
  }
  return compareSizes(await installed(catalog, from.version), await installed(catalog, to.version));
}

async function installed(
  { store, targets, find }: OpenedCatalog,
  version: string,
): Promise<{ readonly version: string; readonly document: PackageDocument }> {
  const document = await readPackages(store, await readManifest(store, targets, find(version)));
  if (document !== undefined) return { version, document };
  throw new TreewrightError(
    'input/no-packages',
    `release ${version} in ${store.location} has no packages.json: it was made by an earlier version of treewright, ` +
      'and cannot be compared',
    { data: { version } },
  );
}

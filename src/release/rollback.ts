/**
 * `treewright rollback`: the tree of an earlier release as a new one. OSTree clients refuse to go back to an
 * older commit, so the way back is a new commit with the old tree and a newer timestamp.
 */
import type { Config } from '../config/types.ts';
import { TreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import { lookup } from '../formats/gvariant.ts';
import { openStore } from '../platform/store.ts';
import { readCommit } from '../repo/read.ts';
import { metadataString } from '../repo/refs.ts';
import { readPackages } from './packages.ts';
import type { ReleaseReport } from './publish-content.ts';
import { publishContent } from './publish-content.ts';
import { readManifest } from './read-manifest.ts';
import { withSession } from './session.ts';
import { checkGivenVersion, chooseVersion } from './version.ts';

export interface RollbackOptions {
  readonly config: Config;
  /** The version whose tree comes back. */
  readonly to: string;
  /** The new release's version; default `<to>-rollback.<n>`. */
  readonly as?: string;
  readonly output?: string;
  readonly events: EventSink;
  readonly now: Date;
  /** Called before a pointer moves; what it throws stops the work with nothing published. */
  readonly checkpoint?: () => void;
}

export async function rollbackRelease(options: RollbackOptions): Promise<ReleaseReport> {
  checkGivenVersion(options.as);
  return withSession(options, async (session) => {
    const { releases, config, targets, repo, output } = session;
    const entry = releases.find(
      ({ version, branch }) => version === options.to && branch === config.ostree.branch,
    );
    if (entry === undefined) {
      const known = releases.map(({ version }) => version);
      throw new TreewrightError(
        'usage/no-such-version',
        `${options.to} is not a release of ${config.ostree.branch} in ${output}; ` +
          (known.length === 0 ? 'there are none' : `there are: ${known.join(', ')}`),
        { data: { version: options.to, known } },
      );
    }
    const newest = releases.at(-1);
    const commit = await readCommit(openStore(repo), entry.commit);
    const manifest = await readManifest(openStore(output), targets, entry);
    const taken = new Set(releases.map(({ version }) => version));
    let number = 1;
    while (taken.has(`${options.to}-rollback.${number}`)) number++;
    if (newest?.version === entry.version) {
      throw new TreewrightError(
        'usage/already-newest',
        `${options.to} is the newest release of ${config.ostree.branch} already: there is nothing to roll back`,
      );
    }
    // Unless it is the newest: then a run that was killed right after publishing is completed.
    if (options.as !== undefined && taken.has(options.as) && newest?.version !== options.as) {
      throw new TreewrightError(
        'usage/version-exists',
        `${options.as} is a release of ${output} already, and devices do not go back to it: give the way back a ` +
          'version of its own with --as, or leave the choice to treewright',
        { data: { version: options.as } },
      );
    }
    const packages = await readPackages(openStore(output), manifest);
    const kernelRelease = metadataString(commit.metadata, 'ostree.linux');
    const architecture = metadataString(commit.metadata, 'ostree.architecture');
    const bootable = lookup(commit.metadata, 'ostree.bootable', 'b') === true;
    return publishContent(session, () =>
      Promise.resolve({
        version: chooseVersion(options.as ?? `${options.to}-rollback.${number}`, config, undefined),
        root: { rootTree: commit.rootTree, rootMeta: commit.rootMeta },
        layout: manifest.ostree.layout,
        ...(bootable && kernelRelease !== undefined ? { kernelRelease } : {}),
        ...(architecture === undefined ? {} : { architecture }),
        kargs: manifest.boot?.kargs ?? config.boot.kargs,
        source: manifest.source,
        ...(packages === undefined ? {} : { packages }),
        rollbackOf: entry.version,
        // Their artifacts are still in the release directory: nothing removes what a release names.
        apps: manifest.apps,
      }),
    );
  });
}

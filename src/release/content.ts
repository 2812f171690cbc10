/** What a release is made of, before it has a commit: a tree from a build, or that of an earlier release. */
import type { RootChecksums } from '../repo/commit.ts';
import type { Transaction } from '../repo/transaction.ts';
import type { ManifestApp, ReleaseManifest } from './manifest.ts';
import type { PackageDocument } from './packages.ts';

export interface ReleaseContent {
  readonly version: string;
  readonly root: RootChecksums;
  readonly layout: string;
  readonly kernelRelease?: string;
  readonly architecture?: string;
  readonly kargs: readonly string[];
  readonly source: ReleaseManifest['source'];
  readonly rollbackOf?: string;
  /** What is installed; absent for the tree of a release that did not tell. */
  readonly packages?: PackageDocument;
  /** Paths of files about the build that become part of the release. */
  readonly documents?: readonly string[];
  /** The apps, whose blobs are in the release directory. */
  readonly apps: readonly ManifestApp[];
}

/** What a version stands for on a device: nobody who has it is told of a change of these. */
export type VersionedContent = Pick<ReleaseContent, 'root' | 'apps' | 'kargs'>;

function names(apps: readonly ManifestApp[]): string {
  return apps
    .map(({ name, digest }) => `${name}@${digest}`)
    .sort()
    .join(' ');
}

/** What of `content` is not as `published` has it, for people; undefined when all is the same. */
export function differenceFrom(published: ReleaseManifest, content: VersionedContent): string | undefined {
  const { rootTree, rootMeta } = published.ostree;
  if (rootTree !== content.root.rootTree || rootMeta !== content.root.rootMeta) return 'another tree';
  if (names(published.apps) !== names(content.apps)) return 'other apps';
  const { boot } = published;
  return boot === undefined || boot.kargs.join('\0') === content.kargs.join('\0')
    ? undefined
    : 'other kernel arguments';
}

/** Stages the content's objects and says what it is. */
export type ContentProvider = (transaction: Transaction) => Promise<ReleaseContent>;

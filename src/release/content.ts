/** What a release is made of, before it has a commit: a tree from a build, or that of an earlier release. */
import type { RootChecksums } from '../repo/commit.ts';
import type { Transaction } from '../repo/transaction.ts';
import type { PackageFact } from '../sources/types.ts';
import type { ManifestApp, ReleaseManifest } from './manifest.ts';

export interface ReleaseContent {
  readonly version: string;
  readonly root: RootChecksums;
  readonly layout: string;
  readonly kernelRelease?: string;
  readonly architecture?: string;
  readonly kargs: readonly string[];
  readonly source: ReleaseManifest['source'];
  readonly rollbackOf?: string;
  /** What the build installed, as far as it says. */
  readonly packages?: readonly PackageFact[];
  /** Paths of files about the build that become part of the release. */
  readonly documents?: readonly string[];
  /** The apps, written to the release directory by the time this resolves. */
  readonly apps: () => Promise<ManifestApp[]>;
}

/** Stages the content's objects and says what it is. */
export type ContentProvider = (transaction: Transaction) => Promise<ReleaseContent>;

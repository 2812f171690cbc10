/** What a commit costs to download object by object. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import { openStore } from '../platform/store.ts';
import { objectPath } from './paths.ts';
import { listObjects } from './read.ts';

export interface CommitSize {
  /** Objects a client without any of them fetches, the commit included. */
  readonly objects: number;
  /** Their sizes as stored, in bytes. */
  readonly bytes: number;
}

/** Counts every object of a commit once. */
export async function commitSize(repo: string, commit: Checksum): Promise<CommitSize> {
  const { dirtrees, dirmetas, files } = await listObjects(openStore(repo), commit);
  const paths = [
    objectPath(commit, 'commit'),
    ...[...dirtrees].map((checksum) => objectPath(checksum, 'dirtree')),
    ...[...dirmetas].map((checksum) => objectPath(checksum, 'dirmeta')),
    ...[...files.keys()].map((checksum) => objectPath(checksum, 'file')),
  ];
  const sizes = await Promise.all(paths.map(async (path) => (await stat(join(repo, path))).size));
  return { objects: paths.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

/** Takes a commit over from another archive repository on this machine. */
import { copyFile, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { drain } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import { forEachConcurrent } from '../core/concurrency.ts';
import { makeDirectories, temporaryName } from '../platform/files.ts';
import { openStore } from '../platform/store.ts';
import { canSyncFileSystem, syncFileSystem } from '../platform/sync.ts';
import { requireWhole } from './partial.ts';
import { objectPath } from './paths.ts';
import { listObjects, readContent, readDirMeta } from './read.ts';
import { checkRepository } from './repository.ts';

const CONCURRENCY = 8;

/**
 * Copies a commit with everything it reaches, the commit itself last, so that it is there as a whole or not at all.
 * Every object is checked against its checksum. Both are paths of archive repositories. Throws
 * `input/no-repository`, `input/missing-commit`, `input/partial-commit`, `trust/...` for a corrupt object.
 */
export async function copyCommit(from: string, to: string, commit: Checksum): Promise<void> {
  await checkRepository(from);
  await requireWhole(from, commit);
  const store = openStore(from);
  // Walking reads and checks every dirtree.
  const { dirtrees, dirmetas, files } = await listObjects(store, commit);
  for (const dirmeta of dirmetas) await readDirMeta(store, dirmeta);
  await forEachConcurrent(files.keys(), CONCURRENCY, async (file) => {
    await drain((await readContent(store, file)).chunks);
  });
  const paths = [
    ...[...files.keys()].map((checksum) => objectPath(checksum, 'file')),
    ...[...dirmetas].map((checksum) => objectPath(checksum, 'dirmeta')),
    ...[...dirtrees].map((checksum) => objectPath(checksum, 'dirtree')),
  ];
  await forEachConcurrent(paths, CONCURRENCY, (path) => copyObject(join(from, path), join(to, path)));
  if (await canSyncFileSystem(to)) await syncFileSystem(to);
  await copyObject(join(from, objectPath(commit, 'commit')), join(to, objectPath(commit, 'commit')));
}

async function copyObject(from: string, to: string): Promise<void> {
  if ((await stat(to).catch(() => undefined)) !== undefined) return;
  await makeDirectories(dirname(to));
  const temporary = temporaryName(to);
  await copyFile(from, temporary);
  await rename(temporary, to);
}

/** The directory `releases/<version>`: written beside its place and renamed into it as a whole. */
import { createHash, randomBytes } from 'node:crypto';
import { link, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import { systemErrorCode } from '../core/errors.ts';
import { syncDirectory } from '../platform/files.ts';
import { canSyncFileSystem, syncFileSystem } from '../platform/sync.ts';
import { hashedTargetPath } from '../formats/tuf.ts';
import type { ManifestFile } from './manifest.ts';
import { manifestTarget, releaseDirectory } from './manifest.ts';

const TEMPORARY_PREFIX = '.tw-tmp-';

/** Removes half-written release directories. Only the holder of the lock may call this. */
export async function removeStaleReleaseDirectories(output: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(join(output, 'releases'));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw error;
  }
  for (const name of names) {
    if (name.startsWith(TEMPORARY_PREFIX)) await rm(join(output, 'releases', name), { recursive: true });
  }
}

/** A file's name within the release directory, with its content. */
export type ReleaseFile = readonly [path: string, content: Uint8Array];

/**
 * Puts `releases/<version>` in place with release.json and the other files. A directory already there is one
 * that no TUF metadata names, left by a run that was killed: it is replaced.
 */
export async function writeReleaseDirectory(
  output: string,
  version: string,
  manifest: Uint8Array,
  files: Iterable<ReleaseFile>,
): Promise<void> {
  const final = join(output, releaseDirectory(version));
  const parent = dirname(final);
  const temporary = join(parent, `${TEMPORARY_PREFIX}${randomBytes(8).toString('hex')}`);
  await mkdir(temporary, { recursive: true });
  try {
    for (const [path, content] of [...files, ['release.json', manifest] as const]) {
      await mkdir(dirname(join(temporary, path)), { recursive: true });
      await writeFile(join(temporary, path), content, { flush: true });
    }
    // The name under which TUF clients that honour consistent snapshots fetch the target.
    const hashed = basename(hashedTargetPath(manifestTarget(version), sha256(manifest)));
    await link(join(temporary, 'release.json'), join(temporary, hashed));
    if (await canSyncFileSystem(temporary)) await syncFileSystem(temporary);
    await rm(final, { recursive: true, force: true });
    await rename(temporary, final);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  await syncDirectory(parent);
}

/** How the manifest names a file. */
export function manifestFile(path: string, content: Uint8Array): ManifestFile {
  return { path, size: content.length, sha256: sha256(content) };
}

export function sha256(bytes: Uint8Array): Checksum {
  return createHash('sha256').update(bytes).digest('hex') as Checksum;
}

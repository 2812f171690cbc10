/** Files that appear whole or not at all. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { systemErrorCode } from '../core/errors.ts';

/** Marks temporary files so that a later run may remove what a killed one left. */
const TEMPORARY_PREFIX = '.tw-tmp-';

/** A sibling of `path` with a random name; random because process ids repeat across containers sharing a volume. */
export function temporaryName(path: string): string {
  return join(dirname(path), `${TEMPORARY_PREFIX}${randomBytes(8).toString('hex')}-${basename(path)}`);
}

/**
 * Makes a directory and its missing parents. Node's own recursive mkdir tries forever where a parent is there and
 * refuses names with ENOENT, as /proc does.
 */
export async function makeDirectories(path: string): Promise<void> {
  try {
    await mkdir(path);
    return;
  } catch (error) {
    if (await isDirectory(path)) return;
    if (systemErrorCode(error) !== 'ENOENT' || dirname(path) === path) throw error;
  }
  await makeDirectories(dirname(path));
  try {
    await mkdir(path);
  } catch (error) {
    if (!(await isDirectory(path))) throw error;
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes `path` so that a crash leaves either the old file or the whole new one: random temporary name,
 * fsync, rename, fsync of the directory. Missing parents are made.
 */
export async function writeFileAtomic(
  path: string,
  content: Uint8Array | string,
  options: { mode?: number } = {},
): Promise<void> {
  await makeDirectories(dirname(path));
  const temporary = temporaryName(path);
  try {
    const handle = await open(temporary, 'wx', options.mode ?? 0o644);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** The whole file, or undefined when it is absent. For files whose size we determine ourselves. */
export async function readFileIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Removes temporary files that a killed run left in `directory`. Only the holder of its lock may call this. */
export async function removeStaleTemporaries(directory: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw error;
  }
  for (const name of names) {
    if (name.startsWith(TEMPORARY_PREFIX)) await unlink(join(directory, name));
  }
}

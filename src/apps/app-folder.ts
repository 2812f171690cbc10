/** What of an app's folder goes into its archive, and the checks that keep everything else out. */
import { lstat, open, readdir, readlink, realpath } from 'node:fs/promises';
import { constants } from 'node:fs';
import { join, posix, sep } from 'node:path';
import { compareUtf8, fromUtf8 } from '../core/bytes.ts';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import type { IgnoreRules } from './ignore-rules.ts';
import { IGNORE_FILE } from './ignore-rules.ts';

/** composeapp's limits for one file and for all (app.go, AppBundleFileMaxSize and AppBundleMaxSize), in bytes. */
const MAX_FOLDER_SIZE = 1024 * 1024 * 1024;
const MAX_ENTRIES = 100_000;
const MAX_DEPTH = 64;

export interface FolderEntry {
  /** Relative, with `/`. */
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'symlink';
  /** Permission bits. */
  readonly mode: number;
  /** Bytes; 0 for anything but files. */
  readonly size: number;
  readonly target?: string;
}

function refuse(path: string, reason: string): TreewrightError {
  return new TreewrightError('input/bad-app-file', `${path} cannot go into the app: ${reason}`, {
    data: { path },
  });
}

/** True for `directory` itself, too. Both are real paths. */
function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory + sep);
}

/**
 * Entries in the order of their paths' bytes. Throws `input/bad-app-file` for what has no place in an app, and for
 * anything in one of the directories `keepOut`: an app is public, and its folder may be that of the whole project.
 */
export async function listAppFolder(
  folder: string,
  ignored: IgnoreRules,
  keepOut: readonly string[] = [],
): Promise<FolderEntry[]> {
  const root = await realpath(folder);
  const forbidden = (await Promise.all(keepOut.map((path) => realpath(path).catch(() => path)))).filter(
    (path) => isWithin(path, root),
  );
  const entries: FolderEntry[] = [];
  let total = 0;
  const visit = async (directory: string, depth: number): Promise<void> => {
    if (depth > MAX_DEPTH)
      throw refuse(join(folder, directory), `it lies more than ${MAX_DEPTH} directories deep`);
    for (const raw of await readdir(join(root, directory), { encoding: 'buffer' })) {
      const name = fromUtf8(raw);
      if (name === undefined) throw refuse(join(folder, directory, raw.toString()), 'its name is not UTF-8');
      const path = posix.join(directory, name);
      const inside = await describe(root, folder, path);
      const skip = ignored.matches(path);
      if (!skip && forbidden.some((secret) => isWithin(join(root, path), secret))) {
        throw refuse(
          join(folder, path),
          'it holds signing keys or releases, and an app is public; give the app a folder of its own, ' +
            `or name this one in ${IGNORE_FILE}`,
        );
      }
      // An exception further down may bring back part of an ignored directory.
      if (inside.kind === 'directory' && (!skip || ignored.hasExceptions)) await visit(path, depth + 1);
      if (skip) continue;
      if (inside.kind === 'symlink') await checkLink(root, folder, inside);
      entries.push(inside);
      total += inside.size;
      if (entries.length > MAX_ENTRIES) throw refuse(folder, `it holds more than ${MAX_ENTRIES} files`);
      if (total > MAX_FOLDER_SIZE) {
        throw refuse(
          join(folder, path),
          `with it the app has more than the ${MAX_FOLDER_SIZE} bytes composeapp accepts`,
        );
      }
    }
  };
  await visit('', 0);
  return entries.sort((a, b) => compareUtf8(a.path, b.path));
}

async function describe(root: string, folder: string, path: string): Promise<FolderEntry> {
  const stat = await lstat(join(root, path));
  if (stat.isFile()) return { path, kind: 'file', mode: reproducibleMode(stat.mode), size: stat.size };
  if (stat.isDirectory()) return { path, kind: 'directory', mode: reproducibleMode(stat.mode), size: 0 };
  if (stat.isSymbolicLink()) {
    return { path, kind: 'symlink', mode: 0o777, size: 0, target: await readlink(join(root, path)) };
  }
  throw refuse(join(folder, path), 'it is neither a file nor a directory nor a symbolic link');
}

/**
 * The write bit of the group follows the umask of whoever checked the folder out and would change the digest from
 * machine to machine. It stays only where everybody may write, which no usual umask gives.
 */
function reproducibleMode(mode: number): number {
  return (mode & 0o002) === 0 ? mode & 0o755 : mode & 0o777;
}

async function checkLink(root: string, folder: string, { path, target = '' }: FolderEntry): Promise<void> {
  if (posix.isAbsolute(target))
    throw refuse(join(folder, path), `it is a link to the absolute path ${target}`);
  const lexical = posix.normalize(posix.join(posix.dirname(path), target));
  if (lexical === '..' || lexical.startsWith('../'))
    throw refuse(join(folder, path), `it is a link to ${target}, outside the app's folder`);
  let real: string;
  try {
    real = await realpath(join(root, path));
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENOTDIR') {
      throw refuse(join(folder, path), `it is a link to ${target}, which does not exist`);
    }
    throw error;
  }
  // Through other links the way may lead elsewhere than its text says.
  if (!isWithin(real, root))
    throw refuse(join(folder, path), `it is a link that leads to ${real}, outside the app's folder`);
}

/** The bytes of a listed file; rejects when it was exchanged or changed its size since. */
export async function* readAppFile(folder: string, entry: FolderEntry): AsyncGenerator<Uint8Array> {
  const handle = await open(join(folder, entry.path), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    let left = entry.size;
    for await (const chunk of handle.createReadStream({ autoClose: false }) as AsyncIterable<Uint8Array>) {
      left -= chunk.length;
      if (left < 0) break;
      yield chunk;
    }
    if (left !== 0) throw refuse(join(folder, entry.path), 'it changed while it was read');
  } finally {
    await handle.close();
  }
}

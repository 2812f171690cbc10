/** Making and opening an archive repository. */
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import { makeDirectories, writeFileAtomic } from '../platform/files.ts';

/**
 * What `ostree init --mode=archive` writes (`archive-z2` is the name all versions of libostree read), and that
 * delta-indexes/ is kept, so that a client that pulls by commit hash finds its delta without the summary.
 */
const CONFIG = '[core]\nrepo_version=1\nmode=archive-z2\nindexed-deltas=true\n';

const DIRECTORIES = ['objects', 'tmp', 'state', 'extensions', 'refs/heads', 'refs/mirror', 'refs/remotes'];

/** Makes the repository when `path` holds none; refuses a repository in another mode. */
export async function ensureRepository(path: string): Promise<void> {
  const config = join(path, 'config');
  let text: string | undefined;
  try {
    text = await readFile(config, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
  if (text === undefined) {
    await makeDirectories(path);
    await requireNothingElse(path);
    for (const directory of DIRECTORIES) await mkdir(join(path, directory), { recursive: true });
    // The config comes last: a directory without it is not a repository yet, and the next run makes it one.
    await writeFileAtomic(config, CONFIG);
    return;
  }
  requireArchiveMode(path, text);
  for (const directory of DIRECTORIES) await mkdir(join(path, directory), { recursive: true });
}

function requireArchiveMode(path: string, config: string): void {
  const mode = /^\s*mode\s*=\s*(\S+)\s*$/m.exec(config)?.[1] ?? 'bare';
  if (mode === 'archive-z2' || mode === 'archive') return;
  throw new TreewrightError(
    'input/bad-repository',
    `${path} is an OSTree repository in mode "${mode}"; treewright knows mode "archive" only: name another directory`,
    { data: { path, mode } },
  );
}

/**
 * A run that was killed may have left a part of a repository behind. Anything else means a mistyped name: objects
 * would be strewn into somebody's home, or into the very root filesystem that is to be committed.
 */
async function requireNothingElse(path: string): Promise<void> {
  const ours = new Set(DIRECTORIES.map((directory) => directory.split('/')[0]));
  const other = (await readdir(path)).find(
    (name) =>
      !ours.has(name) &&
      !name.startsWith('.') &&
      !name.startsWith('treewright.lock') &&
      name !== 'lost+found',
  );
  if (other === undefined) return;
  throw new TreewrightError(
    'input/not-a-repository',
    `${path} holds other things (such as ${JSON.stringify(other)}) and is not an OSTree repository; name an empty or a new directory`,
    { data: { path } },
  );
}

/** False when the repository's config says `fsync=false`, as for libostree: for scratch repositories. */
export async function wantsSync(path: string): Promise<boolean> {
  const text = await readFile(join(path, 'config'), 'utf8');
  return !/^\s*fsync\s*=\s*(false|0)\s*$/m.test(text);
}

/** Refuses a path that is not an OSTree repository, or one in another mode. */
export async function checkRepository(path: string): Promise<void> {
  let config: string;
  try {
    config = await readFile(join(path, 'config'), 'utf8');
  } catch (error) {
    throw new TreewrightError(
      'input/no-repository',
      `${path} is not an OSTree repository: it has no file "config"`,
      { cause: error, data: { path } },
    );
  }
  requireArchiveMode(path, config);
}

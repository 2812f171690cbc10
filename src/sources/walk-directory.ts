/** Reads a directory through Node, for hosts without GNU tar. */
import type { BigIntStats } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { compareUtf8, concatBytes, fromUtf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';
import type { ContentSink, Directory, RegularFile, Stat, StoredContent, Xattr } from '../tree/types.ts';
import { emptyDirectory, emptyTree } from '../tree/walk.ts';
import type { ReadDirectoryOptions } from './read-directory.ts';
import { createGroup, specialFiles } from './grouped.ts';
import type { RawTree } from './read-tar.ts';
import { isVolatile } from './read-tar.ts';
import { readXattrs } from './read-xattrs.ts';

/** Names looked at and files read at the same time. */
const PARALLEL = 16;
const BUFFERED = 1 << 20;
const CHUNK = 1 << 20;
const PROGRESS_FILES = 500;

interface PendingFile {
  readonly path: string;
  readonly stat: Stat;
  readonly seen: BigIntStats;
  readonly places: { readonly directory: Directory; readonly name: string }[];
}

export async function walkDirectory(
  root: string,
  sink: ContentSink,
  options: ReadDirectoryOptions,
): Promise<RawTree> {
  const { layout, owner, facts, events } = options;
  const xattrs = await readXattrs(root);
  const special = createGroup();
  const tree = emptyTree();
  const files = new Map<string, PendingFile>();

  const statOf = (seen: BigIntStats, path: string): Stat => ({
    uid: owner === 'root' ? 0 : Number(seen.uid),
    gid: owner === 'root' ? 0 : Number(seen.gid),
    mode: Number(seen.mode),
    xattrs: xattrs?.get(path) ?? NO_XATTRS,
  });

  const descend = async (directory: Directory, parts: readonly string[]): Promise<void> => {
    const here = [root, ...parts].join('/');
    const names = (await readdir(here, { encoding: 'buffer' })).map((bytes) => utf8Name(bytes, here));
    names.sort(compareUtf8);
    const stats = await inParallel(names, (name) => lstat(`${here}/${name}`, { bigint: true }));
    for (const [at, name] of names.entries()) {
      const seen = stats[at];
      const below = [...parts, name];
      const path = below.join('/');
      if (seen === undefined || isVolatile(layout, below)) continue;
      const stat = statOf(seen, path);
      if (seen.isDirectory()) {
        const child = emptyDirectory(stat);
        directory.entries.set(name, child);
        await descend(child, below);
      } else if (seen.isSymbolicLink()) {
        const target = utf8Name(await readlink(`${here}/${name}`, { encoding: 'buffer' }), `${here}/${name}`);
        directory.entries.set(name, { kind: 'symlink', stat, target });
      } else if (seen.isFile()) {
        const key = seen.nlink > 1n ? `${seen.dev}:${seen.ino}` : path;
        const known = files.get(key);
        if (known === undefined) files.set(key, { path, stat, seen, places: [{ directory, name }] });
        else known.places.push({ directory, name });
      } else special.add(`/${path} (${kindOf(seen)})`);
    }
  };

  tree.root.stat = statOf(await lstat(`${root}/.`, { bigint: true }), '');
  await descend(tree.root, []);
  let done = 0;
  await inParallel([...files.values()], async (file) => {
    const content = await store(`${root}/${file.path}`, file, sink, facts);
    const node: RegularFile = { kind: 'file', stat: file.stat, content };
    for (const { directory, name } of file.places) directory.entries.set(name, node);
    if (++done % PROGRESS_FILES === 0 || done === files.size) {
      events({ type: 'progress', stage: 'sources', what: 'read', done, total: files.size, unit: 'items' });
    }
  });
  return {
    tree,
    diagnostics: [
      ...specialFiles(special),
      ...(xattrs !== undefined
        ? []
        : [
            {
              severity: 'warning' as const,
              code: 'input/no-xattrs' as const,
              message:
                `xattrs of ${root} could not be read, because neither GNU tar nor getfattr is on PATH; ` +
                'install tar, or attr, or give a tar archive',
            },
          ]),
    ],
  };
}

const NO_XATTRS: readonly Xattr[] = [];

async function store(
  path: string,
  file: PendingFile,
  sink: ContentSink,
  facts: ReadDirectoryOptions['facts'],
): Promise<StoredContent> {
  const size = Number(file.seen.size);
  const chunks = readStable(path, file.seen);
  const content = size <= BUFFERED ? await whole(chunks) : chunks;
  const watched = facts.watch(file.path, size, content);
  const stored = await sink.put(file.stat, size, watched.content);
  watched.stored(stored.checksum);
  return stored;
}

async function whole(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return concatBytes(parts);
}

function kindOf(seen: BigIntStats): string {
  if (seen.isSocket()) return 'socket';
  if (seen.isFIFO()) return 'FIFO';
  return seen.isBlockDevice() ? 'block device' : 'character device';
}

/** A file's content; rejects when the file is not what was seen, or changes meanwhile. */
async function* readStable(path: string, seen: BigIntStats): AsyncGenerator<Uint8Array> {
  const changed = (): TreewrightError =>
    new TreewrightError(
      'input/changed-while-read',
      `${path} changed while it was read; let the build finish first`,
      {
        data: { path },
      },
    );
  const handle = await open(path, 'r');
  try {
    let at = 0;
    for (;;) {
      const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK, Math.max(1, Number(seen.size) - at + 1)));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) break;
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    const now = await handle.stat({ bigint: true });
    if (
      BigInt(at) !== seen.size ||
      now.mtimeNs !== seen.mtimeNs ||
      now.ino !== seen.ino ||
      now.dev !== seen.dev
    ) {
      throw changed();
    }
  } finally {
    await handle.close();
  }
}

function utf8Name(bytes: Uint8Array, where: string): string {
  const name = fromUtf8(bytes);
  if (name !== undefined) return name;
  throw new TreewrightError(
    'input/bad-path',
    `${where} has a name that is not valid UTF-8 (${JSON.stringify(Buffer.from(bytes).toString('latin1'))}), ` +
      'and OSTree stores UTF-8 names only; rename the file in the build',
  );
}

/** Results in the order of the items, with a bounded number of them under way. */
async function inParallel<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const run = async (): Promise<void> => {
    for (;;) {
      const at = next++;
      const item = items[at];
      if (at >= items.length || item === undefined) return;
      results[at] = await work(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, items.length) }, run));
  return results;
}

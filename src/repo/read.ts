/** Reading an archive repository. Nothing is trusted: every object is checked against its checksum as it is read. */
import { createHash } from 'node:crypto';
import { createInflateRaw, inflateRawSync } from 'node:zlib';
import { Readable } from 'node:stream';
import type { Checksum } from '../core/checksum.ts';
import { isChecksum } from '../core/checksum.ts';
import { forEachConcurrent } from '../core/concurrency.ts';
import { TreewrightError, isTreewrightError } from '../core/errors.ts';
import type { Commit, DirTree, FilezHeader, ObjectStat } from '../formats/ostree-objects.ts';
import {
  FILEZ_PREFIX,
  MAX_METADATA_SIZE,
  decodeCommit,
  decodeDirMeta,
  decodeDirTree,
  decodeFilezHeader,
  encodeContentHeader,
  filezHeaderLength,
} from '../formats/ostree-objects.ts';
import type { ByteStore } from '../platform/store.ts';
import type { ObjectType } from './paths.ts';
import { objectPath, refPath } from './paths.ts';

function missing(store: ByteStore, checksum: Checksum, type: ObjectType): TreewrightError {
  return new TreewrightError(
    'trust/missing-object',
    `${type} object ${checksum} is missing from ${store.location}`,
    {
      data: { checksum, type, path: objectPath(checksum, type) },
    },
  );
}

function corrupt(
  store: ByteStore,
  checksum: Checksum,
  type: ObjectType,
  why: string,
  cause?: unknown,
): TreewrightError {
  return new TreewrightError(
    'trust/corrupt-object',
    `${type} object ${checksum} in ${store.location} is corrupt: ${why}`,
    { cause, data: { checksum, type, path: objectPath(checksum, type) } },
  );
}

/** The bytes of a metadata object, whose SHA-256 is its checksum. */
export async function readMetadata(
  store: ByteStore,
  checksum: Checksum,
  type: Exclude<ObjectType, 'file'>,
): Promise<Uint8Array> {
  const bytes = await store.read(objectPath(checksum, type), MAX_METADATA_SIZE);
  if (bytes === undefined) throw missing(store, checksum, type);
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== checksum) throw corrupt(store, checksum, type, `its bytes hash to ${found}`);
  return bytes;
}

async function readDecoded<T>(
  store: ByteStore,
  checksum: Checksum,
  type: Exclude<ObjectType, 'file'>,
  decode: (bytes: Uint8Array) => T,
): Promise<T> {
  const bytes = await readMetadata(store, checksum, type);
  try {
    return decode(bytes);
  } catch (error) {
    throw corrupt(store, checksum, type, error instanceof Error ? error.message : String(error), error);
  }
}

export function readCommit(store: ByteStore, checksum: Checksum): Promise<Commit> {
  return readDecoded(store, checksum, 'commit', decodeCommit);
}

export function readDirTree(store: ByteStore, checksum: Checksum): Promise<DirTree> {
  return readDecoded(store, checksum, 'dirtree', decodeDirTree);
}

export function readDirMeta(store: ByteStore, checksum: Checksum): Promise<ObjectStat> {
  return readDecoded(store, checksum, 'dirmeta', decodeDirMeta);
}

/** A content object: its metadata and, for a regular file, its uncompressed bytes. */
export interface ContentObject {
  readonly stat: ObjectStat;
  /** Empty for a regular file. */
  readonly symlinkTarget: string;
  readonly size: number;
  /** Can be iterated once; rejects at its end when size or checksum do not fit. Empty for a symlink. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/**
 * Opens a content object. The header alone is not verified until `chunks` has been read to its end,
 * so whoever acts on `stat` must read the content first.
 */
export async function readContent(store: ByteStore, checksum: Checksum): Promise<ContentObject> {
  const stream = await store.stream(objectPath(checksum, 'file'));
  if (stream === undefined) throw missing(store, checksum, 'file');
  const source = stream[Symbol.asyncIterator]();
  try {
    const { header, rest } = await readHeader(source);
    return {
      stat: header.stat,
      symlinkTarget: header.symlinkTarget,
      size: header.size,
      chunks: verifiedChunks(store, checksum, header, rest, source),
    };
  } catch (error) {
    await source.return?.();
    // What the bytes say is corruption; that they could not be fetched is not.
    if (isTreewrightError(error) && !error.code.startsWith('input/')) throw error;
    throw corrupt(store, checksum, 'file', error instanceof Error ? error.message : String(error), error);
  }
}

/** What most headers fit into: xattrs make them longer. */
const USUAL_HEADER = 512;

/**
 * Owner, mode, xattrs, size and symlink target of a content object, without its content. Only reading the content
 * verifies it (`readContent`).
 */
export async function readContentHeader(
  store: ByteStore,
  checksum: Checksum,
): Promise<Omit<ContentObject, 'chunks'>> {
  const path = objectPath(checksum, 'file');
  let bytes = await store.head(path, USUAL_HEADER);
  if (bytes === undefined) throw missing(store, checksum, 'file');
  try {
    if (bytes.length < FILEZ_PREFIX)
      throw new TreewrightError('input/truncated', 'the file ends in its header');
    const length = filezHeaderLength(bytes);
    if (length > bytes.length) bytes = (await store.head(path, length)) ?? bytes;
    const { stat, symlinkTarget, size } = decodeFilezHeader(bytes);
    return { stat, symlinkTarget, size };
  } catch (error) {
    throw corrupt(store, checksum, 'file', error instanceof Error ? error.message : String(error), error);
  }
}

async function readHeader(
  source: AsyncIterator<Uint8Array>,
): Promise<{ header: FilezHeader; rest: Uint8Array }> {
  let buffered: Uint8Array = new Uint8Array(0);
  const need = async (length: number): Promise<void> => {
    while (buffered.length < length) {
      const next = await source.next();
      if (next.done === true) throw new TreewrightError('input/truncated', 'the file ends in its header');
      buffered = buffered.length === 0 ? next.value : Buffer.concat([buffered, next.value]);
    }
  };
  await need(FILEZ_PREFIX);
  await need(filezHeaderLength(buffered));
  const header = decodeFilezHeader(buffered);
  return { header, rest: buffered.subarray(header.dataOffset) };
}

async function* verifiedChunks(
  store: ByteStore,
  checksum: Checksum,
  header: FilezHeader,
  rest: Uint8Array,
  source: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256').update(encodeContentHeader(header.stat, header.symlinkTarget));
  const isFile = header.symlinkTarget === '';
  let size = 0;
  try {
    for await (const chunk of isFile ? inflate(header, rest, source) : remaining(rest, source)) {
      size += chunk.length;
      // A small object must not be able to inflate without end.
      if (size > header.size)
        throw corrupt(store, checksum, 'file', `it holds more than its ${header.size} bytes`);
      hash.update(chunk);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof TreewrightError) throw error;
    throw corrupt(store, checksum, 'file', error instanceof Error ? error.message : String(error), error);
  } finally {
    await source.return?.();
  }
  if (size !== header.size) {
    throw corrupt(store, checksum, 'file', `it holds ${size} bytes, its header says ${header.size}`);
  }
  const found = hash.digest('hex');
  if (found !== checksum) throw corrupt(store, checksum, 'file', `its content hashes to ${found}`);
}

async function* remaining(rest: Uint8Array, source: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (rest.length > 0) yield rest;
  for (;;) {
    const next = await source.next();
    if (next.done === true) return;
    yield next.value;
  }
}

/** Below this many bytes of content one synchronous call is cheaper than a stream (measured: 13,000 small files). */
const INFLATE_AT_ONCE = 1 << 20;

/** The smallest piece that zlib of Node takes. */
const MIN_INFLATE_CHUNK = 64;

async function* inflate(
  header: FilezHeader,
  rest: Uint8Array,
  source: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (header.size <= INFLATE_AT_ONCE) {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of remaining(rest, source)) {
      length += chunk.length;
      // Deflate can grow data by a little, never by this much.
      if (length > 2 * INFLATE_AT_ONCE)
        throw new TreewrightError('input/bad-object', 'its compressed data is too long');
      chunks.push(chunk);
    }
    const compressed = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
    // One piece that holds all of it, and a byte more, so that nothing is put together of many.
    const { buffer, engine } = inflateRawSync(compressed, {
      chunkSize: Math.max(MIN_INFLATE_CHUNK, header.size + 1),
      maxOutputLength: header.size + 1,
      info: true,
    }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
    if (engine.bytesWritten !== compressed.length) {
      throw new TreewrightError('input/bad-object', 'bytes follow its compressed data');
    }
    yield buffer;
    return;
  }
  const inflater = createInflateRaw({ chunkSize: 1 << 18 });
  const input = Readable.from(remaining(rest, source), { objectMode: false });
  input.on('error', (error) => inflater.destroy(error));
  yield* input.pipe(inflater) as AsyncIterable<Uint8Array>;
}

/** The commit a branch points to, or undefined when there is no such branch. */
export async function readRef(store: ByteStore, ref: string): Promise<Checksum | undefined> {
  const bytes = await store.read(refPath(ref), 1024);
  if (bytes === undefined) return undefined;
  const commit = new TextDecoder().decode(bytes).trimEnd();
  if (isChecksum(commit)) return commit;
  throw new TreewrightError(
    'trust/bad-ref',
    `${refPath(ref)} in ${store.location} must hold 64 lower-case hexadecimal digits, found ${JSON.stringify(commit.slice(0, 80))}`,
    { data: { ref } },
  );
}

/** Everything a commit reaches. */
export interface ReachableObjects {
  readonly dirtrees: ReadonlySet<Checksum>;
  readonly dirmetas: ReadonlySet<Checksum>;
  /** Content objects with every path they stand at, in the order of the walk. */
  readonly files: ReadonlyMap<Checksum, readonly string[]>;
}

/** Directory objects that have been read and verified. */
export type KnownTrees = Map<Checksum, DirTree>;

/** Directory objects that are read at the same time. */
const CONCURRENT_TREES = 32;

/** Reads what `known` lacks of the dirtrees from `root` on, level by level. */
async function readDirTrees(store: ByteStore, root: Checksum, known: KnownTrees): Promise<void> {
  const reached = new Set<Checksum>();
  let level = new Set([root]);
  while (level.size > 0) {
    await forEachConcurrent(level, CONCURRENT_TREES, async (checksum) => {
      if (!known.has(checksum)) known.set(checksum, await readDirTree(store, checksum));
    });
    for (const checksum of level) reached.add(checksum);
    const below = [...level].flatMap((checksum) => known.get(checksum)?.directories ?? []);
    level = new Set(below.map(({ tree }) => tree).filter((checksum) => !reached.has(checksum)));
  }
}

/**
 * Walks the directory objects of a commit; content objects are listed, not opened. Commits of one repository share most
 * of their directories: with the same `known` for several, each is read once.
 */
export async function listObjects(
  store: ByteStore,
  commit: Checksum,
  known: KnownTrees = new Map(),
): Promise<ReachableObjects> {
  const { rootTree, rootMeta } = await readCommit(store, commit);
  await readDirTrees(store, rootTree, known);
  const dirtrees = new Set<Checksum>();
  const dirmetas = new Set<Checksum>();
  const files = new Map<Checksum, string[]>();
  // Not by calls of itself: how deep it goes is up to whoever made the commit.
  const ahead = [{ tree: rootTree, meta: rootMeta, prefix: '' }];
  for (let next = ahead.pop(); next !== undefined; next = ahead.pop()) {
    const { tree, meta, prefix } = next;
    dirtrees.add(tree);
    dirmetas.add(meta);
    const { files: listed = [], directories = [] } = known.get(tree) ?? {};
    for (const file of listed) {
      const paths = files.get(file.checksum);
      if (paths) paths.push(prefix + file.name);
      else files.set(file.checksum, [prefix + file.name]);
    }
    for (const directory of directories.toReversed()) {
      ahead.push({ ...directory, prefix: `${prefix}${directory.name}/` });
    }
  }
  return { dirtrees, dirmetas, files };
}

/** What stands at a path of a commit; symlinks are not followed. */
export type PathEntry =
  | { readonly kind: 'file'; readonly checksum: Checksum }
  | {
      readonly kind: 'directory';
      readonly tree: Checksum;
      readonly meta: Checksum;
      readonly entries: DirTree;
    };

/** Looks a path such as `usr/lib/os-release` up in a commit; undefined when it is absent. */
export async function lookupPath(
  store: ByteStore,
  commit: Checksum,
  path: string,
): Promise<PathEntry | undefined> {
  const { rootTree, rootMeta } = await readCommit(store, commit);
  let tree = rootTree;
  let meta = rootMeta;
  const parts = path.split('/').filter((part) => part !== '');
  for (const [i, part] of parts.entries()) {
    const entries = await readDirTree(store, tree);
    const directory = entries.directories.find(({ name }) => name === part);
    if (directory === undefined) {
      const file = i === parts.length - 1 ? entries.files.find(({ name }) => name === part) : undefined;
      return file === undefined ? undefined : { kind: 'file', checksum: file.checksum };
    }
    ({ tree, meta } = directory);
  }
  return { kind: 'directory', tree, meta, entries: await readDirTree(store, tree) };
}

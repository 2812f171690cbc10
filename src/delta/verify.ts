/** Verifies a static delta by doing what a client does with it, and checking what comes out. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError, isTreewrightError } from '../core/errors.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaName, deltaPartPath, superblockPath } from '../formats/ostree-delta-index.ts';
import type { DeltaObject, DeltaPartEntry, Superblock } from '../formats/ostree-delta.ts';
import { decodeSuperblock, decodeSuperblockFile, inlinePart } from '../formats/ostree-delta.ts';
import { PART_COMPRESSION } from '../formats/ostree-delta-part.ts';
import { MAX_METADATA_SIZE } from '../formats/ostree-objects.ts';
import { filterStream } from '../platform/processes.ts';
import type { RandomAccess } from '../platform/random-access.ts';
import { collect, randomAccessOf } from '../platform/random-access.ts';
import type { ByteStore } from '../platform/store.ts';
import type { ReachableObjects } from '../repo/read.ts';
import { listObjects, readContent } from '../repo/read.ts';
import { executePart } from './apply.ts';

function corrupt(ends: DeltaEnds, why: string, cause?: unknown): TreewrightError {
  return new TreewrightError('trust/corrupt-delta', `static delta ${deltaName(ends)} is corrupt: ${why}`, {
    cause,
    data: { delta: deltaName(ends) },
  });
}

/** Errors about the form of what was read become errors about the delta; those about other things stay. */
async function blame<T>(ends: DeltaEnds, where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isTreewrightError(error) && (error.code.startsWith('input/') || error.code === 'tool/failed')) {
      throw corrupt(ends, `${where}: ${error.message}`, error);
    }
    throw error;
  }
}

/** Which delta is to be verified. */
export interface ExpectedDelta extends DeltaEnds {
  /** SHA-256 of the superblock file, when something trusted tells it. */
  readonly superblock?: Checksum;
}

/**
 * Reads superblock and parts from `store` (rooted at the repository, on disk or behind HTTP), applies them to the
 * objects of `from`, and checks that every object of `to` that `from` lacks comes out with its checksum or is a
 * fallback that the repository has. Signatures are not looked at. Throws `trust/missing-delta` or
 * `trust/corrupt-delta`, and what reading the commits throws.
 */
export async function verifyDelta(store: ByteStore, expected: ExpectedDelta): Promise<void> {
  const { from, to, superblock: digest } = expected;
  const ends: DeltaEnds = from === undefined ? { to } : { from, to };
  const file = await store.read(superblockPath(ends), MAX_METADATA_SIZE);
  if (file === undefined) {
    throw new TreewrightError(
      'trust/missing-delta',
      `static delta ${deltaName(ends)} is missing from ${store.location}`,
      { data: { delta: deltaName(ends), path: superblockPath(ends) } },
    );
  }
  const found = createHash('sha256').update(file).digest('hex');
  if (digest !== undefined && found !== digest) {
    throw corrupt(ends, `its superblock has the checksum ${found}, expected ${digest}`);
  }
  const superblock = await blame(ends, 'superblock', () =>
    Promise.resolve().then(() => decodeSuperblock(decodeSuperblockFile(file).superblock)),
  );
  if (superblock.from !== ends.from || superblock.to !== ends.to) {
    throw corrupt(ends, `its superblock is that of ${deltaName(superblock)}`);
  }
  if (createHash('sha256').update(superblock.commit).digest('hex') !== ends.to) {
    throw corrupt(ends, 'the commit in its superblock is another one');
  }

  const reachable = await listObjects(store, ends.to);
  const present = ends.from === undefined ? undefined : await listObjects(store, ends.from);
  const wanted = wantedObjects(reachable, present);
  const produced = (object: DeltaObject): void => {
    if (!wanted.delete(objectKey(object))) {
      throw corrupt(ends, `it makes the ${object.type} object ${object.checksum}, which is not needed`);
    }
  };

  const sources = sourceReader(store, ends, present);
  try {
    for (const [i, entry] of superblock.parts.entries()) {
      await blame(ends, `part ${i}`, async () => {
        const part = await openPart(store, ends, superblock, i, entry);
        try {
          await executePart({ entry, part, openSource: sources.open, produced });
        } finally {
          part.close();
        }
      });
    }
  } finally {
    sources.close();
  }
  for (const fallback of superblock.fallbacks) {
    produced(fallback);
    await checkFallback(store, ends, fallback);
  }
  const [missing] = wanted;
  if (missing !== undefined) {
    throw corrupt(ends, `it lacks ${wanted.size} objects of the commit, the first is ${missing}`);
  }
}

function objectKey({ type, checksum }: DeltaObject): string {
  return `${checksum}.${type}`;
}

function wantedObjects(to: ReachableObjects, from: ReachableObjects | undefined): Set<string> {
  const wanted = new Set<string>();
  for (const checksum of to.dirtrees) {
    if (from?.dirtrees.has(checksum) !== true) wanted.add(objectKey({ type: 'dirtree', checksum }));
  }
  for (const checksum of to.dirmetas) {
    if (from?.dirmetas.has(checksum) !== true) wanted.add(objectKey({ type: 'dirmeta', checksum }));
  }
  for (const checksum of to.files.keys()) {
    if (from?.files.has(checksum) !== true) wanted.add(objectKey({ type: 'file', checksum }));
  }
  return wanted;
}

interface SourceReader {
  readonly open: (checksum: Checksum) => Promise<RandomAccess>;
  readonly close: () => void;
}

/** Reads objects of the older commit, verified; keeps the last one, which is often asked for again. */
function sourceReader(
  store: ByteStore,
  ends: DeltaEnds,
  present: ReachableObjects | undefined,
): SourceReader {
  let held: { readonly checksum: Checksum; readonly content: RandomAccess } | undefined;
  return {
    open: async (checksum) => {
      if (held?.checksum === checksum) return held.content;
      if (present?.files.has(checksum) !== true) {
        throw corrupt(
          ends,
          `it reads from the object ${checksum}, which a client with ${ends.from ?? 'nothing'} lacks`,
        );
      }
      held?.content.close();
      held = undefined;
      const { chunks } = await readContent(store, checksum);
      const content = await collect(chunks, () => undefined);
      held = { checksum, content };
      return content;
    },
    close: () => held?.content.close(),
  };
}

async function checkFallback(
  store: ByteStore,
  ends: DeltaEnds,
  { type, checksum, uncompressedSize }: Superblock['fallbacks'][number],
): Promise<void> {
  if (type !== 'file') throw corrupt(ends, `it leaves the ${type} object ${checksum} to a fetch`);
  const { size, chunks } = await readContent(store, checksum);
  if (size !== uncompressedSize) {
    throw corrupt(ends, `its fallback ${checksum} has ${size} bytes, not ${uncompressedSize}`);
  }
  await drain(chunks);
}

/** Reads a content object to its end, where its checksum is compared. */
async function drain(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const iterator = chunks[Symbol.asyncIterator]();
  while ((await iterator.next()).done !== true);
}

/** A hostile part must not make xz take more than this; libostree's own parts need 33 MB. */
const XZ_MEMORY_LIMIT = '--memlimit-decompress=160MiB';

/**
 * What a part may decompress to. Its entry tells the size of the objects it makes: a patch stream is at most a
 * few times as long as its object, and every object has an operation and entries in the tables.
 */
function maxPartSize({ uncompressedSize, objects }: DeltaPartEntry): number {
  return 4 * uncompressedSize + 4096 * objects.length + (1 << 20);
}

/** The part after checksum and decompression. */
async function openPart(
  store: ByteStore,
  ends: DeltaEnds,
  superblock: Superblock,
  index: number,
  entry: DeltaPartEntry,
): Promise<RandomAccess> {
  const file = await partFile(store, ends, superblock, index, entry);
  let decompressed: RandomAccess;
  try {
    const compression = file.size === 0 ? undefined : file.read(0, 1)[0];
    const body = chunksOf(file, 1);
    const check = (size: number): void => {
      if (size <= maxPartSize(entry)) return;
      throw corrupt(
        ends,
        `part ${index} decompresses to more than the ${maxPartSize(entry)} bytes it can need`,
      );
    };
    if (compression === PART_COMPRESSION.none) {
      decompressed = await collect(body, check);
    } else if (compression === PART_COMPRESSION.xz) {
      const input = Readable.from(body, { objectMode: false });
      const args = ['-d', '-c', '-T1', '--format=xz', XZ_MEMORY_LIMIT];
      decompressed = await collect(filterStream('xz', args, input), check);
    } else {
      throw corrupt(ends, `part ${index} has the unknown compression ${compression ?? 'none at all'}`);
    }
  } finally {
    file.close();
  }
  return decompressed;
}

/** The part as it is transferred, checked against size and checksum in the superblock. */
async function partFile(
  store: ByteStore,
  ends: DeltaEnds,
  superblock: Superblock,
  index: number,
  entry: DeltaPartEntry,
): Promise<RandomAccess> {
  const path = deltaPartPath(ends, index);
  const hash = createHash('sha256');
  const inline = superblock.metadata.find(([key]) => key === path)?.[1];
  if (inline?.signature === inlinePart.signature) {
    const bytes = inlinePart.encode(inline.value as readonly [number, Uint8Array]);
    if (bytes.length !== entry.size || hash.update(bytes).digest('hex') !== entry.checksum) {
      throw corrupt(ends, `part ${index} inside its superblock has another size or checksum`);
    }
    return randomAccessOf(bytes);
  }
  const stream = await store.stream(path);
  if (stream === undefined) throw corrupt(ends, `part ${index} is missing: ${store.location}/${path}`);
  const hashed = (async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of stream) {
      hash.update(chunk);
      yield chunk;
    }
  })();
  const file = await collect(hashed, (size) => {
    if (size > entry.size) throw corrupt(ends, `part ${index} is larger than ${entry.size} bytes`);
  });
  const found = hash.digest('hex');
  if (file.size !== entry.size || found !== entry.checksum) {
    const size = file.size;
    file.close();
    throw corrupt(
      ends,
      `part ${index} has ${size} bytes with checksum ${found}, expected ${entry.size} with ${entry.checksum}`,
    );
  }
  return file;
}

async function* chunksOf(file: RandomAccess, start: number): AsyncGenerator<Uint8Array> {
  const step = 1 << 20;
  for (let at = start; at < file.size; at += step) {
    yield await Promise.resolve(file.read(at, Math.min(step, file.size - at)));
  }
}

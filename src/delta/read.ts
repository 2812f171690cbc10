/**
 * Opening a static delta wherever it lies: in a repository on disk or behind HTTP, in a directory by itself, or in
 * one file. What is read is checked against sizes and checksums; signatures are for the caller to look at.
 */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { Readable } from 'node:stream';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError, isTreewrightError, systemErrorCode } from '../core/errors.ts';
import type { Vardict } from '../formats/gvariant.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaName, deltaPartPath, superblockPath } from '../formats/ostree-delta-index.ts';
import type { DeltaPartEntry, Superblock } from '../formats/ostree-delta.ts';
import { decodeSuperblock, decodeSuperblockFile, inlinePart } from '../formats/ostree-delta.ts';
import { PART_COMPRESSION } from '../formats/ostree-delta-part.ts';
import { MAX_METADATA_SIZE } from '../formats/ostree-objects.ts';
import { filterStream } from '../platform/processes.ts';
import type { RandomAccess } from '../platform/random-access.ts';
import { collect, randomAccessOf } from '../platform/random-access.ts';
import type { ByteStore } from '../platform/store.ts';
import { openStore } from '../platform/store.ts';

/** Where the files of a delta are. */
export interface DeltaFiles {
  readonly store: ByteStore;
  /** Relative to the store. */
  readonly superblock: string;
  /** The part of this number, relative to the store. */
  readonly part: (index: number) => string;
}

/** A delta in `deltas/` of the repository that the store is rooted at. */
export function deltaInRepository(store: ByteStore, ends: DeltaEnds): DeltaFiles {
  return { store, superblock: superblockPath(ends), part: (index) => deltaPartPath(ends, index) };
}

/**
 * A delta by itself, as libostree's `apply-offline` takes it: a directory with `superblock`, `0`, `1`, ..., or the
 * superblock's file, under any name, with its parts inside or beside it. Throws `input/no-delta`.
 */
export async function deltaAt(path: string): Promise<DeltaFiles> {
  const isDirectory = await stat(path).then(
    (facts) => facts.isDirectory(),
    (error: unknown) => {
      const code = systemErrorCode(error);
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
      throw new TreewrightError('input/no-delta', `there is no delta ${path}: the file does not exist`, {
        cause: error,
        data: { path },
      });
    },
  );
  const directory = isDirectory ? path : dirname(resolve(path));
  return {
    store: openStore(directory),
    superblock: isDirectory ? 'superblock' : basename(path),
    part: String,
  };
}

/** A delta whose superblock has been read. */
export interface OpenedDelta {
  readonly files: DeltaFiles;
  readonly superblock: Superblock;
  /** The bytes that signatures cover. */
  readonly bytes: Uint8Array;
  /** Present when the superblock is signed, by whomever. */
  readonly signatures?: Vardict;
  /** The superblock's file. */
  readonly file: { readonly size: number; readonly sha256: Checksum };
}

/** What a delta shall be. */
export interface ExpectedDelta extends DeltaEnds {
  /** SHA-256 of the superblock file, when something trusted tells it. */
  readonly superblock?: Checksum;
}

/** An error about what a delta holds; `name` is `<from>-<to>`, or where it lies while that is not known. */
export function corruptDelta(name: string, why: string, cause?: unknown): TreewrightError {
  return new TreewrightError('trust/corrupt-delta', `static delta ${name} is corrupt: ${why}`, {
    cause,
    data: { delta: name },
  });
}

/** Errors about the form of what was read become errors about the delta; those about other things stay. */
export async function blameDelta<T>(name: string, where: string, work: () => Promise<T> | T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isTreewrightError(error) && (error.code.startsWith('input/') || error.code === 'tool/failed')) {
      throw corruptDelta(name, `${where}: ${error.message}`, error);
    }
    throw error;
  }
}

/**
 * Reads the superblock and checks that it is the one expected and that its commit is the one it leads to.
 * Throws `trust/missing-delta` or `trust/corrupt-delta`.
 */
export async function openDelta(files: DeltaFiles, expected?: ExpectedDelta): Promise<OpenedDelta> {
  const place = `${files.store.location}/${files.superblock}`;
  const wanted = expected === undefined ? place : deltaName(expected);
  const file = await files.store.read(files.superblock, MAX_METADATA_SIZE);
  if (file === undefined) {
    throw new TreewrightError(
      'trust/missing-delta',
      `static delta ${wanted} is missing${expected === undefined ? '' : `: there is no ${place}`}`,
      { data: { delta: wanted, path: files.superblock } },
    );
  }
  const sha256 = createHash('sha256').update(file).digest('hex') as Checksum;
  if (expected?.superblock !== undefined && sha256 !== expected.superblock) {
    throw corruptDelta(wanted, `its superblock has the checksum ${sha256}, expected ${expected.superblock}`);
  }
  const { superblock: bytes, signatures } = await blameDelta(wanted, 'superblock', () =>
    decodeSuperblockFile(file),
  );
  const superblock = await blameDelta(wanted, 'superblock', () => decodeSuperblock(bytes));
  const name = deltaName(superblock);
  if (expected !== undefined && name !== wanted)
    throw corruptDelta(wanted, `its superblock is that of ${name}`);
  if (createHash('sha256').update(superblock.commit).digest('hex') !== superblock.to) {
    throw corruptDelta(name, 'the commit in its superblock is another one');
  }
  return {
    files,
    superblock,
    bytes,
    ...(signatures === undefined ? {} : { signatures }),
    file: { size: file.length, sha256 },
  };
}

/** The key under which a superblock keeps a part inside itself. */
export function inlinePartKey(ends: DeltaEnds, index: number): string {
  return deltaPartPath(ends, index);
}

/** The bytes of a part that the superblock holds itself, as they would stand in a file. */
export function inlinePartBytes({ metadata, ...ends }: Superblock, index: number): Uint8Array | undefined {
  const key = inlinePartKey(ends, index);
  const inline = metadata.find(([name]) => name === key)?.[1];
  if (inline?.signature !== inlinePart.signature) return undefined;
  return inlinePart.encode(inline.value as readonly [number, Uint8Array]);
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

/** A part after checksum and decompression; the caller closes it. */
export async function openPart(
  delta: OpenedDelta,
  index: number,
  entry: DeltaPartEntry,
): Promise<RandomAccess> {
  const name = deltaName(delta.superblock);
  const file = await partFile(delta, index, entry);
  try {
    const compression = file.size === 0 ? undefined : file.read(0, 1)[0];
    const body = chunksOf(file, 1);
    const check = (size: number): void => {
      if (size <= maxPartSize(entry)) return;
      throw corruptDelta(
        name,
        `part ${index} decompresses to more than the ${maxPartSize(entry)} bytes it can need`,
      );
    };
    if (compression === PART_COMPRESSION.none) return await collect(body, check);
    if (compression === PART_COMPRESSION.xz) {
      const input = Readable.from(body, { objectMode: false });
      const args = ['-d', '-c', '-T1', '--format=xz', XZ_MEMORY_LIMIT];
      return await collect(filterStream('xz', args, input), check);
    }
    throw corruptDelta(name, `part ${index} has the unknown compression ${compression ?? 'none at all'}`);
  } finally {
    file.close();
  }
}

/** The part as it is transferred, checked against size and checksum in the superblock. */
async function partFile(
  { files: { store, part }, superblock }: OpenedDelta,
  index: number,
  entry: DeltaPartEntry,
): Promise<RandomAccess> {
  const name = deltaName(superblock);
  const hash = createHash('sha256');
  const inline = inlinePartBytes(superblock, index);
  if (inline !== undefined) {
    if (inline.length !== entry.size || hash.update(inline).digest('hex') !== entry.checksum) {
      throw corruptDelta(name, `part ${index} inside its superblock has another size or checksum`);
    }
    return randomAccessOf(inline);
  }
  const stream = await store.stream(part(index));
  if (stream === undefined) {
    throw corruptDelta(name, `part ${index} is missing: ${store.location}/${part(index)}`);
  }
  const hashed = (async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of stream) {
      hash.update(chunk);
      yield chunk;
    }
  })();
  const file = await collect(hashed, (size) => {
    if (size > entry.size) throw corruptDelta(name, `part ${index} is larger than ${entry.size} bytes`);
  });
  const found = hash.digest('hex');
  if (file.size !== entry.size || found !== entry.checksum) {
    const size = file.size;
    file.close();
    throw corruptDelta(
      name,
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

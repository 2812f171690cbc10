/** Compressing a part and writing it to its file, hashed on the way, without holding the result. */
import { createHash } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { concatBytes } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import { PART_COMPRESSION, framePart } from '../formats/ostree-delta-part.ts';
import { temporaryName } from '../platform/files.ts';
import { filterStream } from '../platform/processes.ts';
import type { UnpackedPart } from './part-builder.ts';

/** The window of xz preset 8, which is what libostree compresses parts with. */
const MAX_WINDOW = 32 << 20;
const MIN_WINDOW = 64 << 10;

/** What patches have in common lies near together: a larger window makes parts of 16 MiB less than 0.01 % smaller. */
const PATCH_WINDOW = 8 << 20;

/**
 * The smallest window that holds the whole part, in the steps the xz format knows (2^n and 3*2^(n-1)).
 * A larger one finds nothing more, but costs eleven times itself here and once itself on the device.
 */
function xzWindow(size: number, limit: number): number {
  for (let window = MIN_WINDOW; window < limit; window *= 2) {
    if (size <= window) return window;
    if (size <= (window / 2) * 3) return (window / 2) * 3;
  }
  return limit;
}

/** Bytes handed on at once. */
const PIECE = 1 << 18;

export interface WrittenPart {
  readonly size: number;
  readonly checksum: Checksum;
}

async function* uncompressed(
  part: UnpackedPart,
  streamed: AsyncIterable<Uint8Array> | undefined,
): AsyncGenerator<Uint8Array> {
  const { head, tail } = framePart(part.tables, part.payloadSize);
  yield head;
  // Thousands of small objects would make thousands of writes.
  let gathered: Uint8Array[] = [];
  let length = 0;
  for (const piece of part.payload) {
    gathered.push(piece);
    length += piece.length;
    if (length < PIECE) continue;
    yield concatBytes(gathered);
    gathered = [];
    length = 0;
  }
  yield concatBytes(gathered);
  if (streamed !== undefined) yield* streamed;
  yield tail;
}

/**
 * How hard xz tries. `strong` is libostree's preset 8. `patch` weighs longer matches, since patches are full of runs
 * of zeros: a third slower, 3 % smaller. `sparse` is for patches that are hardly anything else, those of kernel modules:
 * hash chains find in half the time what binary trees find there, and the result is 2 % smaller than preset 8. `fast` is for content that is compressed already, which LZMA2 then stores
 * as it is. (Parts without compression, which the format knows, cannot be used: libostree maps
 * them at an offset of one byte, which fails beyond 16 KiB.)
 */
export type Effort = 'strong' | 'patch' | 'sparse' | 'fast';

function windowFor(effort: Effort, size: number): number {
  if (effort === 'fast') return MIN_WINDOW;
  return xzWindow(size, effort === 'strong' ? MAX_WINDOW : PATCH_WINDOW);
}

/** Memory of one xz process compressing `size` bytes, in bytes (measured at presets 6 to 8). */
export function xzMemory(effort: Effort, size: number): number {
  return 12 * windowFor(effort, size) + (4 << 20);
}

/** xz's filter for a payload. `fast` searches in 64 KiB only: 12 MB/s on noise, where preset 0 has 8 and preset 8 has 1.5. */
function lzma2Filter(effort: Effort, payloadSize: number): string {
  const window = windowFor(effort, payloadSize) >> 10;
  if (effort === 'fast') return `--lzma2=preset=0,dict=${window}KiB,nice=4,depth=1`;
  const search = { strong: '', patch: ',nice=128', sparse: ',nice=128,mf=hc4,depth=24' }[effort];
  return `--lzma2=preset=8,dict=${window}KiB${search}`;
}

/**
 * Writes a part file whole or not at all. `streamed` is the part of the payload that was announced with
 * `addStreamed`.
 */
export async function writePart(
  path: string,
  part: UnpackedPart,
  effort: Effort,
  streamed?: AsyncIterable<Uint8Array>,
): Promise<WrittenPart> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = temporaryName(path);
  const hash = createHash('sha256');
  let size = 0;
  try {
    const handle = await open(temporary, 'wx', 0o644);
    try {
      const put = async (bytes: Uint8Array): Promise<void> => {
        hash.update(bytes);
        size += bytes.length;
        await handle.writeFile(bytes);
      };
      await put(Uint8Array.of(PART_COMPRESSION.xz));
      const filter = lzma2Filter(effort, part.payloadSize + part.tables.operations.length);
      const input = Readable.from(uncompressed(part, streamed), { objectMode: false });
      const args = ['-c', '-T1', '--check=crc64', '--format=xz', filter];
      for await (const bytes of filterStream('xz', args, input)) await put(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  return { size, checksum: hash.digest('hex') as Checksum };
}

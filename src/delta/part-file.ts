/** Compressing a part and writing it to its file, hashed on the way, without holding the result. */
import { createHash } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import type { Checksum } from '../core/checksum.ts';
import { PART_COMPRESSION, framePart } from '../formats/ostree-delta-part.ts';
import { storedXz } from '../formats/xz.ts';
import { filterStream } from '../platform/processes.ts';
import type { UnpackedPart } from './part-builder.ts';

/** The window of xz preset 8, which is what libostree compresses parts with. */
const MAX_WINDOW = 32 << 20;
const MIN_WINDOW = 64 << 10;

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
  yield* part.payload;
  if (streamed !== undefined) yield* streamed;
  yield tail;
}

/**
 * How xz compresses a part. `strong` is libostree's preset 8 for content as it is. `patch`, for bspatch streams, weighs
 * longer matches, since they are full of runs of zeros, and `sparse` looks at fewer, for those that are hardly
 * anything else: kernel modules. What patches have in common lies near together, and a small window stays in the
 * processor's cache: 1 MiB costs 0.3 % more bytes than 8 and a quarter less time. `packed` is for patches of what is
 * compressed inside, of which little compresses at all: half the time for 0.2 %. `fast` is for content that is
 * compressed already, most of which LZMA2 then stores as it is: 12 MB/s on noise, where preset 0 has 8 and preset 8
 * has 1.5. `stored` is for much noise, which nobody tries to compress. (Parts without compression, which the format knows, cannot be used: libostree maps them at an offset of one byte,
 * which fails beyond 16 KiB.)
 */
export const EFFORTS = ['strong', 'patch', 'sparse', 'packed', 'fast', 'stored'] as const;
export type Effort = (typeof EFFORTS)[number];

type Searching = Exclude<Effort, 'stored'>;

/** The largest window and the search, as xz's LZMA2 options. */
const SEARCH: Readonly<Record<Searching, { readonly window: number; readonly options: string }>> = {
  strong: { window: MAX_WINDOW, options: 'preset=8' },
  patch: { window: 1 << 20, options: 'preset=8,nice=128' },
  sparse: { window: 1 << 20, options: 'preset=8,nice=128,depth=24' },
  packed: { window: 256 << 10, options: 'preset=8,lc=4' },
  fast: { window: MIN_WINDOW, options: 'preset=0,nice=4,depth=1' },
};

function windowFor(effort: Searching, size: number): number {
  return xzWindow(size, SEARCH[effort].window);
}

/** Memory of one xz process compressing `size` bytes, in bytes (measured at presets 6 to 8). */
export function xzMemory(effort: Effort, size: number): number {
  return effort === 'stored' ? 0 : 12 * windowFor(effort, size) + (4 << 20);
}

function compressed(
  part: AsyncIterable<Uint8Array>,
  effort: Effort,
  size: number,
): AsyncIterable<Uint8Array> {
  if (effort === 'stored') return storedXz(part);
  const filter = `--lzma2=${SEARCH[effort].options},dict=${windowFor(effort, size) >> 10}KiB`;
  const input = Readable.from(part, { objectMode: false });
  return filterStream('xz', ['-c', '-T1', '--check=crc64', '--format=xz', filter], input);
}

/**
 * Writes a new part file at `path`, whole or not at all; its directory is made. `streamed` is the part of the payload
 * that was announced with `addStreamed`.
 */
export async function writePart(
  path: string,
  part: UnpackedPart,
  effort: Effort,
  streamed?: AsyncIterable<Uint8Array>,
): Promise<WrittenPart> {
  await mkdir(dirname(path), { recursive: true });
  const hash = createHash('sha256');
  let size = 0;
  try {
    const handle = await open(path, 'wx', 0o644);
    try {
      const put = async (bytes: Uint8Array): Promise<void> => {
        hash.update(bytes);
        size += bytes.length;
        await handle.writeFile(bytes);
      };
      await put(Uint8Array.of(PART_COMPRESSION.xz));
      const length = part.payloadSize + part.tables.operations.length;
      for await (const bytes of compressed(uncompressed(part, streamed), effort, length)) await put(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
  return { size, checksum: hash.digest('hex') as Checksum };
}

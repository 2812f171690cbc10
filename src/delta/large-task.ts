/**
 * Worker task for files too large to be held: finds the ranges two contents share in memory that grows with the
 * number of chunks only.
 *
 * Both contents are cut where their own bytes say so (a gear hash over the last 32 bytes, as in FastCDC by Xia
 * and others, 2016), so an insertion moves the cuts along with it; equal chunks have equal SHA-256.
 */
import { createHash } from 'node:crypto';
import type { Checksum } from '../core/checksum.ts';
import { openStore } from '../platform/store.ts';
import { defineTask } from '../platform/workers.ts';
import { readContent } from '../repo/read.ts';
import type { CopyList } from './patch.ts';
import { COPY_STRIDE } from './patch.ts';
import { looksCompressed } from './similarity.ts';

/** Chunks have 8 KiB on average. */
const MIN_CHUNK = 2048;
const MAX_CHUNK = 65536;
const CUT_SHIFT = 32 - 13;

/** One 32-bit value for each byte; any fixed table without structure serves. */
const GEAR = ((): Int32Array => {
  const table = new Int32Array(256);
  let state = 0x2545f491;
  for (let i = 0; i < 256; i++) {
    // xorshift32 (Marsaglia, 2003)
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    table[i] = state;
  }
  return table;
})();

/** Length of the first chunk of `bytes`, or 0 when more bytes are needed to tell. */
function cut(bytes: Uint8Array, from: number, final: boolean): number {
  const limit = Math.min(bytes.length - from, MAX_CHUNK);
  let hash = 0;
  for (let i = 0; i < limit; i++) {
    hash = ((hash << 1) + (GEAR[bytes[from + i] ?? 0] ?? 0)) | 0;
    if (i >= MIN_CHUNK && hash >>> CUT_SHIFT === 0) return i + 1;
  }
  return limit === MAX_CHUNK || final ? limit : 0;
}

/** The chunks of a stream, in order; each is valid until the next one is asked for. */
export async function* contentChunks(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array = new Uint8Array(0);
  for await (const piece of stream) {
    held = held.length === 0 ? piece : Buffer.concat([held, piece]);
    let at = 0;
    for (let length = cut(held, at, false); length > 0; length = cut(held, at, false)) {
      yield held.subarray(at, at + length);
      at += length;
    }
    held = held.slice(at);
  }
  let at = 0;
  for (let length = cut(held, at, true); length > 0; length = cut(held, at, true)) {
    yield held.subarray(at, at + length);
    at += length;
  }
}

function identity(chunk: Uint8Array): string {
  return createHash('sha256').update(chunk).digest('base64');
}

export interface LargeItem {
  readonly repo: string;
  readonly checksum: Checksum;
  readonly source: Checksum;
}

export const spliceLarge = defineTask(
  'delta/splice-large',
  import.meta.url,
  async ({ repo, checksum, source }: LargeItem): Promise<CopyList> => {
    const store = openStore(repo);
    const known = new Map<string, number>();
    let oldAt = 0;
    for await (const chunk of contentChunks((await readContent(store, source)).chunks)) {
      const name = identity(chunk);
      if (!known.has(name)) known.set(name, oldAt);
      oldAt += chunk.length;
    }
    const copies: number[] = [];
    let literalAt = 0;
    for await (const chunk of contentChunks((await readContent(store, checksum)).chunks)) {
      const at = known.get(identity(chunk));
      const fromSource = at === undefined ? 0 : 1;
      const offset = at ?? literalAt;
      if (at === undefined) literalAt += chunk.length;
      // Lengthen the range before when this one goes on where that one ended.
      const last = copies.length - COPY_STRIDE;
      const lastLength = copies[last] ?? 0;
      if (last >= 0 && copies[last + 1] === fromSource && (copies[last + 2] ?? 0) + lastLength === offset) {
        copies[last] = lastLength + chunk.length;
      } else {
        copies.push(chunk.length, fromSource, offset);
      }
    }
    return copies;
  },
);

/** Pieces of a large content that are looked at to judge it, and the bytes of each. */
const SAMPLES = 16;
const SAMPLE_SIZE = 4096;

/** True for content that is compressed already, judged by pieces spread over all of it. */
export const judgeLarge = defineTask(
  'delta/judge-large',
  import.meta.url,
  async ({ repo, checksum, size }: { repo: string; checksum: Checksum; size: number }): Promise<boolean> => {
    const stride = Math.floor(size / SAMPLES);
    const sample: Uint8Array[] = [];
    let at = 0;
    let next = 0;
    for await (const chunk of (await readContent(openStore(repo), checksum)).chunks) {
      while (next < at + chunk.length) {
        const start = Math.max(0, next - at);
        sample.push(chunk.slice(start, start + SAMPLE_SIZE));
        next += stride;
      }
      at += chunk.length;
    }
    return looksCompressed(Buffer.concat(sample));
  },
);

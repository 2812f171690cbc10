import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CONTROL_LENGTH, getControl } from '../../src/formats/bspatch.ts';
import { contentChunks } from '../../src/delta/large-task.ts';
import { matchContent } from '../../src/delta/match.ts';
import { COPY_STRIDE, encodePatch, encodeSplice } from '../../src/delta/patch.ts';
import {
  compressibility,
  looksCompressed,
  sampleContent,
  sampleRate,
  sharedSamples,
} from '../../src/delta/similarity.ts';
import { random } from '../support/random-tree.ts';
import { edited, programBytes } from '../support/small-rootfs.ts';

/** What bspatch does, written from the format's description alone. */
function bspatch(old: Uint8Array, patch: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(size);
  let [at, to, from] = [0, 0, 0];
  while (to < size) {
    const { diff, extra, seek } = getControl(patch.subarray(at, at + CONTROL_LENGTH));
    at += CONTROL_LENGTH;
    for (let i = 0; i < diff; i++) out[to++] = (patch[at++] ?? 0) + (old[from++] ?? 0);
    for (let i = 0; i < extra; i++) out[to++] = patch[at++] ?? 0;
    from += seek;
  }
  expect(to).toBe(size);
  expect(at).toBe(patch.length);
  return out;
}

function unsplice(old: Uint8Array, { copies, literals }: ReturnType<typeof encodeSplice>): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (let i = 0; i < copies.length; i += COPY_STRIDE) {
    const [length = 0, fromSource, offset = 0] = copies.slice(i, i + COPY_STRIDE);
    const from = fromSource === 1 ? old : literals;
    expect(offset + length).toBeLessThanOrEqual(from.length);
    pieces.push(from.subarray(offset, offset + length));
  }
  return Buffer.concat(pieces);
}

function roundTrip(old: Uint8Array, fresh: Uint8Array): { patch: Uint8Array; literals: Uint8Array } {
  const segments = matchContent(old, fresh);
  const patch = encodePatch(old, fresh, segments);
  expect(Buffer.compare(bspatch(old, patch, fresh.length), fresh)).toBe(0);
  const splice = encodeSplice(old, fresh, segments);
  expect(Buffer.compare(unsplice(old, splice), fresh)).toBe(0);
  return { patch, literals: splice.literals };
}

const nonZero = (bytes: Uint8Array): number =>
  bytes.reduce((count, value) => count + (value === 0 ? 0 : 1), 0);

/** A file and a later version of it: pieces kept, moved, changed, dropped and new ones. */
const pair = fc
  .tuple(
    fc.array(fc.uint8Array({ minLength: 1, maxLength: 80 }), { minLength: 1, maxLength: 20 }),
    fc.array(
      fc.oneof(
        fc.record({ keep: fc.nat(), flip: fc.option(fc.nat()) }),
        fc.record({ fresh: fc.uint8Array({ maxLength: 40 }) }),
        fc.record({ run: fc.nat(255), length: fc.nat(300) }),
      ),
      { maxLength: 30 },
    ),
  )
  .map(([pieces, recipe]) => {
    const fresh = recipe.map((step) => {
      if ('fresh' in step) return step.fresh;
      if ('run' in step) return new Uint8Array(step.length).fill(step.run);
      const piece = Uint8Array.from(pieces[step.keep % pieces.length] ?? []);
      if (step.flip !== null) piece[step.flip % piece.length] = 0xa5;
      return piece;
    });
    return [Buffer.concat(pieces), Buffer.concat(fresh)] as const;
  });

describe('the matcher', () => {
  test('gives patches and splices that make exactly the new file', () => {
    fc.assert(
      fc.property(pair, ([old, fresh]) => void roundTrip(old, fresh)),
      { numRuns: 500 },
    );
    // Few different bytes make many accidental matches.
    const coarse = fc.uint8Array({ max: 2, maxLength: 400 });
    fc.assert(
      fc.property(coarse, coarse, (old, fresh) => void roundTrip(old, fresh)),
      { numRuns: 300 },
    );
  });

  test('handles empty, tiny and equal files', () => {
    const some = Uint8Array.of(1, 2, 3);
    roundTrip(some, new Uint8Array(0));
    roundTrip(new Uint8Array(0), some);
    roundTrip(some, some);
    const program = programBytes(1, 100_000);
    expect(nonZero(roundTrip(program, program).patch)).toBeLessThan(8);
    expect(roundTrip(program, program).literals.length).toBe(0);
  });

  // The index of the larger one is sorted by partitions.
  test.each([300_000, 1_500_000])('finds moved blocks and relocated numbers in %i bytes', (size) => {
    const old = programBytes(2, size);
    // An insertion moves everything behind it; every 64 bytes a number changes, as addresses do.
    const fresh = Buffer.concat([old.subarray(0, 1000), programBytes(3, 777), old.subarray(1000)]);
    for (let at = 2000; at < fresh.length; at += 64) fresh[at] = (fresh[at] ?? 0) + 1;
    const { patch } = roundTrip(old, fresh);
    // The inserted bytes, one byte for each number, some controls.
    expect(nonZero(patch)).toBeLessThan(777 + fresh.length / 64 + 1500);

    const swapped = Buffer.concat([old.subarray(size / 2), old.subarray(0, size / 2)]);
    expect(roundTrip(old, swapped).literals.length).toBeLessThan(100);
  });

  test('takes linear time where the structure repeats', () => {
    const length = 2_000_000;
    const zeros = new Uint8Array(length);
    const dotted = Uint8Array.from(zeros);
    for (let at = 0; at < length; at += 100_000) dotted[at] = 1;
    const periodic = Uint8Array.from({ length }, (_, i) => i % 7);
    const shifted = Uint8Array.from({ length }, (_, i) =>
      (i + 3) % 7 === 0 && i % 5000 < 8 ? 9 : (i + 3) % 7,
    );
    // A quadratic step over two million bytes would run into the test's time limit.
    roundTrip(zeros, dotted);
    roundTrip(dotted, zeros);
    roundTrip(periodic, shifted);
    roundTrip(zeros, periodic);
  });

  test('is deterministic', () => {
    const old = programBytes(4, 200_000);
    const fresh = edited(old, 5);
    expect(matchContent(old, fresh)).toEqual(matchContent(old, fresh));
  });
});

const next = random(7);
const noise = (size: number): Uint8Array => Uint8Array.from({ length: size }, () => Math.floor(next() * 256));

test('long runs of noise are found wherever they went, and to their last byte', () => {
  const old = noise(300_000);
  const fresh = Buffer.concat([noise(1001), old.subarray(150_001), noise(77), old.subarray(3, 99_990)]);
  const segments = matchContent(old, fresh, 'noise');
  const spliced = encodeSplice(old, fresh, segments);
  expect(Buffer.compare(unsplice(old, spliced), fresh)).toBe(0);
  expect(spliced.literals.length).toBe(1001 + 77);
});

describe('judging content', () => {
  test('compressed data is recognised by its bytes', () => {
    expect(looksCompressed(noise(50_000))).toBe(true);
    expect(looksCompressed(Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 1))).toBe(true);
    expect(looksCompressed(programBytes(8, 50_000))).toBe(false);
    expect(looksCompressed(new TextEncoder().encode('text\n'.repeat(9000)))).toBe(false);
    expect(looksCompressed(new Uint8Array(0))).toBe(false);
    expect(compressibility(noise(50_000))).toBe('hardly');
    expect(compressibility(noise(1_100_000))).toBe('none');
  });

  test('samples tell a later version from a stranger, also when everything moved', () => {
    const old = programBytes(9, 400_000);
    const fresh = Buffer.concat([noise(333), edited(old, 10)]);
    const rate = sampleRate(fresh.length);
    const samples = sampleContent(fresh, rate);
    expect(samples.size).toBeGreaterThan(500);
    expect(sharedSamples(sampleContent(old, rate), samples)).toBeGreaterThan(0.9);
    expect(sharedSamples(sampleContent(programBytes(11, 400_000), rate), samples)).toBeLessThan(0.05);
    expect(sharedSamples(sampleContent(old, rate), new Set())).toBe(0);
  });

  test('chunks are the content, and cuts move along with an insertion', async () => {
    const old = noise(1_000_000);
    const fresh = Buffer.concat([old.subarray(0, 500_000), noise(100), old.subarray(500_000)]);
    const chunksOf = async (content: Uint8Array, piece: number): Promise<string[]> => {
      const stream = (async function* () {
        for (let at = 0; at < content.length; at += piece) {
          yield await Promise.resolve(content.subarray(at, at + piece));
        }
      })();
      const chunks: string[] = [];
      for await (const chunk of contentChunks(stream)) chunks.push(Buffer.from(chunk).toString('latin1'));
      return chunks;
    };
    const oldChunks = await chunksOf(old, 65_536);
    expect(oldChunks.join('')).toBe(Buffer.from(old).toString('latin1'));
    expect(await chunksOf(old, 1000)).toEqual(oldChunks);
    const known = new Set(oldChunks);
    const unknown = (await chunksOf(fresh, 65_536)).filter((chunk) => !known.has(chunk));
    expect(unknown.length).toBeLessThanOrEqual(3);
    expect(await chunksOf(new Uint8Array(0), 10)).toEqual([]);
  });
});

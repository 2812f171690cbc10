import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { collect, randomAccessOf } from '../../src/platform/random-access.ts';

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

test('the same ranges are read from memory and from a file', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 500 }),
      fc.integer({ min: 1, max: 50 }),
      fc.array(fc.tuple(fc.nat(500), fc.nat(500))),
      async (bytes, size, ranges) => {
        const inMemory = await collect(pieces(bytes, size), () => undefined);
        const inFile = await collect(pieces(bytes, size), () => undefined, 0);
        for (const access of [randomAccessOf(bytes), inMemory, inFile]) {
          expect(access.size).toBe(bytes.length);
          for (const [offset, length] of ranges) {
            const read = (): Uint8Array => access.read(offset, length);
            if (offset + length > bytes.length) expect(read).toThrow(RangeError);
            else expect(Buffer.compare(read(), bytes.subarray(offset, offset + length))).toBe(0);
          }
          access.close();
          access.close();
        }
      },
    ),
    { numRuns: 50 },
  );
});

test('a stream is refused before more than allowed is kept', async () => {
  const seen: number[] = [];
  const check = (size: number): void => {
    seen.push(size);
    if (size > 250) throw new Error('too much');
  };
  await expect(collect(pieces(new Uint8Array(1000), 100), check, 120)).rejects.toThrow('too much');
  expect(seen).toEqual([100, 200, 300]);
});

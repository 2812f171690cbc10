import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { XZ_HEADERS, storedXz, xzDictionary } from '../../src/formats/xz.ts';
import { filterBytes } from '../../src/platform/processes.ts';

test('the dictionary is that which xz was told to use', async () => {
  const sizes: readonly (readonly [string, number])[] = [
    ['4KiB', 4096],
    ['64KiB', 65_536],
    ['96KiB', 98_304],
    ['1536KiB', 1_572_864],
    ['32MiB', 33_554_432],
  ];
  for (const [text, bytes] of sizes) {
    const stream = await filterBytes(
      'xz',
      ['-c', '-T1', `--lzma2=preset=0,dict=${text}`],
      Buffer.from('content'),
    );
    expect(xzDictionary(stream.subarray(0, XZ_HEADERS))).toBe(bytes);
  }
  // Threads write the sizes of each block before its filters.
  const threaded = await filterBytes('xz', ['-c', '-T2', '--lzma2=preset=0,dict=64KiB'], Buffer.alloc(5000));
  expect(xzDictionary(threaded.subarray(0, XZ_HEADERS))).toBe(65_536);
});

test('other filters, and what is not xz, have none', async () => {
  const delta = await filterBytes('xz', ['-c', '-T1', '--delta=dist=4', '--lzma2'], Buffer.from('content'));
  expect(xzDictionary(delta)).toBeUndefined();
  expect(xzDictionary(Buffer.from('not xz at all'))).toBeUndefined();
  expect(xzDictionary(new Uint8Array(0))).toBeUndefined();
});

test('xz and its own check accept what is stored, at every edge of a chunk', async () => {
  const content = Uint8Array.from({ length: 200_000 }, (_, i) => (i * i) >> 3);
  for (const size of [0, 1, 2, 3, 65_535, 65_536, 65_537, 131_072, 200_000]) {
    const pieces = [content.subarray(0, size >> 1), new Uint8Array(0), content.subarray(size >> 1, size)];
    const stream = await buffer(storedXz(Readable.from(pieces)));
    expect(stream.length).toBeLessThan(size + 3 * Math.ceil(size / 65_536) + 64);
    expect(xzDictionary(stream.subarray(0, XZ_HEADERS))).toBe(65_536);
    expect(Buffer.compare(await filterBytes('xz', ['-dc'], stream), content.subarray(0, size))).toBe(0);
  }
});

/** The gzip writer whose bytes never change. */
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { crc32 as nodeCrc32, gunzipSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { crc32, createGzipWriter } from '../../src/formats/gzip.ts';

function gzip(bytes: Uint8Array, step: number): Buffer {
  const writer = createGzipWriter();
  const out: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += step) out.push(writer.push(bytes.subarray(at, at + step)));
  out.push(writer.finish());
  return Buffer.concat(out);
}

test('zlib unpacks what it writes: random, repetitive and mixed content', () => {
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 2000 }),
    fc
      .tuple(fc.uint8Array({ minLength: 1, maxLength: 600 }), fc.integer({ min: 1, max: 400 }))
      .map(([part, times]) => Buffer.concat(Array.from({ length: times }, () => part))),
    fc
      .array(fc.constantFrom('image: ', 'services:\n', '    ', 'x', '\n'), { maxLength: 3000 })
      .map((words) => Buffer.from(words.join(''))),
  );
  fc.assert(
    fc.property(content, fc.integer({ min: 1, max: 40_000 }), (bytes, step) => {
      const packed = gzip(bytes, step);
      expect(gunzipSync(packed).equals(Buffer.from(bytes))).toBe(true);
      // However the input is cut, the bytes are the same.
      expect(packed.equals(gzip(bytes, Math.max(1, bytes.length)))).toBe(true);
    }),
    { numRuns: 100 },
  );
});

test('content at the edges of a block and of the reach of matches', () => {
  for (const length of [0, 1, 32_767, 32_768, 32_769, 65_536, 98_305]) {
    const bytes = Buffer.alloc(length, 'abcdefg').map((byte, i) => (i % 977 === 0 ? i & 255 : byte));
    expect(gunzipSync(gzip(bytes, 1000)).equals(bytes), `${length} bytes`).toBe(true);
  }
});

test('text shrinks to less than one and a half times what zlib level 1 makes of it, random bytes hardly grow', () => {
  const text = Buffer.from(
    Array.from({ length: 3000 }, (_, i) => `key-${i}: value number ${i * 7919}\n`).join(''),
  );
  expect(gzip(text, 5000).length).toBeLessThan(1.5 * gzipSync(text, { level: 1 }).length);
  const noise = createHash('shake256', { outputLength: 100_000 }).update('noise').digest();
  expect(gzip(noise, 5000).length).toBeLessThan(noise.length + 100);
});

test('the header holds no time and no system, and the bytes are the ones of every earlier version', () => {
  const packed = gzip(Buffer.from('services:\n    web:\n        image: web\n'.repeat(50)), 64);
  expect([...packed.subarray(0, 10)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
  expect(createHash('sha256').update(packed).digest('hex')).toMatchInlineSnapshot(
    `"5029b33d8426ef13c968aaec9b9681665316ea8160dde26708b5a05f72dc48aa"`,
  );
});

test("crc32 is zlib's", () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => crc32(bytes) === nodeCrc32(bytes)));
});

/** Cheap judgements about content, made before the costly ones: is it compressed, does it resemble that file? */
import { deflateRawSync } from 'node:zlib';

/** First bytes of formats whose content is compressed already. */
const COMPRESSED_MAGIC: readonly (readonly number[])[] = [
  [0x1f, 0x8b], // gzip
  [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], // xz
  [0x28, 0xb5, 0x2f, 0xfd], // zstd
  [0x42, 0x5a, 0x68], // bzip2
  [0x04, 0x22, 0x4d, 0x18], // lz4
  [0x89, 0x4c, 0x5a, 0x4f], // lzop
  [0x5d, 0x00, 0x00], // lzma
  [0x89, 0x50, 0x4e, 0x47], // png
  [0xff, 0xd8, 0xff], // jpeg
  [0x50, 0x4b, 0x03, 0x04], // zip, jar, wheel
  [0x68, 0x73, 0x71, 0x73], // squashfs
  [0x77, 0x4f, 0x46, 0x32], // woff2
];

/** Files smaller than this are judged by their first bytes: they tell too little otherwise. */
const MIN_SAMPLE = 4096;

/** Bytes of a block, and how many of them spread over the content are looked at. */
const BLOCK = 1024;
const BLOCKS = 16;

/** Entropy in bits per byte from which compressing a sample is worth the try: code has about 6, text 5. */
const SUSPICIOUS_ENTROPY = 7.5;

/** A sample that deflate cannot bring below this share of its size is compressed already. */
const COMPRESSED_SHARE = 0.97;

/** Noise of this size, in bytes, is worth parts of its own. */
export const MUCH_NOISE = 1 << 20;

/** How much smaller a general compressor may make content. */
export type Compressibility = 'some' | 'hardly' | 'none';

/** Judges by the bytes only. `none` is said of much content only, `hardly` is what is compressed inside. */
export function compressibility(content: Uint8Array): Compressibility {
  if (content.length < MIN_SAMPLE) {
    const known = COMPRESSED_MAGIC.some((magic) => magic.every((value, i) => content[i] === value));
    return known ? 'hardly' : 'some';
  }
  const blocks = Math.min(BLOCKS, Math.floor(content.length / BLOCK));
  const stride = blocks < 2 ? 0 : Math.floor((content.length - BLOCK) / (blocks - 1));
  const sample = new Uint8Array(blocks * BLOCK);
  for (let i = 0; i < blocks; i++) sample.set(content.subarray(i * stride, i * stride + BLOCK), i * BLOCK);
  const counts = new Uint32Array(256);
  for (const value of sample) counts[value] = (counts[value] ?? 0) + 1;
  if (entropy(counts, sample.length) < SUSPICIOUS_ENTROPY) return 'some';
  const deflated = deflateRawSync(sample, { level: 1 }).length;
  if (deflated <= COMPRESSED_SHARE * sample.length) return 'some';
  return content.length >= MUCH_NOISE && deflated >= sample.length ? 'none' : 'hardly';
}

/** True for content that neither a general compressor nor a matcher will make smaller. */
export function looksCompressed(content: Uint8Array): boolean {
  return compressibility(content) !== 'some';
}

/** A file whose stored form is no smaller than this share of it is compressed already, or nearly all of it is. */
export const STORED_SHARE = 0.9;

/** True for content that is compressed inside, nearly all of it at least, judged by its size and that of its `.filez`. */
export function isCompressed({
  size,
  storedBytes,
}: {
  readonly size: number;
  readonly storedBytes: number;
}): boolean {
  return storedBytes >= STORED_SHARE * size;
}

/** Order-0 entropy in bits per byte, of `total` bytes counted by value. */
export function entropy(counts: Uint32Array, total: number): number {
  let bits = 0;
  for (const count of counts) {
    if (count > 0) bits -= (count / total) * Math.log2(count / total);
  }
  return bits;
}

/** Bytes a sample covers. */
const SHINGLE = 16;

const BASE = 0x01000193;

/** BASE to the power of SHINGLE, modulo 2^32: what the byte that leaves the window has been multiplied by. */
const LEAVING = Array.from({ length: SHINGLE }).reduce<number>((power) => Math.imul(power, BASE), 1);

/**
 * Hashes of the shingles whose hash ends in `rateBits` zero bits, so about one in 2^rateBits of the content.
 * The content itself decides which ones, so an insertion does not change the choice elsewhere.
 */
export function sampleContent(content: Uint8Array, rateBits: number): ReadonlySet<number> {
  const samples = new Set<number>();
  const shift = 32 - rateBits;
  let hash = 0;
  for (let i = 0; i < content.length; i++) {
    hash = (Math.imul(hash, BASE) + (content[i] ?? 0)) | 0;
    if (i >= SHINGLE) hash = (hash - Math.imul(LEAVING, content[i - SHINGLE] ?? 0)) | 0;
    if (i < SHINGLE - 1) continue;
    const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    if (rateBits === 0 || mixed >>> shift === 0) samples.add(mixed);
  }
  return samples;
}

/** The rate at which a file of this size gives some hundreds to thousands of samples. */
export function sampleRate(size: number): number {
  let bits = 0;
  while (bits < 12 && size >> bits > 2048) bits++;
  return bits;
}

/** The share of `fresh`'s samples that `old` has too, from 0 to 1. */
export function sharedSamples(old: ReadonlySet<number>, fresh: ReadonlySet<number>): number {
  if (fresh.size === 0) return 0;
  let shared = 0;
  for (const sample of fresh) if (old.has(sample)) shared++;
  return shared / fresh.size;
}

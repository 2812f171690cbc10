/**
 * A gzip writer (RFC 1952 over RFC 1951) whose bytes depend on its input alone.
 *
 * An app's digest covers its compressed archive. zlib gives other bytes after an update of Node, on another
 * processor or when a distribution links its own zlib, and every such change would look like a new app to the
 * devices. Matches are found with a hash chain and written with the fixed Huffman codes; what does not shrink is
 * stored. Text comes out a tenth to a third larger than from zlib's fastest level.
 */
import { concatBytes } from '../core/bytes.ts';

/** Bytes per block and reach of a match. A stored block holds at most 65,535. */
const CHUNK = 32_768;
const MIN_MATCH = 4;
const MAX_MATCH = 258;
const MAX_CHAIN = 64;
const HASH_BITS = 15;

/** Smallest length and number of extra bits of the length codes 257..285 (RFC 1951, 3.2.5). */
const LENGTH_BASE: number[] = [];
const LENGTH_EXTRA: number[] = [];
const DISTANCE_BASE: number[] = [];
const DISTANCE_EXTRA: number[] = [];
for (let code = 0, base = 3; code < 28; code++) {
  const extra = code < 8 ? 0 : (code >> 2) - 1;
  LENGTH_BASE.push(base);
  LENGTH_EXTRA.push(extra);
  base += 1 << extra;
}
LENGTH_BASE.push(MAX_MATCH);
LENGTH_EXTRA.push(0);
for (let code = 0, base = 1; code < 30; code++) {
  const extra = code < 4 ? 0 : (code >> 1) - 1;
  DISTANCE_BASE.push(base);
  DISTANCE_EXTRA.push(extra);
  base += 1 << extra;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** Continues a CRC-32; start with 0. */
export function crc32(bytes: Uint8Array, start = 0): number {
  let crc = ~start;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0);
  return ~crc >>> 0;
}

/** Bits from the least significant on; Huffman codes go in reversed. */
interface BitWriter {
  bits(value: number, count: number): void;
  align(): void;
  bytes(bytes: Uint8Array): void;
  take(): Uint8Array;
}

function bitWriter(): BitWriter {
  let out = new Uint8Array(1 << 16);
  let length = 0;
  let hold = 0;
  let held = 0;
  const room = (more: number): void => {
    if (length + more <= out.length) return;
    const grown = new Uint8Array(2 * (out.length + more));
    grown.set(out);
    out = grown;
  };
  return {
    bits: (value, count) => {
      hold |= value << held;
      held += count;
      room(4);
      while (held >= 8) {
        out[length++] = hold & 0xff;
        hold >>>= 8;
        held -= 8;
      }
    },
    align: () => {
      if (held === 0) return;
      room(1);
      out[length++] = hold & 0xff;
      hold = 0;
      held = 0;
    },
    bytes: (bytes) => {
      room(bytes.length);
      out.set(bytes, length);
      length += bytes.length;
    },
    take: () => {
      const whole = out.slice(0, length);
      length = 0;
      return whole;
    },
  };
}

function reverse(value: number, count: number): number {
  let out = 0;
  for (let i = 0; i < count; i++) out = (out << 1) | ((value >> i) & 1);
  return out;
}

/** The fixed literal/length code, already reversed: code and its length in bits. */
const FIXED = Array.from({ length: 286 }, (_, symbol) => {
  const [code, bits] =
    symbol < 144
      ? [0x30 + symbol, 8]
      : symbol < 256
        ? [0x190 + symbol - 144, 9]
        : symbol < 280
          ? [symbol - 256, 7]
          : [0xc0 + symbol - 280, 8];
  return { code: reverse(code, bits), bits };
});

function codeFor(bases: readonly number[], value: number): number {
  let low = 0;
  let high = bases.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((bases[middle] ?? 0) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

function writeSymbol(out: BitWriter, symbol: number): void {
  const fixed = FIXED[symbol];
  if (fixed !== undefined) out.bits(fixed.code, fixed.bits);
}

function writeMatch(out: BitWriter, length: number, distance: number): void {
  const lengthCode = codeFor(LENGTH_BASE, length);
  writeSymbol(out, 257 + lengthCode);
  out.bits(length - (LENGTH_BASE[lengthCode] ?? 0), LENGTH_EXTRA[lengthCode] ?? 0);
  const distanceCode = codeFor(DISTANCE_BASE, distance);
  out.bits(reverse(distanceCode, 5), 5);
  out.bits(distance - (DISTANCE_BASE[distanceCode] ?? 0), DISTANCE_EXTRA[distanceCode] ?? 0);
}

function hashAt(bytes: Uint8Array, at: number): number {
  const word =
    (bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24);
  return Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS);
}

/** One block of the chunk that starts at `from` of `window`; matches reach back to the window's start. */
function writeFixedBlock(out: BitWriter, window: Uint8Array, from: number): void {
  const heads = new Int32Array(1 << HASH_BITS).fill(-1);
  const previous = new Int32Array(window.length);
  const insert = (at: number): void => {
    if (at + MIN_MATCH > window.length) return;
    const slot = hashAt(window, at);
    previous[at] = heads[slot] ?? -1;
    heads[slot] = at;
  };
  for (let at = 0; at < from; at++) insert(at);
  out.bits(0, 1);
  out.bits(1, 2);
  let at = from;
  while (at < window.length) {
    const { length, distance } = longestMatch(window, at, heads, previous);
    if (length >= MIN_MATCH) writeMatch(out, length, distance);
    else writeSymbol(out, window[at] ?? 0);
    const step = length >= MIN_MATCH ? length : 1;
    for (let i = 0; i < step; i++) insert(at + i);
    at += step;
  }
  writeSymbol(out, 256);
}

function longestMatch(
  window: Uint8Array,
  at: number,
  heads: Int32Array,
  previous: Int32Array,
): { length: number; distance: number } {
  let best = 0;
  let distance = 0;
  const most = Math.min(MAX_MATCH, window.length - at);
  if (most < MIN_MATCH) return { length: 0, distance: 0 };
  let candidate = heads[hashAt(window, at)] ?? -1;
  for (let tries = 0; candidate >= 0 && at - candidate <= CHUNK && tries < MAX_CHAIN; tries++) {
    if (window[candidate + best] === window[at + best]) {
      let length = 0;
      while (length < most && window[candidate + length] === window[at + length]) length++;
      if (length > best) {
        best = length;
        distance = at - candidate;
        if (best === most) break;
      }
    }
    candidate = previous[candidate] ?? -1;
  }
  return { length: best, distance };
}

function writeStoredBlock(out: BitWriter, chunk: Uint8Array): void {
  out.bits(0, 3);
  out.align();
  const { length } = chunk;
  out.bytes(Uint8Array.of(length & 0xff, length >> 8, ~length & 0xff, (~length >> 8) & 0xff));
  out.bytes(chunk);
}

export interface GzipWriter {
  /** Compressed bytes that are ready, possibly none. */
  push(bytes: Uint8Array): Uint8Array;
  /** The rest. */
  finish(): Uint8Array;
}

/** A gzip member with time 0, no name and the operating system "unknown". Input may come in any pieces. */
export function createGzipWriter(): GzipWriter {
  const out = bitWriter();
  out.bytes(Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255));
  let history = new Uint8Array(0);
  let pending: Uint8Array[] = [];
  let waiting = 0;
  let crc = 0;
  let size = 0;

  const compress = (chunk: Uint8Array): void => {
    const window = concatBytes([history, chunk]);
    const trial = bitWriter();
    writeFixedBlock(trial, window, history.length);
    // An empty stored block brings the next one to a byte boundary, so each chunk can be chosen by its size alone.
    writeStoredBlock(trial, new Uint8Array(0));
    const packed = trial.take();
    if (packed.length < chunk.length + 5) out.bytes(packed);
    else writeStoredBlock(out, chunk);
    history = window.slice(Math.max(0, window.length - CHUNK));
  };
  return {
    push: (bytes) => {
      crc = crc32(bytes, crc);
      size += bytes.length;
      pending.push(bytes);
      waiting += bytes.length;
      if (waiting >= CHUNK) {
        const all = concatBytes(pending);
        let at = 0;
        for (; all.length - at >= CHUNK; at += CHUNK) compress(all.subarray(at, at + CHUNK));
        pending = [all.slice(at)];
        waiting = all.length - at;
      }
      return out.take();
    },
    finish: () => {
      if (waiting > 0) compress(concatBytes(pending));
      // The last block: fixed codes, nothing but its end.
      out.bits(1, 1);
      out.bits(1, 2);
      writeSymbol(out, 256);
      out.align();
      const trailer = new DataView(new ArrayBuffer(8));
      trailer.setUint32(0, crc, true);
      trailer.setUint32(4, size % 2 ** 32, true);
      out.bytes(new Uint8Array(trailer.buffer));
      return out.take();
    },
  };
}

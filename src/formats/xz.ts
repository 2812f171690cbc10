/**
 * What an .xz stream says about the memory its reader needs, and streams that hold content as it is. Source: the .xz
 * file format, version 1.2.1; LZMA2's chunks as liblzma reads them (lzma2_decoder.c).
 */
import { concatBytes } from '../core/bytes.ts';
import { crc32 } from '../core/crc32.ts';

/** Bytes that hold the headers looked at here. */
export const XZ_HEADERS = 64;

const MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] as const;
const STREAM_HEADER = 12;
const LZMA2 = 0x21;

/** The window, which xz calls dictionary, in bytes, of the first block's LZMA2 filter; undefined for other filters and for what is not xz. */
export function xzDictionary(head: Uint8Array): number | undefined {
  if (!MAGIC.every((value, i) => head[i] === value)) return undefined;
  const flags = head[STREAM_HEADER + 1] ?? 0;
  let at = STREAM_HEADER + 2;
  // Compressed and uncompressed size may stand before the filters, as numbers of seven bits a byte.
  for (const present of [0x40, 0x80]) {
    if ((flags & present) === 0) continue;
    while (((head[at] ?? 0) & 0x80) !== 0) at++;
    at++;
  }
  const bits = head[at + 2];
  if (head[at] !== LZMA2 || head[at + 1] !== 1 || bits === undefined || bits > 40) return undefined;
  return bits === 40 ? 0xffffffff : (2 | (bits & 1)) * 2 ** (Math.floor(bits / 2) + 11);
}

/** The largest chunk of LZMA2 that is not compressed, in bytes, and the window its stream asks for. */
const STORED_CHUNK = 64 << 10;
const STORED_WINDOW_BITS = 8;

/** What begins a chunk that is not compressed: the first one empties the reader's window. */
const FIRST_CHUNK = 1;
const NEXT_CHUNK = 2;

const CHECK_CRC32 = 1;
const FOOTER_MAGIC = [0x59, 0x5a] as const;

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function withCrc(bytes: Uint8Array): Uint8Array {
  return concatBytes([bytes, uint32(crc32(bytes))]);
}

/** Seven bits a byte, the lowest first. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  return [...bytes, value];
}

function padded(bytes: Uint8Array): Uint8Array {
  return concatBytes([bytes, new Uint8Array(-bytes.length & 3)]);
}

/** An .xz stream of `content` in chunks that are not compressed: 3 bytes more for each 64 KiB, and 60 around them. */
export async function* storedXz(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const flags = Uint8Array.of(0, CHECK_CRC32);
  yield concatBytes([Uint8Array.from(MAGIC), withCrc(flags)]);
  const header = withCrc(Uint8Array.of(2, 0, LZMA2, 1, STORED_WINDOW_BITS, 0, 0, 0));
  yield header;

  let size = 0;
  let chunks = 0;
  let check = 0;
  const held = new Uint8Array(STORED_CHUNK);
  let filled = 0;
  const chunk = (): Uint8Array => {
    const bytes = held.subarray(0, filled);
    const last = filled - 1;
    check = crc32(bytes, check);
    size += filled;
    filled = 0;
    return concatBytes([
      Uint8Array.of(chunks++ === 0 ? FIRST_CHUNK : NEXT_CHUNK, last >> 8, last & 0xff),
      bytes,
    ]);
  };
  for await (const bytes of content) {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + STORED_CHUNK - filled);
      held.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled === STORED_CHUNK) yield chunk();
    }
  }
  if (filled > 0) yield chunk();

  const packed = size + 3 * chunks + 1;
  // The end of the chunks is a zero byte, and so is what fills up to a multiple of four.
  yield concatBytes([new Uint8Array(1 + (-packed & 3)), uint32(check)]);
  const index = withCrc(
    padded(Uint8Array.from([0, 1, ...varint(header.length + packed + 4), ...varint(size)])),
  );
  yield index;
  const sizes = concatBytes([uint32(index.length / 4 - 1), flags]);
  yield concatBytes([uint32(crc32(sizes)), sizes, Uint8Array.from(FOOTER_MAGIC)]);
}

/** What an .xz stream says about the memory its reader needs. Source: the .xz file format, version 1.2.1. */

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

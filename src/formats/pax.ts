/**
 * What surrounds a tar entry's content: the 512-byte header block and the records of a pax extended header.
 * Source: POSIX.1-2017 `pax`, "ustar Interchange Format" and "pax Extended Header". Values stay bytes here,
 * because SCHILY.xattr.* holds binary ones.
 */
import { fromUtf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';

/** Header and data of an archive come in units of this many bytes. */
export const TAR_BLOCK = 512;

/** Records of a pax header by keyword; a later record replaces an earlier one. */
export type PaxRecords = ReadonlyMap<string, Uint8Array>;

const SPACE = 0x20;
const NEWLINE = 0x0a;
const EQUALS = 0x3d;

function bad(message: string): TreewrightError {
  return new TreewrightError('input/bad-archive', `a pax header is damaged: ${message}`);
}

/** `length keyword=value\n`, where length counts the bytes of the whole record in decimal digits. */
export function decodePaxRecords(bytes: Uint8Array): PaxRecords {
  const records = new Map<string, Uint8Array>();
  let at = 0;
  while (at < bytes.length) {
    // Some writers pad the last block inside the stated size.
    if (bytes[at] === 0) break;
    let length = 0;
    let digits = at;
    for (; digits < bytes.length && bytes[digits] !== SPACE; digits++) {
      const digit = (bytes[digits] ?? 0) - 0x30;
      if (digit < 0 || digit > 9 || digits - at > 10) throw bad(`no record length at byte ${at}`);
      length = length * 10 + digit;
    }
    const end = at + length;
    if (end > bytes.length || end < digits + 3 || bytes[end - 1] !== NEWLINE) {
      throw bad(`the record at byte ${at} says it has ${length} bytes, which does not fit`);
    }
    const equals = bytes.indexOf(EQUALS, digits + 1);
    if (equals < 0 || equals >= end - 1) throw bad(`the record at byte ${at} has no "="`);
    const keyword = fromUtf8(bytes.subarray(digits + 1, equals));
    if (keyword === undefined) throw bad(`the keyword at byte ${at} is not valid UTF-8`);
    records.set(keyword, bytes.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** The type flag of a header block, as a character; NUL means a regular file in old archives. */
export function tarTypeFlag(block: Uint8Array): string {
  const flag = block[156] ?? 0;
  return flag === 0 ? '0' : String.fromCharCode(flag);
}

/** The size field of a header block in bytes: octal digits, or base-256 when the top bit is set (GNU, star). */
export function tarSize(block: Uint8Array): number {
  const field = block.subarray(124, 136);
  if (((field[0] ?? 0) & 0x80) !== 0) {
    let size = (field[0] ?? 0) & 0x7f;
    for (const byte of field.subarray(1)) size = size * 256 + byte;
    return size;
  }
  const digits = /^[ \0]*([0-7]*)/.exec(String.fromCharCode(...field))?.[1] ?? '';
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

/** Data of `size` bytes takes whole blocks. */
export function paddedSize(size: number): number {
  return Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
}

/** A decimal pax value such as `uid`; undefined when it is not one. */
export function paxNumber(value: Uint8Array): number | undefined {
  const text = String.fromCharCode(...value.subarray(0, 32));
  return /^\d{1,16}$/.test(text) ? Number(text) : undefined;
}

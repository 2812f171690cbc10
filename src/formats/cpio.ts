/**
 * cpio archives in the form "newc", which the kernel unpacks as its first root.
 * Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
 */
import { concatBytes, fromUtf8, utf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';

export interface CpioEntry {
  /** Relative, without a leading slash. */
  readonly path: string;
  /** With the file type. */
  readonly mode: number;
  /** Content of a file, target of a symlink, empty otherwise. */
  readonly content: Uint8Array;
  /** Of a device node. */
  readonly device?: { readonly major: number; readonly minor: number };
}

const MAGIC = '070701';
const HEADER = 110;
const TRAILER = 'TRAILER!!!';

/** An archive of root's files with one time, seconds since 1970; the order is the caller's. */
export function encodeCpio(entries: readonly CpioEntry[], mtime: number): Uint8Array {
  const parts = entries.flatMap((entry, i) => encodeEntry(entry, i + 1, mtime));
  parts.push(...encodeEntry({ path: TRAILER, mode: 0, content: new Uint8Array() }, 0, 0));
  return concatBytes(parts);
}

function encodeEntry({ path, mode, content, device }: CpioEntry, inode: number, mtime: number): Uint8Array[] {
  const name = utf8(`${path}\0`);
  const fields = [
    inode,
    mode,
    0,
    0,
    (mode & 0o170000) === 0o040000 ? 2 : 1,
    mtime,
    content.length,
    0,
    0,
    device?.major ?? 0,
    device?.minor ?? 0,
    name.length,
    // A checksum is used by the other form only.
    0,
  ];
  const header = utf8(MAGIC + fields.map((field) => field.toString(16).padStart(8, '0')).join(''));
  return [header, name, padding(HEADER + name.length), content, padding(content.length)];
}

function padding(size: number): Uint8Array {
  return new Uint8Array((4 - (size % 4)) % 4);
}

/**
 * The entries of one archive and where it ends: others may follow it, as microcode precedes a distribution's.
 *
 * @throws TreewrightError `input/bad-cpio`
 */
export function decodeCpio(bytes: Uint8Array): { readonly entries: CpioEntry[]; readonly end: number } {
  const entries: CpioEntry[] = [];
  const bad = (message: string): TreewrightError =>
    new TreewrightError('input/bad-cpio', `the cpio archive is damaged: ${message}`);
  const aligned = (at: number): number => Math.ceil(at / 4) * 4;
  for (let at = 0; ;) {
    if (at + HEADER > bytes.length) throw bad(`it ends at byte ${bytes.length} without a trailer`);
    const header = fromUtf8(bytes.subarray(at, at + HEADER)) ?? '';
    if (!/^07070[12][0-9a-fA-F]{104}$/.test(header)) throw bad(`no header at byte ${at}`);
    const field = (index: number): number => Number.parseInt(header.slice(6 + 8 * index, 14 + 8 * index), 16);
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    const nameEnd = at + HEADER + nameSize;
    const start = aligned(nameEnd);
    if (nameSize < 1 || start + size > bytes.length) throw bad(`the entry at byte ${at} does not fit`);
    const path = fromUtf8(bytes.subarray(at + HEADER, nameEnd - 1));
    if (path === undefined) throw bad(`the name at byte ${at} is not UTF-8`);
    if (path === TRAILER) return { entries, end: aligned(start + size) };
    const isDevice = (mode & 0o170000) === 0o020000 || (mode & 0o170000) === 0o060000;
    entries.push({
      path,
      mode,
      content: bytes.subarray(start, start + size),
      ...(isDevice ? { device: { major: field(9), minor: field(10) } } : {}),
    });
    at = aligned(start + size);
  }
}

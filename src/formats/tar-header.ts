/**
 * Headers of a tar archive with pax records. tar-stream, which reads archives here, writes records as text only;
 * xattrs such as security.capability are not. Source: POSIX.1-2017 `pax`; SCHILY.xattr.* as star and GNU tar have it.
 */
import { concatBytes, utf8 } from '../core/bytes.ts';
import { TAR_BLOCK, paddedSize } from './pax.ts';

export interface TarEntry {
  readonly type: 'file' | 'link' | 'symlink' | 'directory';
  readonly path: string;
  /** Of a link or symlink. */
  readonly target?: string;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content that follow; 0 for anything but a file. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly xattrs: readonly { readonly name: string; readonly value: Uint8Array }[];
}

const TYPE_FLAG = { file: '0', link: '1', symlink: '2', directory: '5' } as const;
const PAX_FLAG = 'x';

/** Largest values of fields with 7 and 11 octal digits. */
const MAX_ID = 0o7777777;
const MAX_SIZE = 0o77777777777;

/** The header blocks of an entry; its content, padded to whole blocks, follows. */
export function encodeTarHeader(entry: TarEntry): Uint8Array {
  const records: [string, Uint8Array | string][] = [];
  const { path, target } = entry;
  if (!isPlain(path)) records.push(['path', path]);
  if (target !== undefined && !isPlain(target)) records.push(['linkpath', target]);
  if (entry.uid > MAX_ID) records.push(['uid', String(entry.uid)]);
  if (entry.gid > MAX_ID) records.push(['gid', String(entry.gid)]);
  if (entry.size > MAX_SIZE) records.push(['size', String(entry.size)]);
  for (const { name, value } of entry.xattrs) records.push([`SCHILY.xattr.${name}`, value]);
  const header = block(entry, TYPE_FLAG[entry.type]);
  if (records.length === 0) return header;
  const data = encodePaxRecords(records);
  const pax = { ...entry, path: 'PaxHeader', mode: 0o644, uid: 0, gid: 0, size: data.length };
  const padding = new Uint8Array(paddedSize(data.length) - data.length);
  return concatBytes([block({ ...pax, target: '' }, PAX_FLAG), data, padding, header]);
}

/** Two blocks of zeros. */
export const TAR_END = new Uint8Array(2 * TAR_BLOCK);

/** `length keyword=value\n` for each record, where length counts the whole record in decimal digits. */
export function encodePaxRecords(records: Iterable<readonly [string, Uint8Array | string]>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [keyword, value] of records) {
    const head = utf8(` ${keyword}=`);
    const bytes = typeof value === 'string' ? utf8(value) : value;
    const rest = head.length + bytes.length + 1;
    let length = rest + String(rest).length;
    // One more digit may make the number itself longer.
    if (String(length).length > String(rest).length) length = rest + String(length).length;
    parts.push(utf8(String(length)), head, bytes, utf8('\n'));
  }
  return concatBytes(parts);
}

/** Fits into the name field of a header as it is. */
function isPlain(name: string): boolean {
  return name.length <= 100 && /^[\x20-\x7e]*$/.test(name);
}

function block(entry: Omit<TarEntry, 'type' | 'xattrs'>, flag: string): Uint8Array {
  const bytes = new Uint8Array(TAR_BLOCK);
  const put = (offset: number, text: string): void => bytes.set(utf8(text), offset);
  const octal = (offset: number, digits: number, value: number, limit: number): void =>
    put(offset, (value > limit ? 0 : value).toString(8).padStart(digits, '0'));
  // What does not fit is in the pax records; the field holds something for readers that do not know those.
  put(0, isPlain(entry.path) ? entry.path : 'long-name');
  octal(100, 7, entry.mode & 0o7777, MAX_ID);
  octal(108, 7, entry.uid, MAX_ID);
  octal(116, 7, entry.gid, MAX_ID);
  octal(124, 11, entry.size, MAX_SIZE);
  octal(136, 11, entry.mtime, MAX_SIZE);
  put(156, flag);
  const { target = '' } = entry;
  put(157, isPlain(target) ? target : 'long-name');
  put(257, 'ustar\0' + '00');
  // The sum counts its own field as spaces.
  bytes.fill(0x20, 148, 156);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, '0')}\0 `);
  return bytes;
}

import { fromUtf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';
import type { PaxRecords } from '../formats/pax.ts';
import type { Xattr } from '../tree/types.ts';

const SCHILY = 'SCHILY.xattr.';
const LIBARCHIVE = 'LIBARCHIVE.xattr.';

/**
 * The xattrs of an entry. GNU tar and star write `SCHILY.xattr.<name>` with the bytes as they are, GNU tar with
 * `=` and `%` of the name as %3D and %25 (xheader.c); libarchive writes `LIBARCHIVE.xattr.<URL-encoded name>`
 * with a base64 value, mostly beside the other. Both forms of one name hold the same.
 */
export function paxXattrs(pax: PaxRecords, path: string): Xattr[] {
  const xattrs = new Map<string, Uint8Array>();
  for (const [keyword, value] of pax) {
    if (keyword.startsWith(SCHILY)) {
      const name = keyword
        .slice(SCHILY.length)
        .replace(/%3[dD]/g, '=')
        .replace(/%25/g, '%');
      // A copy, because the value is a view into a large chunk of the archive, which it would keep in memory.
      xattrs.set(checked(name, path), new Uint8Array(value));
    } else if (keyword.startsWith(LIBARCHIVE)) {
      const name = checked(urlDecode(keyword.slice(LIBARCHIVE.length), path), path);
      if (!xattrs.has(name)) xattrs.set(name, base64(value, name, path));
    }
  }
  return [...xattrs].map(([name, value]) => ({ name, value }));
}

function bad(path: string, reason: string): TreewrightError {
  return new TreewrightError('input/bad-archive', `an xattr of ${JSON.stringify(path)} ${reason}`, {
    data: { path },
  });
}

function checked(name: string, path: string): string {
  if (name === '' || name.includes('\0')) throw bad(path, 'has an empty name or one with a NUL');
  return name;
}

function urlDecode(text: string, path: string): string {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const hex = /^%[0-9A-Fa-f]{2}/.exec(text.slice(at, at + 3));
    if (hex === null) bytes.push(text.charCodeAt(at));
    else {
      bytes.push(Number.parseInt(text.slice(at + 1, at + 3), 16));
      at += 2;
    }
  }
  const name = fromUtf8(Uint8Array.from(bytes));
  if (name === undefined) throw bad(path, `has the name ${JSON.stringify(text)}, which is not valid UTF-8`);
  return name;
}

function base64(value: Uint8Array, name: string, path: string): Uint8Array {
  const text = Buffer.from(value).toString('latin1').replace(/\s/g, '');
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
    throw bad(path, `, ${JSON.stringify(name)}, is not base64 as LIBARCHIVE.xattr values must be`);
  }
  return new Uint8Array(Buffer.from(text, 'base64'));
}

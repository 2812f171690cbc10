/**
 * Names on a FAT file system: what a name may be, the 8.3 alias that stands beside a long one, and the checksum that
 * ties the two together. Source: Microsoft FAT specification (fatgen103 and its 2005 contribution), sections 6.1, 7.
 */
import { TreewrightError } from '../core/errors.ts';

/** UTF-16 units of a long name. */
const MAX_NAME = 255;

/** Bytes of an 8.3 name without its dot. */
export const SHORT_NAME_SIZE = 11;

const FORBIDDEN = /["*/:<>?\\|\u0000-\u001f\u007f]/;

/** Characters of a short name; the specification also allows a blank and codes above 127, which tools disagree on. */
const SHORT_CHARACTERS = /^[A-Z0-9$%'\-_@~`!(){}^#&]+$/;

const NOT_SHORT = /[^A-Z0-9$%'\-_@~`!(){}^#&]/g;

/** Why a file or directory cannot have this name on a FAT file system, or undefined when it can. */
export function fatNameProblem(name: string): string | undefined {
  if (name === '' || name === '.' || name === '..') return 'it is no name';
  if (name.length > MAX_NAME) return `it has ${name.length} characters, at most ${MAX_NAME} are possible`;
  const odd = FORBIDDEN.exec(name)?.[0];
  if (odd !== undefined) return `${JSON.stringify(odd)} cannot be part of it`;
  // Readers drop them, so that the file would not be found under its name, or would hide another one.
  if (name.endsWith('.') || name.endsWith(' ')) return 'it ends in a dot or a blank, which readers drop';
  if (name.startsWith(' ')) return 'it starts with a blank, which readers drop';
  if (!name.isWellFormed()) return 'it is not valid Unicode';
  return undefined;
}

/** Names with the same key are one name on a FAT file system, which does not tell upper from lower case. */
export function fatNameKey(name: string): string {
  return name.toUpperCase();
}

/** True when an entry needs no long name beside it: an 8.3 name without small letters. */
export function isShortName(name: string): boolean {
  const [base = '', extension, ...more] = name.split('.');
  if (more.length > 0 || base.length > 8 || !SHORT_CHARACTERS.test(base)) return false;
  return extension === undefined || (extension.length <= 3 && SHORT_CHARACTERS.test(extension));
}

/** `BASE.EXT` as the 11 bytes of a directory entry, padded with blanks. */
export function shortNameBytes(name: string): Uint8Array {
  const [base = '', extension = ''] = name.split('.');
  const padded = base.padEnd(8) + extension.padEnd(3);
  return Uint8Array.from({ length: SHORT_NAME_SIZE }, (_, i) => padded.charCodeAt(i));
}

/** The checksum of an 8.3 name that each entry of its long name carries. */
export function shortNameChecksum(short: Uint8Array): number {
  let sum = 0;
  for (const byte of short) sum = (((sum & 1) << 7) + (sum >>> 1) + byte) & 0xff;
  return sum;
}

/**
 * 8.3 names for all entries of a directory, in the order of `names`. A name that is one already keeps it; the others
 * get their capitals, or where those do not fit their first letters and `~1`, `~2`, ….
 *
 * @throws TreewrightError `input/fat-names` when no alias is left, after a million of the same beginning
 */
export function shortNames(names: readonly string[]): string[] {
  // Long and short names share one space: an alias must not be the long name of another file.
  const taken = new Set(names.map(fatNameKey));
  const next = new Map<string, number>();
  return names.map((name) => {
    if (isShortName(name)) return name;
    const { base, extension, lossy } = basis(name);
    const dotted = extension === '' ? '' : `.${extension}`;
    if (!lossy) return base + dotted;
    const key = `${base.slice(0, 6)}${dotted}`;
    for (let number = next.get(key) ?? 1; number < 1_000_000; number++) {
      const tail = `~${number}`;
      const candidate = `${base.slice(0, 8 - tail.length)}${tail}${dotted}`;
      if (taken.has(candidate)) continue;
      taken.add(candidate);
      next.set(key, number + 1);
      return candidate;
    }
    throw new TreewrightError('input/fat-names', `no 8.3 name is left for ${JSON.stringify(name)}`);
  });
}

/** The "basis name" of the specification: what of a name fits into 8.3, and whether something was lost. */
function basis(name: string): { base: string; extension: string; lossy: boolean } {
  const upper = fatNameKey(name);
  const stripped = upper.replaceAll(' ', '').replace(/^\.+/, '');
  const dot = stripped.lastIndexOf('.');
  const rawBase = (dot < 0 ? stripped : stripped.slice(0, dot)).replaceAll('.', '');
  const rawExtension = dot < 0 ? '' : stripped.slice(dot + 1);
  const base = rawBase.replace(NOT_SHORT, '_').slice(0, 8);
  const extension = rawExtension.replace(NOT_SHORT, '_').slice(0, 3);
  const kept = extension === '' ? base : `${base}.${extension}`;
  return { base: base === '' ? '_' : base, extension, lossy: kept !== upper };
}

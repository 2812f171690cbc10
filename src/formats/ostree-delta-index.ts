/**
 * Names and paths of OSTree static deltas, and the index that lists every delta leading to a commit.
 * Source: libostree ostree-core.c (paths and names), ostree-repo-static-delta-core.c (index).
 */
import type { Checksum } from '../core/checksum.ts';
import { checksumFromBytes, checksumToBytes, isChecksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import type { Vardict } from './gvariant.ts';
import { lookup, vardict } from './gvariant.ts';
import { MAX_METADATA_SIZE } from './ostree-objects.ts';

function fail(message: string): never {
  throw new TreewrightError('input/bad-delta', message);
}

/** The two ends of a delta; without `from` it builds the commit from nothing. */
export interface DeltaEnds {
  readonly from?: Checksum | undefined;
  readonly to: Checksum;
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_';

/** 43 characters of base64 with `_` for `/` and no padding, which is how delta directories are named. */
export function checksumToBase64(checksum: Checksum): string {
  const bytes = checksumToBytes(checksum);
  let text = '';
  for (let at = 0; at < 33; at += 3) {
    const group = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    for (let shift = 18; shift >= 0; shift -= 6) text += BASE64[(group >> shift) & 63] ?? '';
  }
  return text.slice(0, 43);
}

/** The checksum behind 43 characters of modified base64, or undefined when `text` is not the canonical form of one. */
export function checksumFromBase64(text: string): Checksum | undefined {
  if (text.length !== 43) return undefined;
  const bytes = new Uint8Array(33);
  for (let i = 0; i < 44; i += 4) {
    let group = 0;
    for (let j = i; j < i + 4; j++) {
      const value = j === 43 ? 0 : BASE64.indexOf(text[j] ?? '');
      if (value < 0) return undefined;
      group = (group << 6) | value;
    }
    bytes.set([group >> 16, (group >> 8) & 255, group & 255], (i / 4) * 3);
  }
  const checksum = checksumFromBytes(bytes.subarray(0, 32));
  return checksumToBase64(checksum) === text ? checksum : undefined;
}

function splitPath({ from, to }: DeltaEnds): string {
  const last = checksumToBase64(to);
  const name = from === undefined ? last : `${checksumToBase64(from)}-${last}`;
  return `${name.slice(0, 2)}/${name.slice(2)}`;
}

/** The delta's directory relative to the repository: `deltas/<2>/<rest of from>-<to>` or `deltas/<2>/<rest of to>`. */
export function deltaPath(ends: DeltaEnds): string {
  return `deltas/${splitPath(ends)}`;
}

export function superblockPath(ends: DeltaEnds): string {
  return `${deltaPath(ends)}/superblock`;
}

export function deltaPartPath(ends: DeltaEnds, index: number): string {
  return `${deltaPath(ends)}/${index}`;
}

/** The file that lists every delta leading to a commit: `delta-indexes/<2>/<rest>.index`. */
export function deltaIndexPath(to: Checksum): string {
  return `delta-indexes/${splitPath({ to })}.index`;
}

/** The ends named by the two path components below `deltas/`, or undefined when they do not name a delta. */
export function deltaEndsFromPath(prefix: string, rest: string): DeltaEnds | undefined {
  if (prefix.length !== 2) return undefined;
  const names = (prefix + rest).split('-').map(checksumFromBase64);
  const [first, second] = names;
  if (first === undefined || names.length > 2) return undefined;
  if (names.length === 1) return { to: first };
  return second === undefined ? undefined : { from: first, to: second };
}

/** The name of a delta in summary and index: `<from>-<to>` or `<to>` in hexadecimal. */
export function deltaName({ from, to }: DeltaEnds): string {
  return from === undefined ? to : `${from}-${to}`;
}

/** The ends behind a name in summary or index. */
export function parseDeltaName(name: string): DeltaEnds {
  const [first = '', second, ...more] = name.split('-');
  if (more.length === 0 && isChecksum(first)) {
    if (second === undefined) return { to: first };
    if (isChecksum(second)) return { from: first, to: second };
  }
  return fail(
    `${JSON.stringify(name.slice(0, 140))} does not name a static delta; expected <to> or <from>-<to>`,
  );
}

/** Key of the list of deltas, in a delta index as in the summary. */
export const STATIC_DELTAS_KEY = 'ostree.static-deltas';

/** Name of a delta and SHA-256 of its superblock file. */
export interface DeltaDigest extends DeltaEnds {
  readonly digest: Uint8Array;
}

/** The `a{sv}` of names and digests that summary and index hold under `ostree.static-deltas`. */
export function deltaDigestDict(deltas: readonly DeltaDigest[]): Vardict {
  return deltas.map((delta) => [deltaName(delta), { signature: 'ay', value: delta.digest }] as const);
}

/** Delta index, `a{sv}`. */
export function encodeDeltaIndex(deltas: readonly DeltaDigest[]): Uint8Array {
  return vardict.encode([[STATIC_DELTAS_KEY, { signature: 'a{sv}', value: deltaDigestDict(deltas) }]]);
}

export function decodeDeltaIndex(bytes: Uint8Array): DeltaDigest[] {
  if (bytes.length > MAX_METADATA_SIZE) fail(`a delta index of ${bytes.length} bytes is too large`);
  const dict = lookup(vardict.decode(bytes), STATIC_DELTAS_KEY, 'a{sv}');
  if (dict === undefined) return fail(`a delta index does not have the key ${STATIC_DELTAS_KEY}`);
  return (dict as Vardict).map(([name, { signature, value }]) => {
    if (signature !== 'ay' || !(value instanceof Uint8Array) || value.length !== 32) {
      return fail(`the digest of the delta ${name.slice(0, 140)} is not 32 bytes`);
    }
    return { ...parseDeltaName(name), digest: value };
  });
}

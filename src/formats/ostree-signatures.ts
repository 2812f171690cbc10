/**
 * Where OSTree keeps signatures: `.commitmeta` (detached metadata of a commit) and `summary.sig`, both `a{sv}`,
 * and the text files that hold ed25519 keys. Source: libostree ostree-sign.c, ostree-sign-ed25519.c.
 */
import { TreewrightError } from '../core/errors.ts';
import type { Variant } from './gvariant.ts';
import { vardict } from './gvariant.ts';

/** The entry that holds ed25519 signatures, each 64 bytes. */
export const ED25519_METADATA_KEY = 'ostree.sign.ed25519';
const SIGNATURES_TYPE = 'aay';

export const ED25519_SIGNATURE_SIZE = 64;
export const ED25519_PUBLIC_SIZE = 32;

/** libostree would read 128 MiB; signatures of every kind together stay far below this. In bytes. */
export const MAX_DETACHED_METADATA = 1024 * 1024;

/** Entries of `.commitmeta` or `summary.sig` in their order. */
export type DetachedMetadata = readonly (readonly [string, Variant])[];

/** Reads `.commitmeta` or `summary.sig`; a key that is there twice is refused, because readers differ on it. */
export function decodeDetachedMetadata(bytes: Uint8Array): DetachedMetadata {
  if (bytes.length > MAX_DETACHED_METADATA) {
    throw new TreewrightError(
      'input/bad-object',
      `detached metadata has ${bytes.length} bytes, expected at most ${MAX_DETACHED_METADATA}`,
    );
  }
  const entries = vardict.decode(bytes);
  const names = new Set<string>();
  for (const [name] of entries) {
    if (names.has(name)) {
      throw new TreewrightError(
        'input/bad-object',
        `detached metadata has ${JSON.stringify(name.slice(0, 80))} twice`,
      );
    }
    names.add(name);
  }
  return entries;
}

export function encodeDetachedMetadata(metadata: DetachedMetadata): Uint8Array {
  return vardict.encode([...metadata]);
}

/**
 * The ed25519 signatures in detached metadata; none when the entry is absent. As in libostree, an entry of
 * another type or a signature of another length is an error rather than a signature that does not match.
 */
export function ed25519Signatures(metadata: DetachedMetadata): readonly Uint8Array[] {
  const found = metadata.find(([name]) => name === ED25519_METADATA_KEY)?.[1];
  if (found === undefined) return [];
  if (found.signature !== SIGNATURES_TYPE) {
    throw new TreewrightError(
      'input/bad-object',
      `${ED25519_METADATA_KEY} has the type ${found.signature}, expected ${SIGNATURES_TYPE}`,
    );
  }
  const signatures = found.value as readonly Uint8Array[];
  for (const { length } of signatures) {
    if (length !== ED25519_SIGNATURE_SIZE) {
      throw new TreewrightError(
        'input/bad-object',
        `a signature in ${ED25519_METADATA_KEY} has ${length} bytes, expected ${ED25519_SIGNATURE_SIZE}`,
      );
    }
  }
  return signatures;
}

/** The same metadata with these signatures in place of the ones it had; every other entry keeps its place. */
export function withEd25519Signatures(
  metadata: DetachedMetadata,
  signatures: readonly Uint8Array[],
): DetachedMetadata {
  const entry = [ED25519_METADATA_KEY, { signature: SIGNATURES_TYPE, value: [...signatures] }] as const;
  const at = metadata.findIndex(([name]) => name === ED25519_METADATA_KEY);
  return at < 0 ? [...metadata, entry] : metadata.with(at, entry);
}

/** Bytes of standard base64 with padding, or undefined when `text` is not exactly that. */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return undefined;
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

export function encodeBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** The content of `trusted.ed25519`: one base64 public key a line. */
export function encodeOstreePublicKeys(keys: readonly Uint8Array[]): string {
  return keys.map((key) => `${encodeBase64(key)}\n`).join('');
}

/** The public keys of a `trusted.ed25519` file. Empty lines are skipped; throws `trust/bad-key` on any other. */
export function decodeOstreePublicKeys(text: string): readonly Uint8Array[] {
  const keys: Uint8Array[] = [];
  text.split('\n').forEach((line, i) => {
    const trimmed = line.trim();
    if (trimmed === '') return;
    const key = decodeBase64(trimmed);
    if (key?.length !== ED25519_PUBLIC_SIZE) {
      throw new TreewrightError(
        'trust/bad-key',
        `line ${i + 1} is not the base64 form of a ${ED25519_PUBLIC_SIZE}-byte ed25519 public key`,
      );
    }
    keys.push(key);
  });
  return keys;
}

/**
 * OSTree's ed25519 signatures over commits, the summary, and the superblocks of static deltas.
 *
 * The signature covers the bytes of the commit object, or of the summary file, as they are stored; it is kept
 * beside them, so that signing never changes a checksum. Source: libostree ostree-sign.c.
 */
import { compareBytes } from '../core/bytes.ts';
import { TreewrightError, isTreewrightError } from '../core/errors.ts';
import type { DetachedMetadata } from '../formats/ostree-signatures.ts';
import {
  decodeDetachedMetadata,
  ed25519Signatures,
  encodeDetachedMetadata,
  withEd25519Signatures,
} from '../formats/ostree-signatures.ts';
import type { PublicKey, Signer } from './ed25519.ts';
import { signChecked, verifyEd25519 } from './ed25519.ts';

/**
 * The `.commitmeta` that holds a signature by each signer. Entries and signatures of an existing `.commitmeta`
 * are kept; signing again with the same key changes nothing.
 */
export async function signCommit(
  commit: Uint8Array,
  signers: readonly Signer[],
  existing?: Uint8Array,
): Promise<Uint8Array> {
  const metadata = existing === undefined ? [] : decodeDetachedMetadata(existing);
  return encodeDetachedMetadata(await withSignatures(commit, signers, metadata));
}

/**
 * The `summary.sig` for this summary. With `existing`, its signatures are kept: a file that holds those of the
 * old and of the new summary is valid before and after the summary is replaced.
 */
export async function signSummary(
  summary: Uint8Array,
  signers: readonly Signer[],
  existing?: Uint8Array,
): Promise<Uint8Array> {
  return signCommit(summary, signers, existing);
}

/** A signature of `data` by each signer, as the signed form of a static delta's superblock holds them. */
export async function signBytes(
  data: Uint8Array,
  signers: readonly Signer[],
): Promise<readonly Uint8Array[]> {
  return ed25519Signatures(await withSignatures(data, signers, []));
}

async function withSignatures(
  data: Uint8Array,
  signers: readonly Signer[],
  metadata: DetachedMetadata,
): Promise<DetachedMetadata> {
  const signatures = [...ed25519Signatures(metadata)];
  for (const signer of signers) {
    const signature = await signChecked(signer, data);
    if (!signatures.some((other) => compareBytes(other, signature) === 0)) signatures.push(signature);
  }
  return withEd25519Signatures(metadata, signatures);
}

/**
 * Checks a commit object against its `.commitmeta` (undefined when the repository has none).
 * One valid signature by one of `keys` is enough, as for libostree. Returns the key that signed.
 * Throws `trust/unsigned`, `trust/bad-signature` or `trust/bad-detached-metadata`; `name` is the commit's checksum.
 */
export function verifyCommitSignature(
  commit: Uint8Array,
  commitMeta: Uint8Array | undefined,
  keys: readonly PublicKey[],
  name: string,
): PublicKey {
  return verifyDetached(commit, commitMeta, keys, `commit ${name}`);
}

/** The same for `summary` and `summary.sig`. */
export function verifySummarySignature(
  summary: Uint8Array,
  summarySig: Uint8Array | undefined,
  keys: readonly PublicKey[],
): PublicKey {
  return verifyDetached(summary, summarySig, keys, 'the summary');
}

/** The same for the superblock of a static delta and the signatures around it; `name` is that of the delta. */
export function verifyDeltaSignature(
  superblock: Uint8Array,
  signatures: DetachedMetadata | undefined,
  keys: readonly PublicKey[],
  name: string,
): PublicKey {
  const detached = signatures === undefined ? undefined : encodeDetachedMetadata(signatures);
  return verifyDetached(superblock, detached, keys, `the superblock of static delta ${name}`);
}

function verifyDetached(
  data: Uint8Array,
  detached: Uint8Array | undefined,
  keys: readonly PublicKey[],
  what: string,
): PublicKey {
  const signatures = detached === undefined ? [] : readSignatures(detached, what);
  if (signatures.length === 0) {
    throw new TreewrightError('trust/unsigned', `${what} carries no ed25519 signature`, { data: { what } });
  }
  for (const signature of signatures) {
    const key = keys.find((candidate) => verifyEd25519(candidate, data, signature));
    if (key !== undefined) return key;
  }
  throw new TreewrightError(
    'trust/bad-signature',
    `${what} carries ${signatures.length} ed25519 signature(s), and none verifies with any of the ` +
      `${keys.length} trusted key(s): it was changed after signing, or signed with another key`,
    { data: { what, signatures: signatures.length, keys: keys.length } },
  );
}

function readSignatures(detached: Uint8Array, what: string): readonly Uint8Array[] {
  try {
    return ed25519Signatures(decodeDetachedMetadata(detached));
  } catch (error) {
    if (!isTreewrightError(error)) throw error;
    throw new TreewrightError(
      'trust/bad-detached-metadata',
      `the signatures of ${what} cannot be read: ${error.message}`,
      { cause: error, data: { what } },
    );
  }
}

/** Ed25519 by node:crypto: raw 32-byte public keys outside, key objects inside. */
import type { KeyObject } from 'node:crypto';
import { createHash, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import { ED25519_PUBLIC_SIZE, ED25519_SIGNATURE_SIZE } from '../formats/ostree-signatures.ts';
import { ed25519TufKey, tufKeyId } from '../formats/tuf.ts';

/** The 32 bytes of an ed25519 public key. */
export type PublicKey = Uint8Array;

/**
 * Something that can sign: a key file here, a security module or a signing service elsewhere.
 * Nobody but the signer sees the private part.
 */
export interface Signer {
  /** TUF's name of the key: SHA-256 of its canonical form. */
  readonly keyid: Checksum;
  readonly public: PublicKey;
  /** The 64-byte ed25519 signature of `bytes`. */
  readonly sign: (bytes: Uint8Array) => Promise<Uint8Array>;
}

/** DER of everything that precedes the raw key in SubjectPublicKeyInfo and in PKCS#8 (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Bytes of the seed, from which both halves of a key pair follow. */
export const ED25519_SEED_SIZE = 32;

/** TUF's name of a public key. */
export function keyIdOf(publicKey: PublicKey): Checksum {
  return tufKeyId(ed25519TufKey(publicKey));
}

/** The raw public key of an ed25519 key object, be it the private or the public half. */
export function rawPublicKey(key: KeyObject): PublicKey {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  return Uint8Array.from(spki.subarray(SPKI_PREFIX.length));
}

/** The private key object of a 32-byte seed. */
export function privateKeyOfSeed(seed: Uint8Array): KeyObject {
  const der = Buffer.concat([PKCS8_PREFIX, seed]);
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
}

/** A signer over a private ed25519 key object. */
export function signerOf(key: KeyObject): Signer {
  const publicKey = rawPublicKey(key);
  return {
    keyid: keyIdOf(publicKey),
    public: publicKey,
    sign: (bytes) => Promise.resolve(Uint8Array.from(sign(null, bytes, key))),
  };
}

/** True when `signature` is the key's ed25519 signature of `bytes`; false for anything malformed too. */
export function verifyEd25519(publicKey: PublicKey, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== ED25519_PUBLIC_SIZE || signature.length !== ED25519_SIGNATURE_SIZE) return false;
  const key = createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, publicKey]),
    format: 'der',
    type: 'spki',
  });
  return verify(null, bytes, key, signature);
}

/**
 * Signs and checks the result at once: a signing service that holds another key than it says, or a fault in
 * the computation, is found here and not on a device. Throws `trust/bad-signer`.
 */
export async function signChecked(signer: Signer, bytes: Uint8Array): Promise<Uint8Array> {
  const signature = await signer.sign(bytes);
  if (!verifyEd25519(signer.public, bytes, signature)) {
    throw new TreewrightError(
      'trust/bad-signer',
      `the signer of key ${signer.keyid} returned a signature that its public key does not verify`,
      { data: { keyid: signer.keyid } },
    );
  }
  return signature;
}

/** A digest in lower-case hexadecimal. */
export function hashHex(algorithm: 'sha256' | 'sha512', bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex');
}

/** The SHA-256 of a file's bytes in lower-case hexadecimal. */
export function sha256Hex(bytes: Uint8Array): string {
  return hashHex('sha256', bytes);
}

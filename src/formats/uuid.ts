/**
 * UUIDs and other ids that are derived from a seed, so that the same input gives the same bytes.
 * Source: RFC 9562, section 5.8 (version 8: the bits are the application's own).
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { utf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** 32 bytes that depend on the seed and on what they are for. */
function derivedBytes(seed: string, purpose: string): Uint8Array {
  return sha256(utf8(`${purpose}\0${seed}`));
}

/** A UUID of version 8, lower case. */
export function uuidFromSeed(seed: string, purpose: string): string {
  const bytes = derivedBytes(seed, purpose);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes.subarray(0, 16)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** A number from 1 to 2^32-1: a disk signature or a FAT volume id, where 0 means that there is none. */
export function id32FromSeed(seed: string, purpose: string): number {
  const bytes = derivedBytes(seed, purpose);
  const id = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  return id === 0 ? 1 : id;
}

/**
 * The 16 bytes of a UUID as a GPT holds them: the first three groups little-endian.
 * Source: UEFI specification, appendix A.
 *
 * @throws TreewrightError `config/bad-uuid`
 */
export function guidBytes(uuid: string): Uint8Array {
  if (!UUID.test(uuid)) {
    throw new TreewrightError(
      'config/bad-uuid',
      `expected a UUID such as 0fc63daf-8483-4772-8e79-3d69d8477de4, found ${JSON.stringify(uuid)}`,
    );
  }
  const hex = uuid.replaceAll('-', '');
  const bytes = Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}

import { TreewrightError } from './errors.ts';

declare const checksumBrand: unique symbol;

/** A SHA-256 as 64 lower-case hexadecimal digits. */
export type Checksum = string & { readonly [checksumBrand]: true };

const HEX64 = /^[0-9a-f]{64}$/;

/** True when `text` is 64 lower-case hexadecimal digits. */
export function isChecksum(text: string): text is Checksum {
  return HEX64.test(text);
}

/** Accepts 64 lower-case hexadecimal digits; `what` names the value in the error. */
export function parseChecksum(text: string, what = 'checksum'): Checksum {
  if (isChecksum(text)) return text;
  throw new TreewrightError(
    'input/bad-checksum',
    `${what} must be 64 lower-case hexadecimal digits, found ${JSON.stringify(text.slice(0, 80))}`,
  );
}

/** The 32 bytes of a checksum. */
export function checksumToBytes(checksum: Checksum): Uint8Array {
  const bytes = new Uint8Array(32);
  for (let i = 0; i < 32; i++) bytes[i] = Number.parseInt(checksum.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** A checksum from exactly 32 bytes. */
export function checksumFromBytes(bytes: Uint8Array, what = 'checksum'): Checksum {
  if (bytes.length !== 32) {
    throw new TreewrightError('input/bad-checksum', `${what} must be 32 bytes, found ${bytes.length}`);
  }
  let hex = '';
  for (const byte of bytes) hex += HEX_OF[byte] ?? '';
  return hex as Checksum;
}

const HEX_OF: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
);

/** CRC-32C (Castagnoli), reflected, as iSCSI, btrfs and ext4 use it. Source: RFC 3720, appendix B.4. */

const TABLE = Uint32Array.from({ length: 256 }, (_, i) => {
  let value = i;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) !== 0 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value >>> 0;
});

/**
 * The register after `bytes`, without inversion at either end: callers that chain values, as ext4 does, start with
 * 0xffffffff and invert nothing.
 */
export function crc32c(register: number, bytes: Uint8Array): number {
  let value = register;
  for (const byte of bytes) value = (TABLE[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8);
  return value >>> 0;
}

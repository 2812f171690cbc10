/** What kind of file a kernel image is, by its first bytes: it decides which U-Boot command can start it. */
import type { UbootArch } from '../formats/uboot-image.ts';
import { UBOOT_IMAGE_MAGIC } from '../formats/uboot-image.ts';

export type KernelFormat =
  /** arm64 or riscv64 `Image` */
  | 'arm64-image'
  | 'riscv-image'
  /** 32-bit ARM `zImage` */
  | 'arm-zimage'
  /** x86 `bzImage` */
  | 'x86-bzimage'
  /** Flattened image tree: kernel, device trees and initramfs in one file */
  | 'fit'
  /** U-Boot's legacy image */
  | 'uimage'
  | 'gzip'
  /** Compressed kernel in an EFI stub (CONFIG_EFI_ZBOOT), which only `bootefi` starts */
  | 'efi-zboot'
  | 'unknown';

/** Bytes from the start of the image that `kernelFormat` looks at. */
export const KERNEL_HEAD_SIZE = 1024;

/** Sources: Linux Documentation/arch (arm64, riscv, x86 boot protocols), arch/arm/boot/compressed/head.S, devicetree spec. */
export function kernelFormat(head: Uint8Array): KernelFormat {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const u32 = (offset: number, littleEndian = false): number =>
    offset + 4 <= head.length ? view.getUint32(offset, littleEndian) : -1;
  if (u32(0) === 0xd00dfeed) return 'fit';
  if (u32(0) === UBOOT_IMAGE_MAGIC) return 'uimage';
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (u32(56) === 0x41524d64) return 'arm64-image';
  if (u32(56) === 0x52534305) return 'riscv-image';
  if (head[0] === 0x4d && head[1] === 0x5a && u32(4) === 0x7a696d67) return 'efi-zboot';
  if (u32(0x24, true) === 0x016f2818) return 'arm-zimage';
  if (u32(0x202) === 0x48647253) return 'x86-bzimage';
  return 'unknown';
}

/**
 * Bytes that the kernel takes in memory from where it is loaded, its zeroed data included, as the header of an arm64 or
 * riscv64 Image tells (`image_size`); 0 where no header tells. Source: Linux Documentation/arch/arm64/booting.rst.
 */
export function kernelMemory(head: Uint8Array): number {
  const format = kernelFormat(head);
  if (format !== 'arm64-image' && format !== 'riscv-image') return 0;
  const size = new DataView(head.buffer, head.byteOffset, head.byteLength).getBigUint64(16, true);
  return size > BigInt(Number.MAX_SAFE_INTEGER) ? 0 : Number(size);
}

/** The architecture a kernel image runs on, where its format says so. */
export function kernelArch(format: KernelFormat): UbootArch | undefined {
  switch (format) {
    case 'arm64-image':
      return 'arm64';
    case 'riscv-image':
      return 'riscv';
    case 'arm-zimage':
      return 'arm';
    case 'x86-bzimage':
      return 'x86_64';
    case 'fit':
    case 'uimage':
    case 'gzip':
    case 'efi-zboot':
    case 'unknown':
      return undefined;
  }
}

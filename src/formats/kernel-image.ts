/**
 * What kind of kernel image a file is and which kernel release it holds, as far as the bytes tell.
 * Sources: Linux Documentation/arch/x86/boot.rst (bzImage), Documentation/arch/arm64/booting.rst (Image),
 * Documentation/arch/riscv/boot-image-header.rst, arch/arm/boot/compressed/head.S (zImage),
 * U-Boot include/image.h (uImage), the devicetree specification, "Flattened Devicetree" (FIT).
 */
import { fromUtf8, utf8 } from '../core/bytes.ts';

export type KernelFormat =
  'bzImage' | 'arm64' | 'riscv' | 'zImage' | 'uImage' | 'fit' | 'gzip' | 'elf' | 'unknown';

/** Bytes at the start of the file that `kernelFormat` and `releaseFromHeader` look at. */
export const KERNEL_HEAD_SIZE = 0x10400;

function tag(bytes: Uint8Array, offset: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(offset, offset + length));
}

function u32(bytes: Uint8Array, offset: number, little: boolean): number {
  if (bytes.length < offset + 4) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(offset, little);
}

/** The kind of image by its magic numbers. */
export function kernelFormat(head: Uint8Array): KernelFormat {
  if (tag(head, 0x202, 4) === 'HdrS') return 'bzImage';
  if (tag(head, 56, 4) === 'ARM\x64') return 'arm64';
  if (tag(head, 56, 4) === 'RSC\x05') return 'riscv';
  if (u32(head, 36, true) === 0x016f2818) return 'zImage';
  if (u32(head, 0, false) === 0x27051956) return 'uImage';
  if (u32(head, 0, false) === 0xd00dfeed) return 'fit';
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (tag(head, 0, 4) === '\x7fELF') return 'elf';
  return 'unknown';
}

const RELEASE = /^[0-9]+\.[0-9]+[0-9A-Za-z.+~_-]*$/;

/** True for text that may be a kernel release and a directory name below lib/modules. */
export function isKernelRelease(text: string): boolean {
  return text.length <= 64 && RELEASE.test(text);
}

function firstWord(bytes: Uint8Array): string | undefined {
  const end = bytes.findIndex((byte) => byte <= 0x20);
  const word = fromUtf8(bytes.subarray(0, end < 0 ? 65 : Math.min(end, 65)));
  return word !== undefined && isKernelRelease(word) ? word : undefined;
}

/** The release that the header itself names: bzImage's kernel_version string, or uImage's `Linux-<release>` name. */
export function releaseFromHeader(head: Uint8Array): string | undefined {
  switch (kernelFormat(head)) {
    case 'bzImage': {
      const pointer = (head[0x20e] ?? 0) | ((head[0x20f] ?? 0) << 8);
      return pointer === 0 ? undefined : firstWord(head.subarray(pointer + 0x200));
    }
    case 'uImage': {
      const name = fromUtf8(head.subarray(32, 64).filter((byte) => byte !== 0)) ?? '';
      const release = /^Linux-(.+)$/.exec(name)?.[1];
      // The name field has 32 bytes; one that fills it may be cut off.
      return release !== undefined && name.length < 32 && isKernelRelease(release) ? release : undefined;
    }
    default:
      return undefined;
  }
}

/** Finds the release in a kernel image that comes in chunks. */
export interface ReleaseScanner {
  /** Takes the next bytes. False when nothing more is needed. */
  push(chunk: Uint8Array): boolean;
  release(): string | undefined;
  format(): KernelFormat;
}

const BANNER = 'Linux version ';
/** The banner, the longest release and the character that ends it. */
const CARRY = BANNER.length + 66;

/**
 * Looks at the header first, then for the `linux_banner` string that every kernel prints at boot. That one is
 * readable only where the image is not compressed: arm64 and riscv `Image`, `vmlinux`, a uImage made of one.
 */
export function createReleaseScanner(): ReleaseScanner {
  const head = new Uint8Array(KERNEL_HEAD_SIZE);
  let headLength = 0;
  let headerRead = false;
  let tail: Uint8Array = new Uint8Array(0);
  let found: string | undefined;
  const banner = utf8(BANNER);

  const readHeader = (): void => {
    headerRead = true;
    found ??= releaseFromHeader(head.subarray(0, headLength));
  };
  const scan = (bytes: Uint8Array, last: boolean): string | undefined => {
    for (let at = indexOfBytes(bytes, banner, 0); at >= 0; at = indexOfBytes(bytes, banner, at + 1)) {
      if (!last && at + CARRY > bytes.length) return undefined;
      const release = firstWord(bytes.subarray(at + banner.length));
      if (release !== undefined) return release;
    }
    return undefined;
  };
  return {
    push: (chunk) => {
      if (found !== undefined) return false;
      if (headLength < head.length) {
        const part = chunk.subarray(0, head.length - headLength);
        head.set(part, headLength);
        headLength += part.length;
        if (headLength === head.length) readHeader();
      }
      // The end of the last chunk again, in case the banner lies across the border.
      const border = new Uint8Array(tail.length + Math.min(chunk.length, CARRY));
      border.set(tail);
      border.set(chunk.subarray(0, CARRY), tail.length);
      found ??= scan(border, false) ?? scan(chunk, false);
      tail =
        chunk.length >= CARRY
          ? chunk.slice(chunk.length - CARRY)
          : border.slice(Math.max(0, border.length - CARRY));
      return found === undefined;
    },
    release: () => {
      if (!headerRead) readHeader();
      found ??= scan(tail, true);
      return found;
    },
    format: () => kernelFormat(head.subarray(0, headLength)),
  };
}

/** Where `needle` starts in `bytes`, at or after `from`; -1 when it is not there. */
function indexOfBytes(bytes: Uint8Array, needle: Uint8Array, from: number): number {
  const first = needle[0] ?? 0;
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    let same = 1;
    while (same < needle.length && bytes[at + same] === needle[same]) same++;
    if (same === needle.length) return at;
  }
  return -1;
}

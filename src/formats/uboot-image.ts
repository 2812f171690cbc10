/**
 * U-Boot's legacy image ("uImage"): a 64-byte header, everything big-endian, in front of the data, and the
 * script image that `source` runs. Source: U-Boot include/image.h and cmd/source.c; `mkimage` writes the same bytes.
 */
import { concatBytes, fromUtf8, utf8 } from '../core/bytes.ts';
import { crc32 } from '../core/crc32.ts';
import { TreewrightError } from '../core/errors.ts';

/** Bytes of the header. */
export const UBOOT_IMAGE_HEADER_SIZE = 64;

/** `ih_magic` of a legacy image. */
export const UBOOT_IMAGE_MAGIC = 0x27051956;

const NAME_SIZE = 32;

/** Largest image that is decoded, in bytes: a script or a kernel never comes near. */
const MAX_IMAGE_SIZE = 512 * 1024 * 1024;

/** `ih_os` */
export const UBOOT_OS = { linux: 5, 'u-boot': 17 } as const;
/** `ih_arch`, by the names `mkimage -A` takes */
export const UBOOT_ARCH = { arm: 2, x86: 3, mips: 5, powerpc: 7, arm64: 22, x86_64: 24, riscv: 26 } as const;
/** `ih_type`, by the names `mkimage -T` takes */
export const UBOOT_TYPE = { kernel: 2, ramdisk: 3, multi: 4, firmware: 5, script: 6, flat_dt: 8 } as const;
/** `ih_comp` */
export const UBOOT_COMPRESSION = { none: 0, gzip: 1, bzip2: 2, lzma: 3, lzo: 4, lz4: 5, zstd: 6 } as const;

export type UbootOs = keyof typeof UBOOT_OS;
export type UbootArch = keyof typeof UBOOT_ARCH;
export type UbootType = keyof typeof UBOOT_TYPE;
export type UbootCompression = keyof typeof UBOOT_COMPRESSION;

export interface UbootImage {
  /** At most 32 bytes of UTF-8. */
  readonly name: string;
  readonly os: UbootOs;
  readonly arch: UbootArch;
  readonly type: UbootType;
  readonly compression: UbootCompression;
  /** Seconds since 1970, below 2^32. */
  readonly time: number;
  readonly loadAddress: number;
  readonly entryPoint: number;
  readonly data: Uint8Array;
}

function fail(problem: string): never {
  throw new TreewrightError('input/bad-uboot-image', `U-Boot image: ${problem}`);
}

function checkU32(value: number, what: string): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffffffff) return value;
  throw new TreewrightError(
    'internal/uboot-image',
    `${what} of a U-Boot image must be 0 to 2^32-1, got ${value}`,
  );
}

export function encodeUbootImage(image: UbootImage): Uint8Array {
  const name = utf8(image.name);
  if (name.length > NAME_SIZE || name.includes(0)) {
    throw new TreewrightError(
      'config/bad-image-name',
      `the name of a U-Boot image holds at most ${NAME_SIZE} bytes and no NUL, found ${JSON.stringify(image.name)}`,
    );
  }
  const header = new Uint8Array(UBOOT_IMAGE_HEADER_SIZE);
  const view = new DataView(header.buffer);
  view.setUint32(0, UBOOT_IMAGE_MAGIC);
  view.setUint32(8, checkU32(image.time, 'time'));
  view.setUint32(12, checkU32(image.data.length, 'data size'));
  view.setUint32(16, checkU32(image.loadAddress, 'load address'));
  view.setUint32(20, checkU32(image.entryPoint, 'entry point'));
  view.setUint32(24, crc32(image.data));
  header[28] = UBOOT_OS[image.os];
  header[29] = UBOOT_ARCH[image.arch];
  header[30] = UBOOT_TYPE[image.type];
  header[31] = UBOOT_COMPRESSION[image.compression];
  header.set(name, 32);
  // The header's own checksum is taken while its field is zero.
  view.setUint32(4, crc32(header));
  return concatBytes([header, image.data]);
}

function nameOf<N extends string>(table: Readonly<Record<N, number>>, id: number, what: string): N {
  for (const name of Object.keys(table) as N[]) if (table[name] === id) return name;
  return fail(`${what} ${id} is not one that treewright knows`);
}

/** Accepts exactly one whole image: both checksums right, no byte after the data. */
export function decodeUbootImage(bytes: Uint8Array): UbootImage {
  if (bytes.length < UBOOT_IMAGE_HEADER_SIZE) {
    fail(`${bytes.length} bytes are too short for the header of ${UBOOT_IMAGE_HEADER_SIZE}`);
  }
  if (bytes.length > MAX_IMAGE_SIZE) fail(`${bytes.length} bytes are more than ${MAX_IMAGE_SIZE}`);
  const header = bytes.slice(0, UBOOT_IMAGE_HEADER_SIZE);
  const view = new DataView(header.buffer);
  const magic = view.getUint32(0);
  if (magic !== UBOOT_IMAGE_MAGIC) fail(`the magic number is 0x${magic.toString(16)}, expected 0x27051956`);
  const headerCrc = view.getUint32(4);
  view.setUint32(4, 0);
  if (crc32(header) !== headerCrc) fail('the checksum of the header is wrong');
  const size = view.getUint32(12);
  const data = bytes.subarray(UBOOT_IMAGE_HEADER_SIZE);
  if (data.length !== size) fail(`the header says ${size} bytes of data, there are ${data.length}`);
  if (crc32(data) !== view.getUint32(24)) fail('the checksum of the data is wrong');
  const nameField = header.subarray(32);
  const end = nameField.indexOf(0);
  const name = fromUtf8(end < 0 ? nameField : nameField.subarray(0, end));
  if (name === undefined) fail('its name is not UTF-8');
  if (end >= 0 && nameField.subarray(end).some((byte) => byte !== 0)) fail('its name goes on after a NUL');
  return {
    name,
    os: nameOf(UBOOT_OS, view.getUint8(28), 'operating system'),
    arch: nameOf(UBOOT_ARCH, view.getUint8(29), 'architecture'),
    type: nameOf(UBOOT_TYPE, view.getUint8(30), 'type'),
    compression: nameOf(UBOOT_COMPRESSION, view.getUint8(31), 'compression'),
    time: view.getUint32(8),
    loadAddress: view.getUint32(16),
    entryPoint: view.getUint32(20),
    data,
  };
}

/** The data of a script image: the script's length, a zero that ends the list of lengths, the script. */
export function encodeScriptData(script: Uint8Array): Uint8Array {
  const lengths = new Uint8Array(8);
  new DataView(lengths.buffer).setUint32(0, checkU32(script.length, 'script length'));
  return concatBytes([lengths, script]);
}

/** The script in the data of a script image, which must hold exactly one. */
export function decodeScriptData(data: Uint8Array): Uint8Array {
  if (data.length < 8) fail('a script image ends in its list of lengths');
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (view.getUint32(4) !== 0) fail('a script image holds more than one script');
  const script = data.subarray(8);
  if (script.length !== view.getUint32(0)) {
    fail(`a script image says ${view.getUint32(0)} bytes of script, there are ${script.length}`);
  }
  return script;
}

/** What `mkimage -A <arch> -T script -C none -n <name> -d <script>` writes at that time. */
export function encodeScriptImage(options: {
  readonly script: Uint8Array;
  readonly name: string;
  readonly arch: UbootArch;
  readonly time: number;
}): Uint8Array {
  return encodeUbootImage({
    name: options.name,
    os: 'linux',
    arch: options.arch,
    type: 'script',
    compression: 'none',
    time: options.time,
    loadAddress: 0,
    entryPoint: 0,
    data: encodeScriptData(options.script),
  });
}

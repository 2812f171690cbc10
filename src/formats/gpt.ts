/** GUID partition tables with 512-byte sectors. Source: UEFI specification 2.10, section 5.3. */
import { crc32 } from '../core/crc32.ts';
import { TreewrightError } from '../core/errors.ts';
import { SECTOR_SIZE } from './mbr.ts';
import { guidBytes } from './uuid.ts';

/** Entries of the table, the least the specification allows and what every tool writes. */
export const GPT_MAX_PARTITIONS = 128;

const ENTRY_SIZE = 128;
const HEADER_SIZE = 92;

/** Sectors of the array of entries. */
const ARRAY_SECTORS = (GPT_MAX_PARTITIONS * ENTRY_SIZE) / SECTOR_SIZE;

/** Sectors at the start of the disk: protective MBR, header, array. */
export const GPT_START_SECTORS = 2 + ARRAY_SECTORS;

/** Sectors at the end of the disk: array, header. */
export const GPT_END_SECTORS = 1 + ARRAY_SECTORS;

/** UTF-16 units of a partition's name. */
export const GPT_MAX_NAME = 36;

/** Partition types. `ubootEnvironment` is U-Boot's own (include/part_efi.h), which it also looks for. */
export const GPT_TYPE = {
  linux: '0fc63daf-8483-4772-8e79-3d69d8477de4',
  efiSystem: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
  basicData: 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7',
  ubootEnvironment: '3de21764-95bd-54bd-a5c3-4abe786f38a8',
} as const;

export interface GptPartition {
  readonly name: string;
  /** GUIDs in their usual text form. */
  readonly type: string;
  readonly uuid: string;
  /** Sectors from the start of the disk. */
  readonly start: number;
  /** Sectors. */
  readonly sectors: number;
  /** Attribute 2, "legacy BIOS bootable", which is the flag U-Boot's standard boot looks at. */
  readonly bootable: boolean;
}

export interface Gpt {
  readonly diskUuid: string;
  /** Sectors of the disk. */
  readonly sectors: number;
  /** The first sector a partitioning tool may use; at least GPT_START_SECTORS. */
  readonly firstUsable: number;
  readonly partitions: readonly GptPartition[];
}

export interface EncodedGpt {
  /** Goes to sector 1: header, then array. */
  readonly primary: Uint8Array;
  /** Goes to the last GPT_END_SECTORS sectors: array, then header. */
  readonly backup: Uint8Array;
}

/** @throws TreewrightError `config/too-many-partitions`, `config/bad-partition-name`, `config/bad-uuid` */
export function encodeGpt(gpt: Gpt): EncodedGpt {
  if (gpt.partitions.length > GPT_MAX_PARTITIONS) {
    throw new TreewrightError(
      'config/too-many-partitions',
      `a GPT holds ${GPT_MAX_PARTITIONS} partitions, ${gpt.partitions.length} are wanted`,
    );
  }
  const array = new Uint8Array(GPT_MAX_PARTITIONS * ENTRY_SIZE);
  for (const [i, partition] of gpt.partitions.entries()) array.set(encodeEntry(partition), i * ENTRY_SIZE);
  const last = gpt.sectors - 1;
  const primary = new Uint8Array((1 + ARRAY_SECTORS) * SECTOR_SIZE);
  primary.set(encodeHeader(gpt, array, 1, last, 2));
  primary.set(array, SECTOR_SIZE);
  const backup = new Uint8Array((1 + ARRAY_SECTORS) * SECTOR_SIZE);
  backup.set(array);
  backup.set(encodeHeader(gpt, array, last, 1, last - ARRAY_SECTORS), array.length);
  return { primary, backup };
}

function encodeHeader(gpt: Gpt, array: Uint8Array, own: number, other: number, table: number): Uint8Array {
  const header = new Uint8Array(HEADER_SIZE);
  const view = new DataView(header.buffer);
  const sector = (at: number, value: number): void => view.setBigUint64(at, BigInt(value), true);
  // "EFI PART"
  header.set([0x45, 0x46, 0x49, 0x20, 0x50, 0x41, 0x52, 0x54]);
  view.setUint32(8, 0x00010000, true);
  view.setUint32(12, HEADER_SIZE, true);
  sector(24, own);
  sector(32, other);
  sector(40, gpt.firstUsable);
  sector(48, gpt.sectors - 1 - GPT_END_SECTORS);
  header.set(guidBytes(gpt.diskUuid), 56);
  sector(72, table);
  view.setUint32(80, GPT_MAX_PARTITIONS, true);
  view.setUint32(84, ENTRY_SIZE, true);
  view.setUint32(88, crc32(array), true);
  view.setUint32(16, crc32(header), true);
  return header;
}

function encodeEntry({ name, type, uuid, start, sectors, bootable }: GptPartition): Uint8Array {
  if (name.length > GPT_MAX_NAME || name.includes('\0')) {
    throw new TreewrightError(
      'config/bad-partition-name',
      `a GPT partition name has at most ${GPT_MAX_NAME} characters and no NUL, found ${JSON.stringify(name)}`,
    );
  }
  const entry = new Uint8Array(ENTRY_SIZE);
  const view = new DataView(entry.buffer);
  entry.set(guidBytes(type));
  entry.set(guidBytes(uuid), 16);
  view.setBigUint64(32, BigInt(start), true);
  view.setBigUint64(40, BigInt(start + sectors - 1), true);
  view.setBigUint64(48, bootable ? 4n : 0n, true);
  for (let i = 0; i < name.length; i++) view.setUint16(56 + 2 * i, name.charCodeAt(i), true);
  return entry;
}

/**
 * The partition table of a master boot record: bytes 440 to 511 of a disk.
 * Sources: UEFI specification 2.10, section 5.2; the PARTUUID of a partition is Linux's (block/partitions/msdos.c).
 */
import { TreewrightError } from '../core/errors.ts';

/** Bytes of a sector, the unit of partition tables. */
export const SECTOR_SIZE = 512;

/** The table begins with the disk signature here; what is before it may be boot code. */
export const MBR_TABLE_START = 440;

/** Bytes 440 to 511. */
export const MBR_TABLE_SIZE = SECTOR_SIZE - MBR_TABLE_START;

/** Entries of the table. */
export const MBR_MAX_PARTITIONS = 4;

/** Partition types. 0x0c is FAT with logical block addresses. */
export const MBR_TYPE = { fat: 0x0c, linux: 0x83, protective: 0xee } as const;

/** Sectors and sector numbers are 32 bits wide. */
const MAX_SECTOR = 0xffffffff;

export interface MbrPartition {
  readonly bootable: boolean;
  readonly type: number;
  /** Sectors from the start of the disk. */
  readonly start: number;
  /** Sectors. */
  readonly sectors: number;
}

/**
 * Bytes 440 to 511 of the disk, 72 of them.
 *
 * @param signature 32 bits, first half of each partition's PARTUUID
 * @throws TreewrightError `config/disk-too-large` beyond 2 TiB, `config/too-many-partitions` for more than four
 */
export function encodeMbrTable(signature: number, partitions: readonly MbrPartition[]): Uint8Array {
  if (partitions.length > MBR_MAX_PARTITIONS) {
    throw new TreewrightError(
      'config/too-many-partitions',
      `an MBR holds ${MBR_MAX_PARTITIONS} partitions, ${partitions.length} are wanted; use a GPT`,
    );
  }
  const table = new Uint8Array(MBR_TABLE_SIZE);
  const view = new DataView(table.buffer);
  view.setUint32(0, signature, true);
  for (const [i, { bootable, type, start, sectors }] of partitions.entries()) {
    if (start + sectors > MAX_SECTOR) {
      throw new TreewrightError(
        'config/disk-too-large',
        `partition ${i + 1} ends at sector ${start + sectors}, an MBR reaches to 2 TiB; use a GPT`,
      );
    }
    const at = 6 + 16 * i;
    table[at] = bootable ? 0x80 : 0;
    table.set(chs(start), at + 1);
    table[at + 4] = type;
    table.set(chs(start + sectors - 1), at + 5);
    view.setUint32(at + 8, start, true);
    view.setUint32(at + 12, sectors, true);
  }
  table.set([0x55, 0xaa], MBR_TABLE_SIZE - 2);
  return table;
}

/** The table in front of a GPT, which keeps old tools from taking the disk for an empty one. */
export function encodeProtectiveMbr(diskSectors: number): Uint8Array {
  const table = encodeMbrTable(0, [
    {
      bootable: false,
      type: MBR_TYPE.protective,
      start: 1,
      sectors: Math.min(diskSectors - 1, MAX_SECTOR - 1),
    },
  ]);
  const view = new DataView(table.buffer);
  // Beyond 2 TiB the specification wants all ones, which no real partition may have.
  if (diskSectors - 1 >= MAX_SECTOR - 1) view.setUint32(6 + 12, MAX_SECTOR, true);
  return table;
}

/** PARTUUID of a partition of an MBR, as `root=PARTUUID=` takes it. */
export function mbrPartUuid(signature: number, number: number): string {
  return `${signature.toString(16).padStart(8, '0')}-${number.toString(16).padStart(2, '0')}`;
}

/** Cylinder, head and sector for 255 heads and 63 sectors, or the largest value beyond 8 GB. */
function chs(sector: number): Uint8Array {
  const cylinder = Math.floor(sector / (255 * 63));
  if (cylinder > 1023) return Uint8Array.of(0xfe, 0xff, 0xff);
  const head = Math.floor(sector / 63) % 255;
  return Uint8Array.of(head, ((cylinder & 0x300) >> 2) | ((sector % 63) + 1), cylinder & 0xff);
}

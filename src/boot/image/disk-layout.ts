/** What a disk of a board holds besides the root file system. All sizes and offsets in bytes. */
import type { FatType } from '../../formats/fat-geometry.ts';
import type { ImageTarget } from '../../platform/image-file.ts';

/** A boot loader file at a fixed place of the disk. */
export interface LoaderFile {
  /** Absolute path. */
  readonly path: string;
  /** From the start of the disk. */
  readonly offset: number;
}

/** A GPT partition that a boot ROM or boot loader finds by its name, such as fsbl1, fip or u-boot-env of STM32MP1. */
export interface LoaderPartition {
  readonly name: string;
  /** Type GUID; "Linux reserved" unless given, U-Boot's own for names that begin with `u-boot-env`. */
  readonly type?: string;
  /** From the start of the disk, a multiple of 512; behind the one before it when absent. */
  readonly offset?: number;
  readonly size: number;
  /** Absolute path of its content; zeros, and the blobs that lie in it, when absent. */
  readonly path?: string;
}

/** A FAT partition, for firmware that reads its files from one. It comes before those of Linux. */
export interface FatPartition {
  readonly size: number;
  /** At most 11 characters; written in capitals. */
  readonly label: string;
  readonly files: readonly FatSource[];
  /** FAT12, 16 or 32; by its size when absent. */
  readonly type?: FatType;
  /** GPT: `efi` for an EFI system partition, which U-Boot scans as if it were flagged bootable; by its files when absent. */
  readonly purpose?: 'efi' | 'data';
  /** Flag it bootable even when boot.scr is elsewhere, for a boot ROM that reads active partitions only. */
  readonly bootable?: boolean;
}

/** A file of the FAT partition: from the host, or made here (boot.scr, uboot.env). */
export type FatSource =
  | { readonly target: string; readonly path: string }
  | { readonly target: string; readonly bytes: Uint8Array };

/** Another partition of Linux. */
export interface LinuxPartition {
  readonly size: number;
  /** Name of the partition in a GPT. */
  readonly label: string;
  /** Writes its file system; it is left as it is when absent. */
  readonly write?: (target: ImageTarget) => Promise<void>;
}

/** Raw bytes at a fixed place, such as a copy of a raw U-Boot environment. */
export interface DiskBlob {
  readonly name: string;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface DiskLayout {
  /** Name of the board, for messages. */
  readonly board?: string;
  readonly table: 'mbr' | 'gpt';
  readonly loaders: readonly LoaderFile[];
  /** GPT only. They come first, so that their numbers do not depend on what follows. */
  readonly loaderPartitions?: readonly LoaderPartition[];
  readonly blobs: readonly DiskBlob[];
  readonly fat?: FatPartition;
  /** A file system for /boot, between FAT and root. */
  readonly boot?: LinuxPartition;
  /** A partition behind the root. */
  readonly data?: LinuxPartition;
  /** Where the first partition begins; a multiple of 512. */
  readonly firstPartition: number;
  /** Partition alignment; a multiple of 512. */
  readonly alignment: number;
  /** Seconds since 1970, of the files of the FAT partition. */
  readonly time: number;
  readonly root: {
    /** Label of the ext4 file system, and of the partition in a GPT. */
    readonly label: string;
    /** UUIDs of file system and partition are derived from it, so that the same input gives the same bytes. */
    readonly seed: string;
  };
}

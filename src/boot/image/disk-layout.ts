/** What a disk of a board holds besides the root file system. */

/** A boot loader file at a fixed place of the disk. */
export interface LoaderFile {
  /** Absolute path. */
  readonly path: string;
  /** Bytes from the start of the disk. */
  readonly offset: number;
}

/** A FAT partition, for firmware that reads its files from one. It comes first. */
export interface FatPartition {
  /** Bytes. */
  readonly size: number;
  /** At most 11 characters. */
  readonly label: string;
  readonly files: readonly FatSource[];
}

/** A file of the FAT partition: from the host, or made here (boot.scr, uboot.env). */
export type FatSource =
  | { readonly target: string; readonly path: string }
  | { readonly target: string; readonly bytes: Uint8Array };

export interface DiskLayout {
  readonly table: 'mbr' | 'gpt';
  readonly loaders: readonly LoaderFile[];
  /** Raw bytes at fixed places, such as the copies of a raw U-Boot environment. */
  readonly blobs: readonly { readonly name: string; readonly offset: number; readonly bytes: Uint8Array }[];
  readonly fat?: FatPartition;
  /** Where the first partition begins, in bytes; a multiple of 512. */
  readonly firstPartition: number;
  /** Partition alignment in bytes. */
  readonly alignment: number;
  readonly root: {
    /** Label of the ext4 file system, and of the partition in a GPT. */
    readonly label: string;
    /** UUIDs of file system and partition are derived from it, so that the same input gives the same bytes. */
    readonly seed: string;
  };
}

/** A planned disk, as values: where everything goes and what it holds. */
import type { FatPlan } from '../../formats/fat.ts';
import type { ImageTarget } from '../../platform/image-file.ts';
import type { DiskBlob, FatSource } from './disk-layout.ts';

/** Consecutive bytes of a boot loader file that go to one place. */
export interface LoaderSegment {
  /** In the file. */
  readonly from: number;
  readonly to: number;
}

export interface PlannedLoader {
  readonly path: string;
  /** From the start of the disk. */
  readonly offset: number;
  /** Of the file. */
  readonly size: number;
  /** What of it is written: all, or all but what would lie over an MBR's table. */
  readonly segments: readonly LoaderSegment[];
}

export type PartitionContent =
  | { readonly kind: 'file'; readonly path: string; readonly size: number }
  /** Zeros, with bytes at some places. */
  | { readonly kind: 'bytes'; readonly blobs: readonly DiskBlob[] }
  | { readonly kind: 'fat'; readonly plan: FatPlan; readonly sources: readonly FatSource[] }
  | { readonly kind: 'root' }
  | { readonly kind: 'linux'; readonly write?: (target: ImageTarget) => Promise<void> };

export interface DiskPartition {
  /** From 1, as in /dev/mmcblk0p1. */
  readonly number: number;
  readonly role: 'loader' | 'fat' | 'boot' | 'root' | 'data';
  /** Name in a GPT; an MBR has none. */
  readonly name: string;
  /** Bytes from the start of the disk. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
  readonly bootable: boolean;
  /** Type in an MBR. */
  readonly mbrType: number;
  /** Type in a GPT. */
  readonly gptType: string;
  /** What `root=PARTUUID=` names it by. */
  readonly partUuid: string;
  readonly content: PartitionContent;
}

export interface DiskPlan {
  readonly table: 'mbr' | 'gpt';
  /** Bytes. */
  readonly size: number;
  /** The disk signature of an MBR. */
  readonly signature: number;
  /** The GUID of a GPT's disk. */
  readonly diskUuid: string;
  /** The first sector that a partitioning tool may use. */
  readonly firstUsableSector: number;
  readonly loaders: readonly PlannedLoader[];
  /** Those that lie in no partition. */
  readonly blobs: readonly DiskBlob[];
  readonly partitions: readonly DiskPartition[];
}

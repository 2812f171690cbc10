import type { Checksum } from '../core/checksum.ts';

/** One part file of a delta. */
export interface DeltaPartInfo {
  /** Size of the file in bytes. */
  readonly size: number;
  readonly sha256: Checksum;
  /** Sum of the sizes of the objects it produces, in bytes. */
  readonly uncompressed: number;
}

/** A finished delta, with exact sizes in bytes. */
export interface DeltaInfo {
  /** Absent for the delta from nothing. */
  readonly from?: Checksum | undefined;
  readonly to: Checksum;
  /** Directory relative to the repository. */
  readonly path: string;
  readonly superblock: { readonly size: number; readonly sha256: Checksum };
  readonly parts: readonly DeltaPartInfo[];
  /** Objects the delta leaves to an ordinary fetch: size of the `.filez`, size of the content. */
  readonly fallbacks: readonly {
    readonly checksum: Checksum;
    readonly size: number;
    readonly uncompressed: number;
  }[];
  /** What a device downloads with it: superblock, parts and fallbacks. */
  readonly bytes: number;
  /** What a device that has `from` downloads without it: `.filez`, dirtree, dirmeta and commit objects. */
  readonly looseBytes: number;
  /** True when the delta was there already, whole and made in the same way. */
  readonly reused: boolean;
}

/** Where ext4 keeps its own blocks: superblock copies, group descriptors, bitmaps, inode tables. */
import {
  ADDRESSES_PER_BLOCK,
  BLOCKS_PER_GROUP,
  BLOCK_SIZE,
  DESCRIPTORS_PER_BLOCK,
  INODES_PER_BLOCK,
} from './constants.ts';

/** A run of blocks. */
export interface BlockRun {
  readonly start: number;
  readonly length: number;
}

export interface Geometry {
  /** Blocks of the whole file system. */
  readonly blocks: number;
  readonly groups: number;
  readonly inodesPerGroup: number;
  /** Blocks of the group descriptors, and blocks kept free behind them for growth. */
  readonly descriptorBlocks: number;
  readonly reservedDescriptorBlocks: number;
  readonly inodeTableBlocks: number;
}

/** How much larger a file system may become by resize2fs, as mke2fs plans it. */
const GROWTH = 1024;
/** A last group with less room than this besides its own blocks is not made. */
const SMALLEST_LAST_GROUP = 64;

/** The geometry of a file system of `blocks`, or slightly fewer, with at least `inodes` inodes. */
export function planGeometry(blocks: number, inodes: number): Geometry {
  const groups = Math.ceil(blocks / BLOCKS_PER_GROUP);
  const descriptorBlocks = Math.ceil(groups / DESCRIPTORS_PER_BLOCK);
  const inodesPerGroup = Math.min(
    Math.ceil(inodes / groups / INODES_PER_BLOCK) * INODES_PER_BLOCK,
    8 * BLOCK_SIZE,
  );
  const geometry: Geometry = {
    blocks,
    groups,
    inodesPerGroup,
    descriptorBlocks,
    reservedDescriptorBlocks: Math.min(
      ADDRESSES_PER_BLOCK,
      Math.ceil((groups * GROWTH) / DESCRIPTORS_PER_BLOCK) - descriptorBlocks,
    ),
    inodeTableBlocks: inodesPerGroup / INODES_PER_BLOCK,
  };
  const last = blocks - (groups - 1) * BLOCKS_PER_GROUP;
  if (groups > 1 && last < groupOverhead(geometry, groups - 1) + SMALLEST_LAST_GROUP) {
    return planGeometry((groups - 1) * BLOCKS_PER_GROUP, inodes);
  }
  return geometry;
}

/** Groups 0, 1 and the powers of 3, 5 and 7 have copies of superblock and descriptors (sparse_super). */
export function hasSuperblock(group: number): boolean {
  if (group <= 1) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}

/** Blocks of superblock, descriptors and those reserved, at the start of a group. */
export function superblockBlocks(geometry: Geometry, group: number): number {
  return hasSuperblock(group) ? 1 + geometry.descriptorBlocks + geometry.reservedDescriptorBlocks : 0;
}

/** All blocks at the start of a group that hold no content. */
export function groupOverhead(geometry: Geometry, group: number): number {
  return superblockBlocks(geometry, group) + 2 + geometry.inodeTableBlocks;
}

/** First blocks of bitmaps and inode table. */
export function groupPlaces(
  geometry: Geometry,
  group: number,
): { readonly blockBitmap: number; readonly inodeBitmap: number; readonly inodeTable: number } {
  const blockBitmap = group * BLOCKS_PER_GROUP + superblockBlocks(geometry, group);
  return { blockBitmap, inodeBitmap: blockBitmap + 1, inodeTable: blockBitmap + 2 };
}

/** Blocks of a group; the last one may be shorter. */
export function groupBlocks(geometry: Geometry, group: number): number {
  return Math.min(BLOCKS_PER_GROUP, geometry.blocks - group * BLOCKS_PER_GROUP);
}

/** Blocks for content, all together. */
export function contentBlocks(geometry: Geometry): number {
  let overhead = 0;
  for (let group = 0; group < geometry.groups; group++) overhead += groupOverhead(geometry, group);
  return geometry.blocks - overhead;
}

/** Hands out blocks from the first to the last, so that everything before `next` is in use. */
export interface Allocator {
  /** Runs of `count` blocks in all, or undefined when there are not as many. */
  take(count: number): BlockRun[] | undefined;
  /** The first block that is free, or the end. */
  next(): number;
  /** How many were handed out. */
  taken(): number;
}

export function createAllocator(geometry: Geometry): Allocator {
  let next = groupOverhead(geometry, 0);
  let taken = 0;
  return {
    next: () => next,
    taken: () => taken,
    take: (count) => {
      taken += count;
      const runs: BlockRun[] = [];
      for (let left = count; left > 0;) {
        const group = Math.floor(next / BLOCKS_PER_GROUP);
        if (group >= geometry.groups || next >= geometry.blocks) return undefined;
        const start = Math.max(next, group * BLOCKS_PER_GROUP + groupOverhead(geometry, group));
        const length = Math.min(left, group * BLOCKS_PER_GROUP + groupBlocks(geometry, group) - start);
        if (length > 0) runs.push({ start, length });
        left -= length;
        next = start + length;
      }
      return runs;
    },
  };
}

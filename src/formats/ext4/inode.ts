/** Inodes and extents. Source: Linux Documentation/filesystems/ext4/inodes.rst, ifork.rst, checksums.rst. */
import { crc32c } from '../../core/crc32c.ts';
import {
  BLOCK_SIZE,
  EXTENTS_IN_BLOCK,
  EXTENTS_IN_INODE,
  EXTRA_ISIZE,
  INODE_FLAGS,
  INODE_SIZE,
  MAX_EXTENT,
  MAX_LINKS,
} from './constants.ts';
import type { BlockRun } from './geometry.ts';
import type { PlannedAttributes } from './xattrs.ts';
import { writeInodeAttributes } from './xattrs.ts';

export interface Inode {
  readonly number: number;
  /** With the file type. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly links: number;
  readonly flags: number;
  /** All blocks that belong to it: content, extent blocks, attributes. */
  readonly blocks: number;
  /** The 60 bytes of block map, extent root or short symlink. */
  readonly body: Uint8Array;
  readonly attributes?: PlannedAttributes;
  /** Block of attributes, or 0. */
  readonly attributeBlock: number;
}

/** What the checksums of an inode's own blocks start with. */
export function inodeSeed(seed: number, number: number): number {
  const bytes = new Uint8Array(8);
  // The generation, behind it, is 0.
  new DataView(bytes.buffer).setUint32(0, number, true);
  return crc32c(seed, bytes);
}

/** The 256 bytes of an inode. `time` is when the file system was made, `seed` its checksum seed. */
export function encodeInode(inode: Inode, time: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(INODE_SIZE);
  const view = new DataView(bytes.buffer);
  const u16 = (at: number, value: number): void => view.setUint16(at, value, true);
  const u32 = (at: number, value: number): void => view.setUint32(at, value, true);
  u16(0, inode.mode);
  u16(2, inode.uid & 0xffff);
  u32(4, inode.size % 2 ** 32);
  u32(8, inode.mtime % 2 ** 32);
  u32(12, time % 2 ** 32);
  u32(16, inode.mtime % 2 ** 32);
  u16(24, inode.gid & 0xffff);
  u16(26, inode.links > MAX_LINKS ? 1 : inode.links);
  const sectors = inode.blocks * (BLOCK_SIZE / 512);
  u32(28, sectors % 2 ** 32);
  u32(32, inode.flags);
  bytes.set(inode.body, 40);
  u32(104, inode.attributeBlock);
  u32(108, Math.floor(inode.size / 2 ** 32));
  u16(116, Math.floor(sectors / 2 ** 32));
  u16(120, inode.uid >>> 16);
  u16(122, inode.gid >>> 16);
  u16(128, EXTRA_ISIZE);
  // Two bits beyond 2038, 30 of nanoseconds.
  u32(132, Math.floor(time / 2 ** 32) & 3);
  u32(136, Math.floor(inode.mtime / 2 ** 32) & 3);
  u32(140, Math.floor(inode.mtime / 2 ** 32) & 3);
  u32(144, time % 2 ** 32);
  u32(148, Math.floor(time / 2 ** 32) & 3);
  if (inode.attributes !== undefined) writeInodeAttributes(bytes, inode.attributes.inInode);
  const checksum = crc32c(inodeSeed(seed, inode.number), bytes);
  u16(124, checksum & 0xffff);
  u16(130, checksum >>> 16);
  return bytes;
}

/** The extents of a file: runs no longer than one extent can be. */
export function extentsOf(runs: readonly BlockRun[]): BlockRun[] {
  return runs.flatMap(({ start, length }) =>
    Array.from({ length: Math.ceil(length / MAX_EXTENT) }, (_, i) => ({
      start: start + i * MAX_EXTENT,
      length: Math.min(MAX_EXTENT, length - i * MAX_EXTENT),
    })),
  );
}

/** Blocks of extents besides the root in the inode. Four of them hold 1,360 extents, at 128 MiB each. */
export function extentBlocks(extents: number): number {
  return extents <= EXTENTS_IN_INODE ? 0 : Math.ceil(extents / EXTENTS_IN_BLOCK);
}

/** Most extents that an inode with one level of blocks has. */
export const MAX_EXTENTS = EXTENTS_IN_INODE * EXTENTS_IN_BLOCK;

/** The root of the extents for the inode, and the blocks it leads to. `places` are as many as `extentBlocks` says. */
export function encodeExtents(
  extents: readonly BlockRun[],
  places: readonly number[],
  seed: number,
): { readonly body: Uint8Array; readonly blocks: readonly Uint8Array[] } {
  const body = new Uint8Array(60);
  if (places.length === 0) {
    writeLeaf(body, extents, 0, EXTENTS_IN_INODE);
    return { body, blocks: [] };
  }
  writeHeader(body, places.length, EXTENTS_IN_INODE, 1);
  const view = new DataView(body.buffer);
  let logical = 0;
  const blocks = places.map((place, i) => {
    const part = extents.slice(i * EXTENTS_IN_BLOCK, (i + 1) * EXTENTS_IN_BLOCK);
    view.setUint32(12 + 12 * i, logical, true);
    view.setUint32(16 + 12 * i, place, true);
    const block = new Uint8Array(BLOCK_SIZE);
    logical = writeLeaf(block, part, logical, EXTENTS_IN_BLOCK);
    const tail = 12 + 12 * EXTENTS_IN_BLOCK;
    new DataView(block.buffer).setUint32(tail, crc32c(seed, block.subarray(0, tail)), true);
    return block;
  });
  return { body, blocks };
}

function writeHeader(bytes: Uint8Array, entries: number, max: number, depth: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint16(0, 0xf30a, true);
  view.setUint16(2, entries, true);
  view.setUint16(4, max, true);
  view.setUint16(6, depth, true);
}

/** Returns the logical block that follows. */
function writeLeaf(bytes: Uint8Array, extents: readonly BlockRun[], first: number, max: number): number {
  writeHeader(bytes, extents.length, max, 0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let logical = first;
  for (const [i, { start, length }] of extents.entries()) {
    const at = 12 + 12 * i;
    view.setUint32(at, logical, true);
    view.setUint16(at + 4, length, true);
    view.setUint32(at + 8, start, true);
    logical += length;
  }
  return logical;
}

/** Flags of an inode whose content is in extents. */
export function contentFlags(immutable: boolean): number {
  return INODE_FLAGS.extents | (immutable ? INODE_FLAGS.immutable : 0);
}

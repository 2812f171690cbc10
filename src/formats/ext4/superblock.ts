/** Superblock, group descriptors, journal superblock. Source: Linux Documentation/filesystems/ext4, jbd2/journal.h. */
import { crc32c } from '../../core/crc32c.ts';
import { utf8 } from '../../core/bytes.ts';
import {
  BLOCKS_PER_GROUP,
  BLOCK_SIZE,
  COMPATIBLE,
  DESCRIPTOR_SIZE,
  EXTRA_ISIZE,
  FIRST_INODE,
  INCOMPATIBLE,
  INODE_SIZE,
  JOURNAL_INODE,
  READ_ONLY_COMPATIBLE,
} from './constants.ts';
import type { Geometry } from './geometry.ts';
import { groupPlaces } from './geometry.ts';

export const SUPERBLOCK_SIZE = 1024;

export interface SuperblockFacts {
  readonly geometry: Geometry;
  readonly freeBlocks: number;
  readonly freeInodes: number;
  /** Blocks that only root may use. */
  readonly reservedBlocks: number;
  readonly label: string;
  /** 16 bytes each. */
  readonly uuid: Uint8Array;
  readonly hashSeed: Uint8Array;
  /** Seconds since 1970. */
  readonly time: number;
  /** Block map of the journal's inode, kept here as well, and its size in bytes. */
  readonly journalBody: Uint8Array;
  readonly journalSize: number;
}

/** What checksums start with: CRC-32C of the UUID. */
export function checksumSeed(uuid: Uint8Array): number {
  return crc32c(0xffffffff, uuid);
}

/** The 1024 bytes of a superblock; `group` is the one the copy is in. */
export function encodeSuperblock(facts: SuperblockFacts, group: number): Uint8Array {
  const { geometry, time } = facts;
  const bytes = new Uint8Array(SUPERBLOCK_SIZE);
  const view = new DataView(bytes.buffer);
  const u16 = (at: number, value: number): void => view.setUint16(at, value, true);
  const u32 = (at: number, value: number): void => view.setUint32(at, value % 2 ** 32, true);
  const sum = (flags: Readonly<Record<string, number>>): number =>
    Object.values(flags).reduce((all, flag) => all | flag, 0);
  u32(0x00, geometry.groups * geometry.inodesPerGroup);
  u32(0x04, geometry.blocks);
  u32(0x08, facts.reservedBlocks);
  u32(0x0c, facts.freeBlocks);
  u32(0x10, facts.freeInodes);
  // 2^(10+2): blocks and clusters of 4 KiB.
  u32(0x18, 2);
  u32(0x1c, 2);
  u32(0x20, BLOCKS_PER_GROUP);
  u32(0x24, BLOCKS_PER_GROUP);
  u32(0x28, geometry.inodesPerGroup);
  u32(0x30, time);
  // No check after a number of mounts.
  u16(0x36, 0xffff);
  u16(0x38, 0xef53);
  // Clean; on errors continue, as mke2fs has it.
  u16(0x3a, 1);
  u16(0x3c, 1);
  u32(0x40, time);
  u32(0x4c, 1);
  u32(0x54, FIRST_INODE);
  u16(0x58, INODE_SIZE);
  u16(0x5a, group);
  u32(0x5c, sum(COMPATIBLE));
  u32(0x60, sum(INCOMPATIBLE));
  u32(0x64, sum(READ_ONLY_COMPATIBLE));
  bytes.set(facts.uuid, 0x68);
  bytes.set(utf8(facts.label).subarray(0, 16), 0x78);
  u16(0xce, geometry.reservedDescriptorBlocks);
  u32(0xe0, JOURNAL_INODE);
  bytes.set(facts.hashSeed, 0xec);
  // Half MD4; the journal's inode is kept below.
  bytes[0xfc] = 1;
  bytes[0xfd] = 1;
  // Mount with user_xattr and acl.
  u32(0x100, 0xc);
  u32(0x108, time);
  bytes.set(facts.journalBody, 0x10c);
  u32(0x148, Math.floor(facts.journalSize / 2 ** 32));
  u32(0x14c, facts.journalSize);
  u16(0x15c, EXTRA_ISIZE);
  u16(0x15e, EXTRA_ISIZE);
  // Names are hashed as signed characters.
  u32(0x160, 1);
  // Checksums are CRC-32C.
  bytes[0x175] = 1;
  u32(0x3fc, crc32c(0xffffffff, bytes.subarray(0, 0x3fc)));
  return bytes;
}

export interface GroupFacts {
  readonly blockBitmap: Uint8Array;
  readonly inodeBitmap: Uint8Array;
  readonly freeBlocks: number;
  readonly freeInodes: number;
  readonly directories: number;
  /** Inodes at the end of the table that were never in use. */
  readonly unusedInodes: number;
}

/** The descriptor of a group, 32 bytes. */
export function encodeDescriptor(
  geometry: Geometry,
  group: number,
  facts: GroupFacts,
  seed: number,
): Uint8Array {
  const bytes = new Uint8Array(DESCRIPTOR_SIZE);
  const view = new DataView(bytes.buffer);
  const { blockBitmap, inodeBitmap, inodeTable } = groupPlaces(geometry, group);
  view.setUint32(0x00, blockBitmap, true);
  view.setUint32(0x04, inodeBitmap, true);
  view.setUint32(0x08, inodeTable, true);
  view.setUint16(0x0c, facts.freeBlocks, true);
  view.setUint16(0x0e, facts.freeInodes, true);
  view.setUint16(0x10, facts.directories, true);
  const inodeBytes = geometry.inodesPerGroup / 8;
  view.setUint16(0x18, crc32c(seed, facts.blockBitmap) & 0xffff, true);
  view.setUint16(0x1a, crc32c(seed, facts.inodeBitmap.subarray(0, inodeBytes)) & 0xffff, true);
  view.setUint16(0x1c, facts.unusedInodes, true);
  const number = new Uint8Array(4);
  new DataView(number.buffer).setUint32(0, group, true);
  // The checksum's own two bytes count as zeros.
  view.setUint16(0x1e, crc32c(crc32c(seed, number), bytes) & 0xffff, true);
  return bytes;
}

/** The first block of an empty journal of `blocks` blocks (big-endian, unlike the rest). */
export function encodeJournalSuperblock(blocks: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0x00, 0xc03b3998);
  // A superblock of version 2.
  view.setUint32(0x04, 4);
  view.setUint32(0x0c, BLOCK_SIZE);
  view.setUint32(0x10, blocks);
  // The log begins behind this block, with this sequence number, and is empty.
  view.setUint32(0x14, 1);
  view.setUint32(0x18, 1);
  view.setUint32(0x40, 1);
  return bytes;
}

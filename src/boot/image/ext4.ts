/** Writes a planned ext4 file system: content in the order of its blocks, then everything that describes it. */
import { utf8 } from '../../core/bytes.ts';
import { TreewrightError } from '../../core/errors.ts';
import {
  ADDRESSES_PER_BLOCK,
  BLOCKS_PER_GROUP,
  BLOCK_SIZE,
  DESCRIPTOR_SIZE,
  FAST_SYMLINK,
  FILE_TYPE,
  FIRST_INODE,
  INODE_FLAGS,
  INODE_SIZE,
  JOURNAL_INODE,
  RESIZE_INODE,
} from '../../formats/ext4/constants.ts';
import type { DirectoryEntry } from '../../formats/ext4/directory.ts';
import { encodeDirectory } from '../../formats/ext4/directory.ts';
import type { BlockRun } from '../../formats/ext4/geometry.ts';
import {
  groupBlocks,
  groupOverhead,
  groupPlaces,
  hasSuperblock,
  superblockBlocks,
} from '../../formats/ext4/geometry.ts';
import type { Inode } from '../../formats/ext4/inode.ts';
import { contentFlags, encodeExtents, encodeInode, extentsOf, inodeSeed } from '../../formats/ext4/inode.ts';
import {
  checksumSeed,
  encodeDescriptor,
  encodeJournalSuperblock,
  encodeSuperblock,
} from '../../formats/ext4/superblock.ts';
import { encodeAttributeBlock } from '../../formats/ext4/xattrs.ts';
import type { ImageTarget } from '../../platform/image-file.ts';
import type { Directory, RegularFile, TreeNode } from '../../tree/types.ts';
import { sortedEntries } from '../../tree/walk.ts';
import type { OpenContent } from './content.ts';
import type { Ext4Plan, PlannedNode } from './ext4-plan.ts';
import { LOST_AND_FOUND_BLOCKS } from './ext4-plan.ts';

/** Content is written in pieces of this many bytes. */
const WRITE_SIZE = 1 << 20;

/** Share of the blocks that only root may use. */
const RESERVED = 0.01;

/** Writes the whole file system; blocks that hold nothing are not written and read as zeros. */
export async function writeExt4(
  plan: Ext4Plan,
  openContent: OpenContent,
  target: ImageTarget,
  progress: (bytes: number) => void = () => undefined,
): Promise<void> {
  const seed = checksumSeed(plan.options.uuid);
  const inodes = new Map<number, Inode>();
  const journal = await writeJournal(plan, seed, target);
  inodes.set(JOURNAL_INODE, journal);
  inodes.set(RESIZE_INODE, await writeResizeInode(plan, target));
  for (const planned of plan.nodes) {
    await writeContent(plan, planned, seed, openContent, target, progress);
    inodes.set(planned.inode, await writeInodeBlocks(plan, planned, seed, target));
  }
  await writeGroups(plan, inodes, journal, seed, target);
}

function blockOffset(block: number): number {
  return block * BLOCK_SIZE;
}

async function writeContent(
  plan: Ext4Plan,
  planned: PlannedNode,
  seed: number,
  openContent: OpenContent,
  target: ImageTarget,
  progress: (bytes: number) => void,
): Promise<void> {
  const { node, extents } = planned;
  if (node.kind === 'file') {
    await writeFile(planned, node, openContent, target);
    progress(planned.size);
    return;
  }
  if (node.kind === 'symlink') {
    const [extent] = extents;
    if (extent !== undefined) await target.write(blockOffset(extent.start), wholeBlock(utf8(node.target)));
    return;
  }
  const bytes = encodeDirectory(
    directoryEntries(plan, planned, node),
    inodeSeed(seed, planned.inode),
    planned.path === 'lost+found' ? LOST_AND_FOUND_BLOCKS : 1,
  );
  let at = 0;
  for (const { start, length } of extents) {
    await target.write(blockOffset(start), bytes.subarray(at, at + length * BLOCK_SIZE));
    at += length * BLOCK_SIZE;
  }
}

function directoryEntries(plan: Ext4Plan, planned: PlannedNode, directory: Directory): DirectoryEntry[] {
  const named = (name: string, inode: number, node: TreeNode): DirectoryEntry => ({
    name: utf8(name),
    inode,
    type: FILE_TYPE[node.kind],
  });
  return [
    named('.', planned.inode, directory),
    named('..', planned.parent, directory),
    ...sortedEntries(directory).map(([name, node]) => named(name, plan.byNode.get(node)?.inode ?? 0, node)),
  ];
}

/** Streams content into the extents of a file. */
async function writeFile(
  planned: PlannedNode,
  file: RegularFile,
  openContent: OpenContent,
  target: ImageTarget,
): Promise<void> {
  const places = planned.extents.map(({ start, length }) => ({
    offset: blockOffset(start),
    room: length * BLOCK_SIZE,
  }));
  let buffered: Uint8Array[] = [];
  let size = 0;
  let total = 0;
  const flush = async (): Promise<void> => {
    let bytes: Uint8Array =
      buffered.length === 1 ? (buffered[0] ?? new Uint8Array()) : Buffer.concat(buffered);
    buffered = [];
    size = 0;
    while (bytes.length > 0) {
      const [place] = places;
      if (place === undefined) throw wrongSize(planned, total);
      const part = bytes.subarray(0, place.room);
      await target.write(place.offset, part);
      place.offset += part.length;
      place.room -= part.length;
      if (place.room === 0) places.shift();
      bytes = bytes.subarray(part.length);
    }
  };
  for await (const chunk of openContent(file)) {
    total += chunk.length;
    if (total > planned.size) throw wrongSize(planned, total);
    buffered.push(chunk);
    size += chunk.length;
    if (size >= WRITE_SIZE) await flush();
  }
  if (total !== planned.size) throw wrongSize(planned, total);
  // A copy onto a used card must not bring the end of an older file back.
  if (total % BLOCK_SIZE !== 0) buffered.push(new Uint8Array(BLOCK_SIZE - (total % BLOCK_SIZE)));
  await flush();
}

function wholeBlock(bytes: Uint8Array): Uint8Array {
  const block = new Uint8Array(BLOCK_SIZE);
  block.set(bytes);
  return block;
}

function wrongSize({ path, size }: PlannedNode, found: number): TreewrightError {
  return new TreewrightError(
    'internal/wrong-size',
    `/${path} has ${found} bytes where ${size} were announced`,
    {
      data: { path, size },
    },
  );
}

/** Writes extent and attribute blocks, and gives the inode. */
async function writeInodeBlocks(
  plan: Ext4Plan,
  planned: PlannedNode,
  seed: number,
  target: ImageTarget,
): Promise<Inode> {
  const { node, inode, extents, extentBlocks, attributes, attributeBlock, size } = planned;
  const short = node.kind === 'symlink' && size < FAST_SYMLINK;
  const { body, blocks } = encodeExtents(extents, extentBlocks, inodeSeed(seed, inode));
  for (const [i, block] of blocks.entries()) await target.write(blockOffset(extentBlocks[i] ?? 0), block);
  if (attributeBlock !== 0) {
    const bytes = encodeAttributeBlock(attributes.inBlock, attributeBlock, seed);
    await target.write(blockOffset(attributeBlock), bytes);
  }
  const { mode, uid, gid } = node.stat;
  const immutable = node.kind === 'directory' && plan.source.immutable.has(node);
  return {
    number: inode,
    mode,
    uid,
    gid,
    size,
    mtime: plan.source.mtime(node),
    links: planned.links,
    flags: short ? 0 : contentFlags(immutable),
    blocks:
      extents.reduce((sum, { length }) => sum + length, 0) +
      extentBlocks.length +
      (attributeBlock === 0 ? 0 : 1),
    body: short ? withTarget(node.target) : body,
    attributes,
    attributeBlock,
  };
}

function withTarget(text: string): Uint8Array {
  const body = new Uint8Array(60);
  body.set(utf8(text));
  return body;
}

async function writeJournal(plan: Ext4Plan, seed: number, target: ImageTarget): Promise<Inode> {
  const extents = extentsOf(plan.journal);
  const blocks = extents.reduce((sum, { length }) => sum + length, 0);
  // All of it is written: on a used card, transactions of an older file system would be replayed else.
  for (const { start, length } of extents) {
    for (let at = 0; at < length; at += WRITE_SIZE / BLOCK_SIZE) {
      const size = Math.min(WRITE_SIZE, (length - at) * BLOCK_SIZE);
      await target.write(blockOffset(start + at), new Uint8Array(size));
    }
  }
  const [first] = extents;
  if (first !== undefined) await target.write(blockOffset(first.start), encodeJournalSuperblock(blocks));
  return {
    number: JOURNAL_INODE,
    mode: 0o100600,
    uid: 0,
    gid: 0,
    size: blocks * BLOCK_SIZE,
    mtime: plan.options.time,
    links: 1,
    flags: INODE_FLAGS.extents,
    blocks,
    // The journal lies at the start, in at most two groups.
    body: encodeExtents(extents, [], inodeSeed(seed, JOURNAL_INODE)).body,
    attributeBlock: 0,
  };
}

/**
 * The inode that owns the blocks behind the group descriptors, so that resize2fs can lengthen these while the file
 * system is mounted. Source: e2fsprogs lib/ext2fs/res_gdt.c.
 */
async function writeResizeInode(plan: Ext4Plan, target: ImageTarget): Promise<Inode> {
  const { geometry, options, resizeBlock } = plan;
  const { descriptorBlocks, reservedDescriptorBlocks, groups } = geometry;
  const copies = Array.from({ length: groups }, (_, group) => group).filter(
    (group) => group > 0 && hasSuperblock(group),
  );
  const doubly = new DataView(new ArrayBuffer(BLOCK_SIZE));
  for (let i = 0; i < reservedDescriptorBlocks; i++) {
    const block = 1 + descriptorBlocks + i;
    doubly.setUint32(((descriptorBlocks + i) % ADDRESSES_PER_BLOCK) * 4, block, true);
    const single = new DataView(new ArrayBuffer(BLOCK_SIZE));
    for (const [at, group] of copies.entries())
      single.setUint32(at * 4, block + group * BLOCKS_PER_GROUP, true);
    await target.write(blockOffset(block), new Uint8Array(single.buffer));
  }
  await target.write(blockOffset(resizeBlock), new Uint8Array(doubly.buffer));
  const body = new Uint8Array(60);
  // The thirteenth entry of a block map is the doubly indirect one.
  new DataView(body.buffer).setUint32(13 * 4, resizeBlock, true);
  return {
    number: RESIZE_INODE,
    mode: 0o100600,
    uid: 0,
    gid: 0,
    size: (ADDRESSES_PER_BLOCK ** 2 + ADDRESSES_PER_BLOCK + 12) * BLOCK_SIZE,
    mtime: options.time,
    links: 1,
    flags: 0,
    blocks: 1 + reservedDescriptorBlocks * (1 + copies.length),
    body,
    attributeBlock: 0,
  };
}

/** Bitmaps, inode tables, descriptors and superblocks. */
async function writeGroups(
  plan: Ext4Plan,
  inodes: ReadonlyMap<number, Inode>,
  journal: Inode,
  seed: number,
  target: ImageTarget,
): Promise<void> {
  const { geometry, options, firstFree } = plan;
  const { groups, inodesPerGroup } = geometry;
  const lastInode = plan.nodes.reduce((last, { inode }) => Math.max(last, inode), FIRST_INODE - 1);
  const descriptors = new Uint8Array(geometry.descriptorBlocks * BLOCK_SIZE);
  let allFreeBlocks = 0;
  let allFreeInodes = 0;
  for (let group = 0; group < groups; group++) {
    const firstBlock = group * BLOCKS_PER_GROUP;
    const blocks = groupBlocks(geometry, group);
    const usedBlocks = Math.min(blocks, Math.max(groupOverhead(geometry, group), firstFree - firstBlock));
    const firstInode = group * inodesPerGroup + 1;
    const usedInodes = Math.min(inodesPerGroup, Math.max(0, lastInode - firstInode + 1));
    const blockBitmap = bitmap([
      { start: 0, length: usedBlocks },
      { start: blocks, length: BLOCKS_PER_GROUP - blocks },
    ]);
    const inodeBitmap = bitmap([
      { start: 0, length: usedInodes },
      { start: inodesPerGroup, length: 8 * BLOCK_SIZE - inodesPerGroup },
    ]);
    const table = new Uint8Array(Math.ceil((usedInodes * INODE_SIZE) / BLOCK_SIZE) * BLOCK_SIZE);
    let directories = 0;
    for (let i = 0; i < usedInodes; i++) {
      const inode = inodes.get(firstInode + i);
      if (inode === undefined) continue;
      table.set(encodeInode(inode, options.time, seed), i * INODE_SIZE);
      if ((inode.mode & 0o170000) === 0o040000) directories++;
    }
    const places = groupPlaces(geometry, group);
    await target.write(blockOffset(places.blockBitmap), blockBitmap);
    await target.write(blockOffset(places.inodeBitmap), inodeBitmap);
    await target.write(blockOffset(places.inodeTable), table);
    const freeBlocks = blocks - usedBlocks;
    const freeInodes = inodesPerGroup - usedInodes;
    allFreeBlocks += freeBlocks;
    allFreeInodes += freeInodes;
    const facts = { blockBitmap, inodeBitmap, freeBlocks, freeInodes, directories, unusedInodes: freeInodes };
    descriptors.set(encodeDescriptor(geometry, group, facts, seed), group * DESCRIPTOR_SIZE);
  }
  for (let group = 0; group < groups; group++) {
    if (superblockBlocks(geometry, group) === 0) continue;
    const superblock = encodeSuperblock(
      {
        geometry,
        freeBlocks: allFreeBlocks,
        freeInodes: allFreeInodes,
        reservedBlocks: Math.floor(geometry.blocks * RESERVED),
        label: options.label,
        uuid: options.uuid,
        hashSeed: options.hashSeed,
        time: options.time,
        journalBody: journal.body,
        journalSize: journal.size,
      },
      group,
    );
    const start = blockOffset(group * BLOCKS_PER_GROUP);
    // The first kilobyte of the disk is left to a boot sector.
    await target.write(group === 0 ? start + 1024 : start, superblock);
    await target.write(start + BLOCK_SIZE, descriptors);
  }
}

/** A block of bits in which these runs are set. */
function bitmap(runs: readonly BlockRun[]): Uint8Array {
  const bytes = new Uint8Array(BLOCK_SIZE);
  for (const { start, length } of runs) {
    let at = start;
    const end = start + length;
    for (; at < end && at % 8 !== 0; at++) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (1 << (at & 7));
    const whole = Math.floor((end - at) / 8);
    if (whole > 0) {
      bytes.fill(0xff, at >> 3, (at >> 3) + whole);
      at += whole * 8;
    }
    for (; at < end; at++) bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (1 << (at & 7));
  }
  return bytes;
}

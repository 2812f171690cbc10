/** Directory blocks, as lists of entries. Source: Linux Documentation/filesystems/ext4/directory.rst. */
import { crc32c } from '../../core/crc32c.ts';
import { BLOCK_SIZE } from './constants.ts';

export interface DirectoryEntry {
  readonly name: Uint8Array;
  readonly inode: number;
  /** One of FILE_TYPE. */
  readonly type: number;
}

/** The checksum at the end of each block looks like an entry without a name. */
const TAIL = 12;
const ROOM = BLOCK_SIZE - TAIL;

function recordSize(nameLength: number): number {
  return Math.ceil((8 + nameLength) / 4) * 4;
}

/** Blocks for names of these lengths in bytes, in this order, "." and ".." not counted among them. */
export function directoryBlocks(nameLengths: Iterable<number>): number {
  let blocks = 1;
  let used = recordSize(1) + recordSize(2);
  for (const length of nameLengths) {
    const size = recordSize(length);
    if (used + size > ROOM) {
      blocks++;
      used = 0;
    }
    used += size;
  }
  return blocks;
}

/**
 * The content of a directory, `least` blocks or more; entries include "." and "..". `seed` is that of its inode.
 */
export function encodeDirectory(entries: readonly DirectoryEntry[], seed: number, least = 1): Uint8Array {
  const blocks: DirectoryEntry[][] = [[]];
  let used = 0;
  for (const entry of entries) {
    const size = recordSize(entry.name.length);
    if (used + size > ROOM) {
      blocks.push([]);
      used = 0;
    }
    blocks.at(-1)?.push(entry);
    used += size;
  }
  while (blocks.length < least) blocks.push([]);
  const bytes = new Uint8Array(blocks.length * BLOCK_SIZE);
  for (const [i, list] of blocks.entries()) {
    writeBlock(bytes.subarray(i * BLOCK_SIZE, (i + 1) * BLOCK_SIZE), list, seed);
  }
  return bytes;
}

function writeBlock(bytes: Uint8Array, entries: readonly DirectoryEntry[], seed: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  for (const [i, { name, inode, type }] of entries.entries()) {
    // The last entry reaches to the tail.
    const size = i === entries.length - 1 ? ROOM - at : recordSize(name.length);
    view.setUint32(at, inode, true);
    view.setUint16(at + 4, size, true);
    view.setUint8(at + 6, name.length);
    view.setUint8(at + 7, type);
    bytes.set(name, at + 8);
    at += size;
  }
  // A block without entries has one that is not in use.
  if (entries.length === 0) view.setUint16(4, ROOM, true);
  view.setUint16(ROOM + 4, TAIL, true);
  view.setUint8(ROOM + 7, 0xde);
  view.setUint32(ROOM + 8, crc32c(seed, bytes.subarray(0, ROOM)), true);
}

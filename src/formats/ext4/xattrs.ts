/**
 * Extended attributes: in the inode behind its fixed part, the rest in a block.
 * Source: Linux Documentation/filesystems/ext4/attributes.rst, fs/ext4/xattr.c, fs/ext4/acl.h.
 */
import { crc32c } from '../../core/crc32c.ts';
import { TreewrightError } from '../../core/errors.ts';
import { compareBytes, utf8 } from '../../core/bytes.ts';
import { BLOCK_SIZE, EXTRA_ISIZE, INODE_SIZE } from './constants.ts';

export interface ExtendedAttribute {
  readonly name: string;
  readonly value: Uint8Array;
}

/** Prefixes that the disk stores as a number. The longest one that fits is taken. */
const PREFIXES: readonly (readonly [prefix: string, index: number])[] = [
  ['system.posix_acl_access', 2],
  ['system.posix_acl_default', 3],
  ['user.', 1],
  ['trusted.', 4],
  ['security.', 6],
  ['system.', 7],
];

const MAGIC = 0xea020000;
const ENTRY_SIZE = 16;
const BLOCK_HEADER = 32;
/** Where the attributes of an inode begin, and the room for entries and values behind the magic number. */
const INODE_START = 128 + EXTRA_ISIZE;
const INODE_ROOM = INODE_SIZE - INODE_START - 4;

interface Stored {
  readonly index: number;
  readonly name: Uint8Array;
  readonly value: Uint8Array;
  readonly hash: number;
}

/** Attributes of one inode, divided between the inode and a block. */
export interface PlannedAttributes {
  readonly inInode: readonly Stored[];
  readonly inBlock: readonly Stored[];
}

/** Divides attributes; throws `input/xattr-too-large` when they do not fit. `path` is for the message. */
export function planAttributes(xattrs: readonly ExtendedAttribute[], path: string): PlannedAttributes {
  const stored = xattrs.map((xattr) => toStored(xattr, path));
  const inInode: Stored[] = [];
  const inBlock: Stored[] = [];
  // The four zero bytes behind the last entry mark the end.
  let room = INODE_ROOM - 4;
  for (const attribute of stored) {
    const size = storedSize(attribute);
    if (size <= room) {
      inInode.push(attribute);
      room -= size;
    } else {
      inBlock.push(attribute);
    }
  }
  const needed = inBlock.reduce((sum, attribute) => sum + storedSize(attribute), BLOCK_HEADER + 4);
  if (needed > BLOCK_SIZE) {
    throw new TreewrightError(
      'input/xattr-too-large',
      `the extended attributes of /${path} take ${needed} bytes, and ext4 has room for ${BLOCK_SIZE}`,
      { data: { path } },
    );
  }
  // The kernel searches a block in this order.
  inBlock.sort((a, b) => a.index - b.index || a.name.length - b.name.length || compareBytes(a.name, b.name));
  return { inInode, inBlock };
}

function padded(size: number): number {
  return Math.ceil(size / 4) * 4;
}

function storedSize({ name, value }: Stored): number {
  return padded(ENTRY_SIZE + name.length) + padded(value.length);
}

function toStored({ name, value }: ExtendedAttribute, path: string): Stored {
  const prefix = PREFIXES.find(([text]) => name.startsWith(text));
  if (prefix === undefined) {
    throw new TreewrightError(
      'input/bad-xattr',
      `/${path} has the extended attribute ${JSON.stringify(name)}, which ext4 cannot store: its name must begin with ` +
        'user., trusted., security. or system.',
      { data: { path, name } },
    );
  }
  const [text, index] = prefix;
  const bytes = utf8(name.slice(text.length));
  const onDisk = index === 2 || index === 3 ? aclOnDisk(value, path) : value;
  return { index, name: bytes, value: onDisk, hash: entryHash(bytes, onDisk) };
}

/** From the form of getxattr (version 2, every entry with an id) to that of the disk (version 1, ids where needed). */
function aclOnDisk(value: Uint8Array, path: string): Uint8Array {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  if (value.length < 4 || (value.length - 4) % 8 !== 0 || view.getUint32(0, true) !== 2) {
    throw new TreewrightError('input/bad-xattr', `/${path} has an ACL that is not in the form of Linux`, {
      data: { path },
    });
  }
  const out: number[] = [1, 0, 0, 0];
  for (let at = 4; at < value.length; at += 8) {
    const tag = view.getUint16(at, true);
    out.push(...value.subarray(at, at + 4));
    // ACL_USER and ACL_GROUP
    if (tag === 2 || tag === 8) out.push(...value.subarray(at + 4, at + 8));
  }
  return Uint8Array.from(out);
}

function entryHash(name: Uint8Array, value: Uint8Array): number {
  let hash = 0;
  for (const byte of name) hash = ((hash << 5) ^ (hash >>> 27) ^ byte) >>> 0;
  const bytes = new Uint8Array(padded(value.length));
  bytes.set(value);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 4) {
    hash = ((hash << 16) ^ (hash >>> 16) ^ view.getUint32(at, true)) >>> 0;
  }
  return hash;
}

/** Entries from the front, values from the back; value offsets count from `base`. */
function writeEntries(area: Uint8Array, start: number, base: number, attributes: readonly Stored[]): void {
  const view = new DataView(area.buffer, area.byteOffset, area.byteLength);
  let at = start;
  let end = area.length;
  for (const { index, name, value, hash } of attributes) {
    end -= padded(value.length);
    view.setUint8(at, name.length);
    view.setUint8(at + 1, index);
    view.setUint16(at + 2, value.length === 0 ? 0 : end - base, true);
    view.setUint32(at + 8, value.length, true);
    view.setUint32(at + 12, hash, true);
    area.set(name, at + ENTRY_SIZE);
    area.set(value, end);
    at += padded(ENTRY_SIZE + name.length);
  }
}

/** Puts attributes into an inode of 256 bytes. */
export function writeInodeAttributes(inode: Uint8Array, attributes: readonly Stored[]): void {
  if (attributes.length === 0) return;
  new DataView(inode.buffer, inode.byteOffset, inode.byteLength).setUint32(INODE_START, MAGIC, true);
  writeEntries(inode, INODE_START + 4, INODE_START + 4, attributes);
}

/** The block of attributes at block number `block`. `seed` is the checksum seed of the file system. */
export function encodeAttributeBlock(attributes: readonly Stored[], block: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, 1, true);
  view.setUint32(8, 1, true);
  let hash = 0;
  for (const attribute of attributes) hash = ((hash << 16) ^ (hash >>> 16) ^ attribute.hash) >>> 0;
  view.setUint32(12, attributes.some((attribute) => attribute.hash === 0) ? 0 : hash, true);
  writeEntries(bytes, BLOCK_HEADER, 0, attributes);
  const number = new Uint8Array(8);
  new DataView(number.buffer).setUint32(0, block, true);
  view.setUint32(16, crc32c(crc32c(seed, number), bytes), true);
  return bytes;
}

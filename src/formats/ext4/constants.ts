/** Numbers of ext4's on-disk format. Source: Linux Documentation/filesystems/ext4, fs/ext4/ext4.h. */

export const BLOCK_SIZE = 4096;
/** One bitmap block describes a group. */
export const BLOCKS_PER_GROUP = 8 * BLOCK_SIZE;
export const INODE_SIZE = 256;
export const INODES_PER_BLOCK = BLOCK_SIZE / INODE_SIZE;
/** Bytes beyond the original 128 of an inode that are in use: times with nanoseconds, checksum, project. */
export const EXTRA_ISIZE = 32;
/** Without the feature 64bit. */
export const DESCRIPTOR_SIZE = 32;
export const DESCRIPTORS_PER_BLOCK = BLOCK_SIZE / DESCRIPTOR_SIZE;
/** Block numbers in a block of them. */
export const ADDRESSES_PER_BLOCK = BLOCK_SIZE / 4;

export const ROOT_INODE = 2;
export const RESIZE_INODE = 7;
export const JOURNAL_INODE = 8;
export const FIRST_INODE = 11;

/** Beyond this a directory's link count is 1 (dir_nlink). */
export const MAX_LINKS = 65_000;

export const COMPATIBLE = { hasJournal: 0x4, extAttr: 0x8, resizeInode: 0x10, dirIndex: 0x20 } as const;
export const INCOMPATIBLE = { fileType: 0x2, extents: 0x40 } as const;
export const READ_ONLY_COMPATIBLE = {
  sparseSuper: 0x1,
  largeFile: 0x2,
  hugeFile: 0x8,
  dirNlink: 0x20,
  extraIsize: 0x40,
  metadataChecksum: 0x400,
} as const;

export const INODE_FLAGS = { immutable: 0x10, extents: 0x80000 } as const;
export const FILE_TYPE = { file: 1, directory: 2, symlink: 7 } as const;

/** Longest run of one extent, in blocks. */
export const MAX_EXTENT = 32_768;
/** Extents or index entries in an inode, and in a block of them with its checksum. */
export const EXTENTS_IN_INODE = 4;
export const EXTENTS_IN_BLOCK = Math.floor((BLOCK_SIZE - 12 - 4) / 12);

/** A symlink shorter than this is in the inode itself. */
export const FAST_SYMLINK = 60;

import type { Checksum } from '../core/checksum.ts';

/** One extended attribute. Names are text without a NUL; values are arbitrary bytes. */
export interface Xattr {
  readonly name: string;
  readonly value: Uint8Array;
}

/** File type bits of `mode`, as in `sys/stat.h`. */
export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

/** Owner, mode with its file type bits, and xattrs sorted by the bytes of their names. */
export interface Stat {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly xattrs: readonly Xattr[];
}

/** Content that a ContentSink has taken: the checksum of the OSTree content object, and the size of the content. */
export interface StoredContent {
  readonly kind: 'stored';
  readonly checksum: Checksum;
  readonly size: number;
}

/** Small generated content that no sink has seen yet. */
export interface InlineContent {
  readonly kind: 'inline';
  readonly bytes: Uint8Array;
}

/**
 * A regular file. The checksum of stored content covers `stat`, so a transform moves such a file but
 * never changes its owner, mode or xattrs. Hard links share one object.
 */
export interface RegularFile {
  readonly kind: 'file';
  readonly stat: Stat;
  readonly content: StoredContent | InlineContent;
}

export interface Symlink {
  readonly kind: 'symlink';
  readonly stat: Stat;
  readonly target: string;
}

/** A directory; `entries` are in no particular order. Transforms work on it in place. */
export interface Directory {
  readonly kind: 'directory';
  stat: Stat;
  readonly entries: Map<string, TreeNode>;
}

export type TreeNode = Directory | RegularFile | Symlink;

/** A root filesystem in memory: names, metadata and content checksums, never the content itself. */
export interface FileTree {
  readonly root: Directory;
}

/**
 * Takes file content while a source is being read, so that nothing is held in memory or unpacked to disk.
 * The repository implements it by writing content objects; `inspect` by hashing only.
 */
export interface ContentSink {
  /**
   * Takes one regular file. `size` is exact; a stream that yields another number of bytes rejects with
   * `input/truncated`. Resolves when the checksum is known, which may be before the object is written,
   * and not before there is room for more, so that awaiting it bounds memory.
   */
  put(stat: Stat, size: number, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<StoredContent>;
}

/** The files outside the tree, or inside its /boot, that a deployment boots from. */
export interface KernelFiles {
  /** Directory name under usr/lib/modules, such as `6.1.0-50-arm64`. */
  readonly release: string;
  /** File name the build gave it: `Image`, `zImage`, `bzImage`, `fitImage`, ... */
  readonly imageName: string;
  readonly image: RegularFile;
  readonly initramfs?: RegularFile;
  /** Device trees and overlays by their path relative to the dtb directory, such as `freescale/x.dtb`. */
  readonly deviceTrees: ReadonlyMap<string, RegularFile>;
}

/** The program that is process 1, as far as a tree tells. */
export type InitSystem = 'systemd' | 'busybox' | 'sysvinit' | 'openrc' | 'other' | 'none';

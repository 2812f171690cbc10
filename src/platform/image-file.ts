/** A disk or file system image: written at any place in any order, sparse where nothing was written, whole or absent. */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeDirectories, syncDirectory, temporaryName } from './files.ts';

/** Bytes from `start` up to `end`, exclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A place to write an image, or a part of one such as a partition, to. */
export interface ImageTarget {
  /** Writes `bytes` at `offset`. What is never written reads as zeros. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
}

export interface ImageFile extends ImageTarget {
  /** What was written, in ascending order, joined where ranges touch: the map of a bmap file. */
  mapped(): readonly ByteRange[];
  /** Gives the file its size and its name; nothing else may follow. */
  finish(size: number): Promise<void>;
  /** Removes what was written. Harmless after `finish`. */
  abort(): Promise<void>;
}

/** Starts an image that gets the name `path` when it is finished. Missing parents are made. */
export async function createImageFile(path: string): Promise<ImageFile> {
  await makeDirectories(dirname(path));
  const temporary = temporaryName(path);
  const handle = await open(temporary, 'wx', 0o644);
  let ranges: ByteRange[] = [];
  let unfinished = true;
  return {
    write: async (offset, bytes) => {
      if (bytes.length === 0) return;
      for (let at = 0; at < bytes.length;) {
        const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, offset + at);
        at += bytesWritten;
      }
      const last = ranges.at(-1);
      const end = offset + bytes.length;
      if (last?.end === offset) ranges[ranges.length - 1] = { start: last.start, end };
      else ranges.push({ start: offset, end });
    },
    mapped: () => {
      ranges = joinRanges(ranges);
      return ranges;
    },
    finish: async (size) => {
      await handle.truncate(size);
      await handle.sync();
      await handle.close();
      unfinished = false;
      await rename(temporary, path);
      await syncDirectory(dirname(path));
    },
    abort: async () => {
      if (!unfinished) return;
      unfinished = false;
      await handle.close();
      await rm(temporary, { force: true });
    },
  };
}

/** The part of an image from `start` on, such as a partition. */
export function imageSection(image: ImageTarget, start: number): ImageTarget {
  return { write: (offset, bytes) => image.write(start + offset, bytes) };
}

/** Sorted, and joined where ranges touch or overlap. */
export function joinRanges(ranges: readonly ByteRange[]): ByteRange[] {
  const joined: ByteRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = joined.at(-1);
    if (last === undefined || range.start > last.end) joined.push(range);
    else if (range.end > last.end) joined[joined.length - 1] = { start: last.start, end: range.end };
  }
  return joined;
}

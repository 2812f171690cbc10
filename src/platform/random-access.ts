/** Bytes of any number that can be read at any place: in memory while they are few, in an unnamed file beyond. */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { concatBytes } from '../core/bytes.ts';

export interface RandomAccess {
  readonly size: number;
  /** The bytes of a range that lies within; may be a view, so the caller does not change them. */
  read(offset: number, length: number): Uint8Array;
  /** Gives the memory or the file back. Harmless when repeated. */
  close(): void;
}

/** Up to this many bytes stay in memory. */
const MEMORY_LIMIT = 64 << 20;

function checkRange(offset: number, length: number, size: number): void {
  if (offset < 0 || length < 0 || offset + length > size) {
    throw new RangeError(`the range ${offset}+${length} is outside of ${size} bytes`);
  }
}

/** Bytes that are in memory already. */
export function randomAccessOf(bytes: Uint8Array): RandomAccess {
  return {
    size: bytes.length,
    read: (offset, length) => {
      checkRange(offset, length, bytes.length);
      return bytes.subarray(offset, offset + length);
    },
    close: () => undefined,
  };
}

/**
 * Collects a stream. `check` sees the number of bytes so far before they are kept and throws to refuse more.
 * What goes beyond `memoryLimit` lies in a file without a name, which ends with this process at the latest.
 */
export async function collect(
  stream: AsyncIterable<Uint8Array>,
  check: (size: number) => void,
  memoryLimit = MEMORY_LIMIT,
): Promise<RandomAccess> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  let file: number | undefined;
  try {
    for await (const chunk of stream) {
      size += chunk.length;
      check(size);
      if (file === undefined) {
        chunks.push(chunk);
        if (size <= memoryLimit) continue;
        file = unnamedFile();
        for (const held of chunks.splice(0)) writeAll(file, held);
      } else {
        writeAll(file, chunk);
      }
    }
  } catch (error) {
    if (file !== undefined) closeSync(file);
    throw error;
  }
  return file === undefined ? randomAccessOf(concatBytes(chunks)) : fileAccess(file, size);
}

function unnamedFile(): number {
  const path = join(tmpdir(), `treewright-${randomBytes(8).toString('hex')}`);
  const file = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  return file;
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
}

function fileAccess(file: number, size: number): RandomAccess {
  let open = true;
  return {
    size,
    read: (offset, length) => {
      checkRange(offset, length, size);
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length;) {
        const read = readSync(file, bytes, at, length - at, offset + at);
        if (read === 0) throw new RangeError('a temporary file became shorter');
        at += read;
      }
      return bytes;
    },
    close: () => {
      if (open) closeSync(file);
      open = false;
    },
  };
}

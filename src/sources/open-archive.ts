/** A tar archive's bytes, whatever it is compressed with; the magic bytes decide, not the name. */
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { TreewrightError, isTreewrightError, systemErrorCode } from '../core/errors.ts';
import { filterStream } from '../platform/processes.ts';

/** Bytes a read asks for. 1 MiB halves the time of the default 64 KiB on a large archive (measured). */
const READ_SIZE = 1 << 20;

interface Filter {
  readonly name: string;
  readonly magic: readonly number[];
  /** Absent for what Node decompresses itself. */
  readonly program?: readonly [string, ...string[]];
}

/** Magic numbers: RFC 1952, bzip2's manual, the .xz file format 1.2, RFC 8878, lz4_Frame_format.md, the .lz manual. */
const FILTERS: readonly Filter[] = [
  { name: 'gzip', magic: [0x1f, 0x8b] },
  { name: 'bzip2', magic: [0x42, 0x5a, 0x68], program: ['bzip2', '-d', '-c'] },
  { name: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], program: ['xz', '-d', '-c', '-T0'] },
  { name: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd], program: ['zstd', '-d', '-c', '-q'] },
  // pzstd puts a skippable frame of four bytes before each of its frames.
  { name: 'zstd', magic: [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0], program: ['zstd', '-d', '-c', '-q'] },
  { name: 'lz4', magic: [0x04, 0x22, 0x4d, 0x18], program: ['lz4', '-d', '-c'] },
  { name: 'lzip', magic: [0x4c, 0x5a, 0x49, 0x50], program: ['lzip', '-d', '-c'] },
  { name: 'lzma', magic: [0x5d, 0, 0], program: ['xz', '-d', '-c', '--format=lzma'] },
];

/** What is often mistaken for an archive of a root filesystem. */
const OTHERS: readonly {
  readonly name: string;
  readonly offset: number;
  readonly magic: readonly number[];
}[] = [
  { name: 'a squashfs image', offset: 0, magic: [0x68, 0x73, 0x71, 0x73] },
  { name: 'an ext2/3/4 image', offset: 1080, magic: [0x53, 0xef] },
  { name: 'an EROFS image', offset: 1024, magic: [0xe2, 0xe1, 0xf5, 0xe0] },
  { name: 'a cpio archive', offset: 0, magic: [0x30, 0x37, 0x30, 0x37, 0x30] },
  { name: 'a zip archive', offset: 0, magic: [0x50, 0x4b, 3, 4] },
  { name: 'a Debian package or ar archive', offset: 0, magic: [0x21, 0x3c, 0x61, 0x72, 0x63, 0x68, 0x3e] },
  { name: 'a UBI image', offset: 0, magic: [0x55, 0x42, 0x49, 0x23] },
];

const TAR_MAGIC = { offset: 257, magic: [0x75, 0x73, 0x74, 0x61, 0x72] };

function has(head: Uint8Array, offset: number, magic: readonly number[]): boolean {
  return magic.every((byte, at) => head[offset + at] === byte);
}

/** What the first 2 KiB of a file say: a compression's name, `tar`, something else by name, or undefined. */
export function recognise(head: Uint8Array): { tar: boolean; filter?: Filter; other?: string } {
  if (has(head, TAR_MAGIC.offset, TAR_MAGIC.magic)) return { tar: true };
  const filter = FILTERS.find(({ magic }) => has(head, 0, magic));
  if (filter !== undefined) return { tar: true, filter };
  const other = OTHERS.find(({ offset, magic }) => has(head, offset, magic));
  return other === undefined ? { tar: false } : { tar: false, other: other.name };
}

/** The first `length` bytes of a file, or fewer when it is shorter. */
export async function readHead(path: string, length: number): Promise<Uint8Array> {
  const handle = await open(path, 'r');
  try {
    const head = new Uint8Array(length);
    const { bytesRead } = await handle.read(head, 0, length, 0);
    return head.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

export interface OpenArchive {
  /** Bytes of the file on disk. */
  readonly size: number;
  /** `gzip`, `zstd`, ..., or `none`. */
  readonly compression: string;
  /** The uncompressed bytes. `progress` hears how many bytes of the file were read. */
  chunks(progress: (done: number) => void): AsyncIterable<Uint8Array>;
}

/** Opens a tar archive. Errors: `input/unreadable`, `input/not-an-archive`. */
export async function openArchive(path: string): Promise<OpenArchive> {
  let handle: FileHandle;
  let size: number;
  try {
    // Without O_NONBLOCK a FIFO would wait here for a writer.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const about = await handle.stat();
    if (!about.isFile()) {
      await handle.close();
      throw new TreewrightError(
        'input/not-an-archive',
        `${path} is not a file; expected a tar archive, plain or compressed`,
        { data: { path } },
      );
    }
    size = about.size;
  } catch (error) {
    if (isTreewrightError(error)) throw error;
    throw new TreewrightError(
      'input/unreadable',
      `${path} cannot be read (${systemErrorCode(error) ?? 'unknown error'})`,
      { cause: error, data: { path } },
    );
  }
  const head = new Uint8Array(2048);
  await handle.read(head, 0, head.length, 0);
  const { filter, other } = recognise(head);
  if (other !== undefined) {
    await handle.close();
    throw new TreewrightError(
      'input/not-an-archive',
      `${path} is ${other}; expected a tar archive, plain or compressed with gzip, bzip2, xz, zstd, lz4, lzip or lzma`,
      { data: { path } },
    );
  }
  return {
    size,
    compression: filter?.name ?? 'none',
    chunks: (progress) => {
      const raw = readChunks(handle, progress);
      if (filter === undefined) return raw;
      return decompress(filter, raw, path);
    },
  };
}

/** Reads a file to its end in fresh buffers, which a consumer may keep, and closes it. */
async function* readChunks(handle: FileHandle, progress: (done: number) => void): AsyncGenerator<Uint8Array> {
  let done = 0;
  try {
    for (;;) {
      const buffer = Buffer.allocUnsafeSlow(READ_SIZE);
      const { bytesRead } = await handle.read(buffer, 0, READ_SIZE, done);
      if (bytesRead === 0) return;
      done += bytesRead;
      progress(done);
      yield bytesRead === READ_SIZE ? buffer : buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

async function* decompress(
  filter: Filter,
  raw: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array> {
  const input = Readable.from(raw, { objectMode: false, highWaterMark: READ_SIZE });
  try {
    if (filter.program === undefined) {
      const gunzip = createGunzip({ chunkSize: READ_SIZE });
      pipeline(input, gunzip, () => undefined);
      for await (const chunk of gunzip) yield chunk as Uint8Array;
    } else {
      const [program, ...args] = filter.program;
      yield* filterStream(program, args, input);
    }
  } catch (error) {
    if (isTreewrightError(error) && error.code !== 'tool/failed') throw error;
    throw new TreewrightError(
      'input/bad-archive',
      `${path} cannot be decompressed as ${filter.name}, it is damaged or cut off: ` +
        (error instanceof Error ? error.message : String(error)),
      { cause: error, data: { path } },
    );
  } finally {
    input.destroy();
  }
}

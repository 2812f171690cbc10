/** Writing staged content objects in a worker thread: one message carries a batch of small files or one large one. */
import { closeSync, createReadStream, createWriteStream, fsyncSync, openSync, writeFileSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createDeflateRaw, deflateRawSync } from 'node:zlib';
import { defineTask } from '../platform/workers.ts';

/** One object of a batch; header and content lie one behind the other in the batch's data. */
export interface BatchItem {
  /** Name in the staging directory, such as `<checksum>.filez`. */
  readonly name: string;
  readonly headerLength: number;
  readonly contentLength: number;
}

export interface CompressBatch {
  readonly directory: string;
  readonly level: number;
  /** Flush each file to the disk by itself; false when the whole file system is synced at once later. */
  readonly sync: boolean;
  readonly items: readonly BatchItem[];
  readonly data: Uint8Array;
}

/** A larger chunk means fewer calls for one buffer; it does not change the output. */
const CHUNK_SIZE = 1 << 18;

/**
 * zlib clears tables sized by window and memory level for every object, which costs more than the compression of a
 * small file; a window that holds all of it finds the same matches. 9 is the least for raw deflate.
 */
function windowBitsFor(length: number): number {
  return Math.min(15, Math.max(9, 32 - Math.clz32(length)));
}

/** Writes every object of the batch; answers the bytes written. Synchronous, since the thread has nothing else to do. */
export const compressBatch = defineTask(
  'repo/compress-batch',
  import.meta.url,
  (batch: CompressBatch): number => {
    let written = 0;
    let at = 0;
    for (const { name, headerLength, contentLength } of batch.items) {
      const header = batch.data.subarray(at, at + headerLength);
      const content = batch.data.subarray(at + headerLength, at + headerLength + contentLength);
      at += headerLength + contentLength;
      const compressed = deflateRawSync(content, {
        level: batch.level,
        windowBits: windowBitsFor(contentLength),
        chunkSize: Math.min(CHUNK_SIZE, Math.max(1024, contentLength)),
      });
      const file = openSync(join(batch.directory, name), 'w', 0o644);
      try {
        // Unlike a plain write, this goes on after a short one, as it happens on a disk that is getting full.
        writeFileSync(file, header);
        writeFileSync(file, compressed);
        if (batch.sync) fsyncSync(file);
      } finally {
        closeSync(file);
      }
      written += header.length + compressed.length;
    }
    return written;
  },
);

export interface CompressSpooled {
  readonly directory: string;
  readonly level: number;
  readonly sync: boolean;
  readonly name: string;
  readonly header: Uint8Array;
  /** A file holding the content, removed afterwards. */
  readonly spool: string;
}

/** Writes one object from a spool file, in constant memory; answers the bytes written. */
export const compressSpooled = defineTask(
  'repo/compress-spooled',
  import.meta.url,
  async ({ directory, level, sync, name, header, spool }: CompressSpooled) => {
    const path = join(directory, name);
    const out = createWriteStream(path, { mode: 0o644, flush: sync });
    out.write(header);
    await pipeline(
      createReadStream(spool, { highWaterMark: CHUNK_SIZE }),
      createDeflateRaw({ level, chunkSize: CHUNK_SIZE }),
      out,
    );
    await unlink(spool);
    return out.bytesWritten;
  },
);

/** Writing staged content objects in a worker thread: one message carries a batch of small files or one large one. */
import { createReadStream, createWriteStream } from 'node:fs';
import { open, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants, createDeflateRaw, deflateRawSync } from 'node:zlib';
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

/** Deflate parameters that change speed only: a larger chunk means fewer calls for one buffer. */
const CHUNK_SIZE = 1 << 18;

/** Writes every object of the batch; answers the bytes written. */
export const compressBatch = defineTask(
  'repo/compress-batch',
  import.meta.url,
  async (batch: CompressBatch) => {
    let written = 0;
    let at = 0;
    for (const { name, headerLength, contentLength } of batch.items) {
      const header = batch.data.subarray(at, at + headerLength);
      const content = batch.data.subarray(at + headerLength, at + headerLength + contentLength);
      at += headerLength + contentLength;
      const compressed = deflateRawSync(content, {
        level: batch.level,
        memLevel: constants.Z_DEFAULT_MEMLEVEL,
        chunkSize: Math.min(CHUNK_SIZE, Math.max(1024, contentLength)),
      });
      const path = join(batch.directory, name);
      if (batch.sync) {
        const handle = await open(path, 'w', 0o644);
        try {
          await handle.writev([header, compressed]);
          await handle.sync();
        } finally {
          await handle.close();
        }
      } else {
        await writeFile(path, Buffer.concat([header, compressed]), { mode: 0o644 });
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

/** Worker task: the headers of content objects, from which a delta is planned. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import type { FilezHeader } from '../formats/ostree-objects.ts';
import { FILEZ_PREFIX, decodeFilezHeader, filezHeaderLength } from '../formats/ostree-objects.ts';
import type { WorkerPool } from '../platform/workers.ts';
import { defineTask } from '../platform/workers.ts';
import { objectPath } from '../repo/paths.ts';

/** What a `.filez` says before its data, and how large it is. */
export interface ContentHeader extends FilezHeader {
  /** Size of the `.filez` in bytes. */
  readonly storedSize: number;
}

/** Nearly every header fits; a longer one, full of xattrs, is read again. */
const FIRST_READ = 512;

/** Headers that a message to a worker is about. */
const BATCH_ITEMS = 256;

function openObject(repo: string, checksum: Checksum): number {
  try {
    return openSync(join(repo, objectPath(checksum, 'file')), 'r');
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new TreewrightError(
      'input/missing-object',
      `content object ${checksum} is missing from ${repo}; is it an archive repository that holds both commits?`,
      { cause: error, data: { checksum } },
    );
  }
}

function readHeader(repo: string, checksum: Checksum): ContentHeader {
  const fd = openObject(repo, checksum);
  try {
    const { size: storedSize } = fstatSync(fd);
    let bytes: Uint8Array = new Uint8Array(Math.min(FIRST_READ, storedSize));
    readSync(fd, bytes, 0, bytes.length, 0);
    const needed = bytes.length < FILEZ_PREFIX ? FILEZ_PREFIX : filezHeaderLength(bytes);
    if (needed > bytes.length && needed <= storedSize) {
      bytes = new Uint8Array(needed);
      readSync(fd, bytes, 0, needed, 0);
    }
    return { ...decodeFilezHeader(bytes), storedSize };
  } finally {
    closeSync(fd);
  }
}

export interface HeaderBatch {
  /** Directory of the repository. */
  readonly repo: string;
  readonly checksums: readonly Checksum[];
}

const readHeaderBatch = defineTask(
  'delta/read-headers',
  import.meta.url,
  ({ repo, checksums }: HeaderBatch): ContentHeader[] =>
    checksums.map((checksum) => readHeader(repo, checksum)),
);

/** The headers of content objects on disk. Not verified: that happens when the content is read. */
export async function readContentHeaders(
  repo: string,
  checksums: readonly Checksum[],
  pool: WorkerPool,
): Promise<ContentHeader[]> {
  const batches: Checksum[][] = [];
  for (let at = 0; at < checksums.length; at += BATCH_ITEMS)
    batches.push(checksums.slice(at, at + BATCH_ITEMS));
  return (
    await Promise.all(batches.map((batch) => pool.run(readHeaderBatch, { repo, checksums: batch })))
  ).flat();
}

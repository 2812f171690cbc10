/** Content objects as the generator needs them: their headers alone for planning, their bytes for matching. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import type { FilezHeader } from '../formats/ostree-objects.ts';
import { FILEZ_PREFIX, decodeFilezHeader, filezHeaderLength } from '../formats/ostree-objects.ts';
import type { ByteStore } from '../platform/store.ts';
import { objectPath } from '../repo/paths.ts';
import { readContent } from '../repo/read.ts';

/** What a `.filez` says before its data, and how large it is. */
export interface ContentHeader extends FilezHeader {
  /** Size of the `.filez` in bytes. */
  readonly storedSize: number;
}

/** Nearly every header fits; a longer one, full of xattrs, is read again. */
const FIRST_READ = 512;

/** The header of a content object on disk. Not verified: that happens when the content is read. */
export async function readContentHeader(repo: string, checksum: Checksum): Promise<ContentHeader> {
  const path = join(repo, objectPath(checksum, 'file'));
  let handle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new TreewrightError(
      'input/missing-object',
      `content object ${checksum} is missing from ${repo}; is it an archive repository that holds both commits?`,
      { cause: error, data: { checksum } },
    );
  }
  try {
    const { size: storedSize } = await handle.stat();
    let bytes: Uint8Array = new Uint8Array(Math.min(FIRST_READ, storedSize));
    await handle.read(bytes, 0, bytes.length, 0);
    const needed = bytes.length < FILEZ_PREFIX ? FILEZ_PREFIX : filezHeaderLength(bytes);
    if (needed > bytes.length && needed <= storedSize) {
      bytes = new Uint8Array(needed);
      await handle.read(bytes, 0, needed, 0);
    }
    return { ...decodeFilezHeader(bytes), storedSize };
  } finally {
    await handle.close();
  }
}

/** Room for a content of `size` bytes, whatever was in it. */
export type Room = (size: number) => Uint8Array;

/**
 * The whole content of a regular file, verified against its checksum. Throws when it is beyond `limit` bytes.
 * `room` gives the memory for it, which is the content's own unless told otherwise.
 */
export async function loadContent(
  store: ByteStore,
  checksum: Checksum,
  limit: number,
  room: Room = (size) => new Uint8Array(size),
): Promise<Uint8Array> {
  const { size, chunks } = await readContent(store, checksum);
  const content = room(Math.min(size, limit));
  let at = 0;
  for await (const chunk of chunks) {
    if (at + chunk.length > limit) {
      throw new TreewrightError(
        'input/too-large',
        `content object ${checksum} is larger than the ${limit} bytes that are read at once`,
        { data: { checksum, limit } },
      );
    }
    content.set(chunk, at);
    at += chunk.length;
  }
  return content;
}

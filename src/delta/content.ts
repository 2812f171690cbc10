/** Content objects as the generator needs them for matching: their bytes, in memory that is used again. */
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import type { ByteStore } from '../platform/store.ts';
import { readContent } from '../repo/read.ts';

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

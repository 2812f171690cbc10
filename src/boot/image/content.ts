/** The content of files that go into an image. */
import { TreewrightError } from '../../core/errors.ts';
import type { ByteStore } from '../../platform/store.ts';
import { readContent } from '../../repo/read.ts';
import type { RegularFile } from '../../tree/types.ts';

/** The bytes of a regular file, in chunks; what comes from a repository is verified at its end. */
export type OpenContent = (file: RegularFile) => AsyncIterable<Uint8Array>;

/** Size of a regular file in bytes. */
export function contentSize({ content }: RegularFile): number {
  return content.kind === 'stored' ? content.size : content.bytes.length;
}

/** Content of files whose objects are in `store`. */
export function contentOpener(store: ByteStore): OpenContent {
  return async function* (file) {
    const { content } = file;
    if (content.kind === 'inline') {
      if (content.bytes.length > 0) yield content.bytes;
      return;
    }
    const object = await readContent(store, content.checksum);
    if (object.size !== content.size) {
      throw new TreewrightError(
        'trust/corrupt-object',
        `file object ${content.checksum} in ${store.location} holds ${object.size} bytes, expected ${content.size}`,
        { data: { checksum: content.checksum } },
      );
    }
    yield* object.chunks;
  };
}

/** Content that is only hashed: for `inspect`, and for tests. */
import { createHash } from 'node:crypto';
import { parseChecksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import { encodeContentHeader } from '../formats/ostree-objects.ts';
import type { ContentSink } from '../tree/types.ts';

/** Gives each file the checksum its OSTree content object has (sha256 of framed header and content); keeps nothing. */
export function hashingSink(): ContentSink {
  return {
    put: async (stat, size, content) => {
      const hash = createHash('sha256').update(encodeContentHeader(stat));
      let length = 0;
      if (content instanceof Uint8Array) {
        length = content.length;
        hash.update(content);
      } else {
        for await (const chunk of content) {
          length += chunk.length;
          hash.update(chunk);
        }
      }
      if (length !== size) {
        throw new TreewrightError(
          'input/truncated',
          `content of ${size} bytes was announced, ${length} came`,
        );
      }
      return { kind: 'stored', checksum: parseChecksum(hash.digest('hex')), size };
    },
  };
}

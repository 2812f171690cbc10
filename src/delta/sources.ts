/** The objects a delta reads from: content of the older commit, verified as it is read. */
import type { Checksum } from '../core/checksum.ts';
import type { RandomAccess } from '../platform/random-access.ts';
import { collect } from '../platform/random-access.ts';
import type { ByteStore } from '../platform/store.ts';
import { readContent } from '../repo/read.ts';

export interface SourceReader {
  readonly open: (checksum: Checksum) => Promise<RandomAccess>;
  readonly close: () => void;
}

/**
 * Reads objects from a repository; keeps the last one, which is often asked for again. `check` throws for an object
 * that may not be a source.
 */
export function sourceReader(store: ByteStore, check: (checksum: Checksum) => void): SourceReader {
  let held: { readonly checksum: Checksum; readonly content: RandomAccess } | undefined;
  return {
    open: async (checksum) => {
      if (held?.checksum === checksum) return held.content;
      check(checksum);
      held?.content.close();
      held = undefined;
      const { chunks } = await readContent(store, checksum);
      const content = await collect(chunks, () => undefined);
      held = { checksum, content };
      return content;
    },
    close: () => held?.content.close(),
  };
}

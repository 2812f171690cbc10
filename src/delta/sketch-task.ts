/** Worker task: a few hashes that stand for the whole of a content, to find what resembles it without its name. */
import type { Checksum } from '../core/checksum.ts';
import { openStore } from '../platform/store.ts';
import { defineTask } from '../platform/workers.ts';
import { loadContent } from './content.ts';
import { looksCompressed, sampleContent, sampleRate } from './similarity.ts';

/** Hashes of a sketch. Two contents that share a third of their bytes share about as much of these. */
const SKETCH_SIZE = 64;

export interface SketchBatch {
  /** Directory of the repository. */
  readonly repo: string;
  readonly items: readonly { readonly checksum: Checksum; readonly size: number }[];
}

/**
 * For each content the smallest of its sampled hashes (bottom-k sketch, Broder 1997), ascending; none for packed
 * content, which resembles nothing.
 */
export const sketchContent = defineTask(
  'delta/sketch-content',
  import.meta.url,
  async ({ repo, items }: SketchBatch): Promise<Uint32Array[]> => {
    const store = openStore(repo);
    const sketches: Uint32Array[] = [];
    for (const { checksum, size } of items) {
      const content = await loadContent(store, checksum, size);
      const hashes = looksCompressed(content) ? [] : sampleContent(content, sampleRate(content.length));
      sketches.push(Uint32Array.from(hashes).sort().slice(0, SKETCH_SIZE));
    }
    return sketches;
  },
);

/** Which of several old files a new one is a later version of, by what they share. */
import type { Checksum } from '../core/checksum.ts';
import type { ByteStore } from '../platform/store.ts';
import type { Room } from './content.ts';
import { loadContent } from './content.ts';
import { sampleContent, sampleRate, sharedSamples } from './similarity.ts';

/** An old content object and its size in bytes. */
export interface SizedSource {
  readonly checksum: Checksum;
  readonly size: number;
}

/** An old file that was read. */
export interface LoadedSource {
  readonly checksum: Checksum;
  readonly content: Uint8Array;
}

export interface BestSource {
  /** One source alone is judged only when there is a share of common samples, from 0 to 1, that it must exceed. */
  readonly minShared?: number;
  /** Memory for the best so far and for the one that is compared with it; each their own unless given. */
  readonly rooms?: readonly [Room, Room];
}

/** The old file that shares most with `fresh`, or undefined when none shares enough. */
export async function bestSource(
  store: ByteStore,
  sources: readonly SizedSource[],
  fresh: Uint8Array,
  { minShared, rooms }: BestSource = {},
): Promise<LoadedSource | undefined> {
  const judged = sources.length > 1 || (sources.length > 0 && minShared !== undefined);
  const rate = sampleRate(fresh.length);
  const samples = judged ? sampleContent(fresh, rate) : undefined;
  let best: LoadedSource | undefined;
  let bestShare = minShared ?? -1;
  let [room, other] = rooms ?? [];
  // One after the other, so that only the best is kept in memory.
  for (const { checksum, size } of sources) {
    const content = await loadContent(store, checksum, size, room);
    const share = samples === undefined ? 1 : sharedSamples(sampleContent(content, rate), samples);
    if (share > bestShare) {
      best = { checksum, content };
      bestShare = share;
      [room, other] = [other, room];
    }
  }
  return best;
}

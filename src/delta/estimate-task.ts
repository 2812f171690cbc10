/** Worker task: what changed files would cost in a delta, judged by a rough match instead of the real one. */
import { deflateRawSync } from 'node:zlib';
import type { ByteStore } from '../platform/store.ts';
import { openStore } from '../platform/store.ts';
import { defineTask } from '../platform/workers.ts';
import type { Checksum } from '../core/checksum.ts';
import { matchAnchors } from './anchors.ts';
import { bestSource } from './best-source.ts';
import { loadContent } from './content.ts';
import type { EncodeItem } from './encode-task.ts';
import type { Segments } from './match.ts';
import { withoutMembers } from './members.ts';
import { encodePatch } from './patch.ts';

export interface EstimateBatch {
  /** Directory of the repository. */
  readonly repo: string;
  readonly items: readonly EncodeItem[];
}

/** The best of an item's sources. */
export interface Resemblance {
  readonly source: Checksum;
  /** What a patch over that source deflates to, in bytes, beyond what as many zeros would; without the members. */
  readonly deflatedPatch: number;
}

/** How far deflate brings zeros down at its fastest level. xz brings them to nothing, and patches are mostly zeros. */
const ZEROS_RATIO = 227;

/** What the patch that follows from `segments` deflates to, in bytes, beyond what as many zeros would. */
export function deflatedPatch(old: Uint8Array, fresh: Uint8Array, segments: Segments): number {
  const patch = encodePatch(old, fresh, segments);
  return Math.max(0, deflateRawSync(patch, { level: 1 }).length - patch.length / ZEROS_RATIO);
}

async function resemblance(store: ByteStore, item: EncodeItem): Promise<Resemblance | undefined> {
  const fresh = await loadContent(store, item.checksum, item.size);
  const source = await bestSource(store, item.sources, fresh);
  if (source === undefined) return undefined;
  const sent = item.members === undefined ? fresh : withoutMembers(fresh, item.members);
  const segments = matchAnchors(source.content, sent);
  if (segments === undefined) return undefined;
  return { source: source.checksum, deflatedPatch: deflatedPatch(source.content, sent, segments) };
}

/** In the order of the items; undefined where no source shares anything with the new content. */
export const resembleContent = defineTask(
  'delta/resemble-content',
  import.meta.url,
  async ({ repo, items }: EstimateBatch): Promise<readonly (Resemblance | undefined)[]> => {
    const store = openStore(repo);
    const found: (Resemblance | undefined)[] = [];
    for (const item of items) found.push(await resemblance(store, item));
    return found;
  },
);

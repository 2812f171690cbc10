/** Worker task: puts a new file together from others that the same part makes, and from an old one. */
import type { Checksum } from '../core/checksum.ts';
import { openStore } from '../platform/store.ts';
import { defineTask } from '../platform/workers.ts';
import { bestSource } from './best-source.ts';
import { loadContent } from './content.ts';
import type { EncodeItem, EncodedObject } from './encode-task.ts';
import { deflatedSize, encodeOne } from './encode-task.ts';
import { MATCH_LIMIT, matchContent } from './match.ts';
import type { Member } from './members.ts';
import { withoutMembers } from './members.ts';
import type { CopyList } from './patch.ts';
import { COPY_STRIDE, encodeSplice } from './patch.ts';

export interface EncodeContainer {
  /** Directory of the repository. */
  readonly repo: string;
  readonly item: EncodeItem;
  /** As for `encodeContent`. */
  readonly maxPatchSize: number;
}

export interface EncodedContainer extends Omit<EncodedObject, 'start' | 'length'> {
  readonly payload: Uint8Array;
}

/** When more than this share is left to be sent, it is worth a look whether an ordinary patch is smaller. */
const LITTLE_LEFT = 0.02;

/** Puts whole members between the ranges of what is left. `sourceOf` is the number of a member's source. */
function putMembers(
  rest: CopyList,
  restLength: number,
  members: readonly Member[],
  sourceOf: (checksum: Checksum) => number,
): CopyList {
  const copies: number[] = [];
  let range = 0;
  let used = 0;
  const take = (length: number): void => {
    for (let left = length; left > 0;) {
      const [size = 0, source = 0, offset = 0] = rest.slice(range, range + COPY_STRIDE);
      const taken = Math.min(left, size - used);
      copies.push(taken, source, offset + used);
      left -= taken;
      used += taken;
      if (used < size) continue;
      range += COPY_STRIDE;
      used = 0;
    }
  };
  let position = 0;
  let taken = 0;
  for (const { checksum, at, size } of members) {
    take(at - position);
    taken += at - position;
    copies.push(size, sourceOf(checksum), 0);
    position = at + size;
  }
  take(restLength - taken);
  return copies;
}

export const encodeContainer = defineTask(
  'delta/encode-container',
  import.meta.url,
  async ({ repo, item, maxPatchSize }: EncodeContainer): Promise<EncodedContainer> => {
    const store = openStore(repo);
    const { members = [] } = item;
    const fresh = await loadContent(store, item.checksum, item.size);
    const rest = withoutMembers(fresh, members);
    const usable = item.sources.filter(({ size }) => size + fresh.length <= MATCH_LIMIT);
    const old = await bestSource(store, usable, fresh);
    const { copies, literals } =
      old === undefined
        ? { copies: [rest.length, 0, 0], literals: rest }
        : encodeSplice(old.content, rest, matchContent(old.content, rest));
    if (literals.length > LITTLE_LEFT * fresh.length) {
      const { bytes, ...other } = await encodeOne(store, { ...item, sources: usable }, maxPatchSize);
      if (deflatedSize(bytes) < deflatedSize(literals)) return { ...other, payload: bytes };
    }
    const sources = [
      ...new Set([...(old === undefined ? [] : [old.checksum]), ...members.map(({ checksum }) => checksum)]),
    ];
    const numbers = new Map(sources.map((checksum, i) => [checksum, i + 1]));
    return {
      form: 'splice',
      sources,
      copies: putMembers(copies, rest.length, members, (checksum) => numbers.get(checksum) ?? 0),
      effort: 'strong',
      payload: literals,
    };
  },
);

/**
 * Worker task: decides for each new content object how the delta says it, and makes those bytes.
 *
 * The choice is judged by what the candidates deflate to at the fastest level, which ranks them as xz would and
 * costs a fraction of it.
 */
import { deflateRawSync } from 'node:zlib';
import { concatBytes } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import type { ByteStore } from '../platform/store.ts';
import { openStore } from '../platform/store.ts';
import { defineTask } from '../platform/workers.ts';
import type { SizedSource } from './best-source.ts';
import { bestSource } from './best-source.ts';
import type { Room } from './content.ts';
import { loadContent } from './content.ts';
import { contentKind, matchContent } from './match.ts';
import type { Member } from './members.ts';
import type { Effort } from './part-file.ts';
import type { CopyList } from './patch.ts';
import { COPY_STRIDE, encodePatch, encodeSplice } from './patch.ts';
import { compressibility } from './similarity.ts';

/** A regular file to encode, and the old files that it may resemble, best guess first. */
export interface EncodeItem {
  readonly checksum: Checksum;
  readonly size: number;
  readonly sources: readonly SizedSource[];
  /** Other new files that lie whole inside of it, in the order of their places. */
  readonly members?: readonly Member[];
}

export interface EncodeBatch {
  /** Directory of the repository. */
  readonly repo: string;
  readonly items: readonly EncodeItem[];
  /** Larger objects, in bytes, are never patched: a client holds a patched object in memory, a spliced one not. */
  readonly maxPatchSize: number;
}

/** How one object is said. Its bytes are `payload[start..start + length]` of the batch. */
export interface EncodedObject {
  readonly form: 'raw' | 'patch' | 'splice';
  readonly start: number;
  readonly length: number;
  /** The objects that are read: one old object for `patch`, any number for `splice`. */
  readonly sources?: readonly Checksum[];
  /** For `splice` only. */
  readonly copies?: CopyList;
  /** How the part it goes into is compressed. */
  readonly effort: Effort;
}

export interface EncodedBatch {
  readonly objects: readonly EncodedObject[];
  readonly payload: Uint8Array;
}

/** Below this share of common samples two files have nothing worth matching. */
const MIN_SHARED = 0.02;

/** Checksum of the source and the operations around it, in bytes that do not compress. */
const SOURCE_COST = 40;

/** Bytes that one range of a splice costs after compression, roughly. */
const COPY_COST = 5;

/** A source must save this share of the raw cost to be worth reading on the device. */
const MIN_SAVING = 0.05;

/** A splice may cost this much more than a patch: its payload is shorter, which saves time on both sides. */
const SPLICE_BONUS = 1.02;

/** Raw content hardly ever deflates to less than this share: what is cheaper need not be compared with it. */
const CHEAP_SHARE = 0.1;

/** Raw content is judged from samples when it is larger than this, in bytes. */
const ESTIMATE_ALL = 1 << 20;

/** What `bytes` deflate to at the fastest level, in bytes. */
export function deflatedSize(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : deflateRawSync(bytes, { level: 1, chunkSize: 1 << 16 }).length;
}

/** What raw content costs, from a quarter of it when it is large. */
function rawCost(content: Uint8Array): number {
  if (content.length <= ESTIMATE_ALL) return deflatedSize(content);
  const block = 1 << 16;
  let read = 0;
  let cost = 0;
  for (let at = 0; at < content.length; at += 4 * block) {
    const sample = content.subarray(at, at + block);
    read += sample.length;
    cost += deflatedSize(sample);
  }
  return Math.round((cost * content.length) / read);
}

/** How a part of such patches is compressed. */
const PATCH_EFFORT = { ordinary: 'patch', sparse: 'sparse', packed: 'packed', noise: 'packed' } as const;

/** How a part of such content is compressed. */
const RAW_EFFORT = { some: 'strong', hardly: 'fast', none: 'stored' } as const;

interface Choice extends Omit<EncodedObject, 'start' | 'length'> {
  readonly bytes: Uint8Array;
}

/** Memory of one content that the next one may overwrite: arrays of their own for thousands outrun the collector. */
function sharedRoom(): Room {
  let room = new Uint8Array(0);
  return (size) => {
    if (room.length < size) room = new Uint8Array(size);
    return room.subarray(0, size);
  };
}

/** Where contents are read to: the new one, the best old one so far, and one to compare with it. */
interface Rooms {
  readonly fresh: Room;
  readonly old: readonly [Room, Room];
}

/** How one file is said best. With `rooms`, raw bytes are valid until the next call only. */
export async function encodeOne(
  store: ByteStore,
  item: EncodeItem,
  maxPatchSize: number,
  rooms?: Rooms,
): Promise<Choice> {
  const fresh = await loadContent(store, item.checksum, item.size, rooms?.fresh);
  const gain = compressibility(fresh);
  const compressed = gain !== 'some';
  const raw = (): Choice => ({ form: 'raw', bytes: fresh, effort: RAW_EFFORT[gain] });
  const source = await bestSource(store, item.sources, fresh, {
    ...(rooms === undefined ? {} : { rooms: rooms.old }),
    // One plausible source of ordinary content is simply tried.
    ...(compressed ? { minShared: MIN_SHARED } : {}),
  });
  if (source === undefined) return raw();
  const { checksum, content: old } = source;

  const kind = compressed ? 'noise' : contentKind(fresh);
  const segments = matchContent(old, fresh, kind);
  const { copies, literals } = encodeSplice(old, fresh, segments);
  const spliceCost =
    (compressed ? literals.length : deflatedSize(literals)) +
    SOURCE_COST +
    (COPY_COST * copies.length) / COPY_STRIDE;
  const splice: Choice = {
    form: 'splice',
    bytes: literals,
    sources: [checksum],
    copies,
    effort: compressed ? RAW_EFFORT[compressibility(literals)] : 'strong',
  };
  // Nothing can be much better than almost nothing left to send.
  if (literals.length * 200 < fresh.length) return splice;

  /** True for what costs nearly as much as the file as it is. */
  const saysNothing = (cost: number): boolean =>
    cost > CHEAP_SHARE * fresh.length &&
    cost > (1 - MIN_SAVING) * (compressed ? fresh.length : rawCost(fresh));
  if (fresh.length > maxPatchSize) return saysNothing(spliceCost) ? raw() : splice;
  const patch = encodePatch(old, fresh, segments);
  const patchCost = deflatedSize(patch) + SOURCE_COST;
  if (saysNothing(Math.min(spliceCost, patchCost))) return raw();
  if (spliceCost <= patchCost * SPLICE_BONUS) return splice;
  return { form: 'patch', bytes: patch, sources: [checksum], effort: PATCH_EFFORT[kind] };
}

export const encodeContent = defineTask(
  'delta/encode-content',
  import.meta.url,
  async ({ repo, items, maxPatchSize }: EncodeBatch): Promise<EncodedBatch> => {
    const store = openStore(repo);
    const rooms: Rooms = { fresh: sharedRoom(), old: [sharedRoom(), sharedRoom()] };
    const objects: EncodedObject[] = [];
    const chunks: Uint8Array[] = [];
    let total = 0;
    for (const item of items) {
      const { bytes, ...choice } = await encodeOne(store, item, maxPatchSize, rooms);
      objects.push({ ...choice, start: total, length: bytes.length });
      // Raw bytes lie in a room that the next item uses.
      chunks.push(choice.form === 'raw' ? bytes.slice() : bytes);
      total += bytes.length;
    }
    // A single object's bytes are handed over as they are: it may be a large one.
    const [only] = chunks;
    return { objects, payload: chunks.length === 1 && only !== undefined ? only : concatBytes(chunks) };
  },
);

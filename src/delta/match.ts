/**
 * Finds how a new file can be made out of an old one: the work of bsdiff with a hash index in the place of
 * its suffix array.
 *
 * bsdiff's idea (Colin Percival, "Naive differences of executable code", 2003) is to stay on the current
 * alignment between the files, mismatches included, until a match elsewhere beats it by more than eight bytes;
 * then both neighbours are stretched towards each other over the bytes they nearly share. That makes relocated
 * addresses cheap. Here every window of eight bytes of the old file is listed in a bucket by its hash, sorted by
 * position, and only the entries nearest to the current alignment are compared, so time and memory grow linearly.
 */
import { pruneSegments } from './prune.ts';
import { entropy } from './similarity.ts';

/** Old and new content together, in bytes, as libostree's max-bsdiff-size: more is not matched in memory. */
export const MATCH_LIMIT = 128_000_000;

/** How the new file is cut up: segment i takes `diff[i]` bytes from `oldStart[i]` on, then `extra[i]` new bytes. */
export interface Segments {
  readonly oldStart: readonly number[];
  readonly diff: readonly number[];
  readonly extra: readonly number[];
}

/** Bytes that are hashed together; a match must have nine to beat another alignment. */
const WINDOW = 8;

/** Entries of a bucket that are compared, half before and half after the place the alignment points to. */
const DEPTH = 32;

/** The index holds at most this many windows (64 MiB); larger files are indexed at every n-th position. */
const MAX_WINDOWS = 1 << 24;

/** An aligned match this long is taken without asking the index. */
const GOOD_ALIGNED = 24;

/** A match this long is not compared with others. */
const LONG_ENOUGH = 4096;

/** While a found match still has this many bytes left it is carried along instead of searched again. */
const CARRY = 32;

/**
 * Another alignment must beat the current one by more than this many bytes; bsdiff has 8 for all. In code and text a
 * short agreement is worth less than the control it needs. In content with many zero bytes, such as the relocations
 * of a kernel module, everything agrees by chance wherever it is laid, so that a better place shows in few bytes;
 * and what is packed, such as a kernel in LZ4, costs a whole byte for each that has no counterpart.
 */
const MARGIN = 12;
const SMALL_MARGIN = 3;

/** The share of zero bytes, and the entropy in bits per byte, from which the small margin is better. */
const SPARSE_SHARE = 0.4;
const PACKED_ENTROPY = 7.2;

/** Every how many bytes content is looked at to tell its kind, and how many must be seen for its entropy. */
const KIND_STRIDE = 61;
const KIND_SAMPLES = 4096;

/**
 * What content is like, which decides how it is matched and how its patch is compressed. `noise` is what a general
 * compressor cannot make smaller: two versions of it agree in long runs or not at all.
 */
export type ContentKind = 'sparse' | 'packed' | 'ordinary' | 'noise';

/** Of noise, windows at every so many bytes are indexed: runs of twice that are found. */
const NOISE_STEP = 32;

/** Judges content that is not noise, by the share of zero bytes and by its entropy. */
export function contentKind(fresh: Uint8Array): Exclude<ContentKind, 'noise'> {
  const counts = new Uint32Array(256);
  let seen = 0;
  for (let at = 0; at < fresh.length; at += KIND_STRIDE) {
    const value = fresh[at] ?? 0;
    counts[value] = (counts[value] ?? 0) + 1;
    seen++;
  }
  if ((counts[0] ?? 0) > SPARSE_SHARE * seen) return 'sparse';
  return seen >= KIND_SAMPLES && entropy(counts, seen) > PACKED_ENTROPY ? 'packed' : 'ordinary';
}

/** Mixes the two halves of a window; the upper bits are the good ones. */
function mix(low: number, high: number): number {
  return Math.imul(Math.imul(low, 0x9e3779b1) ^ high ^ (high >>> 15), 0x85ebca6b);
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)
  );
}

/**
 * Windows of the old file by the hash at their position; bucket b is `entries[starts[b]..starts[b+1]]`. The hash's
 * bits above `shift` tell the bucket. An entry has the number of the window, which is at every `step`-th byte, in its
 * lower 24 bits and the hash's next eight bits above them: most windows that are not equal are told apart by these
 * without a look at the old file, where each look would miss the processor's cache.
 */
interface OldIndex {
  readonly shift: number;
  readonly step: number;
  readonly starts: Int32Array;
  readonly entries: Int32Array;
}

const NUMBER_BITS = 24;
const NUMBER_MASK = (1 << NUMBER_BITS) - 1;

/** Buckets are made for this many entries on average: a smaller table stays in the processor's cache. */
const BUCKET_ENTRIES = 4;

/**
 * Buckets up to 2^18, of a file of 1 MiB, are filled at once. More do not stay in the processor's cache: entries are
 * first put into 2^8 partitions, and then into buckets partition by partition, which takes a third of the time.
 */
const DIRECT_BITS = 18;
const PARTITION_BITS = 8;

/**
 * Arrays that most files fit into are kept from one to the next: making them anew for thousands of small files took
 * a fifth of the time of matching. What is in them is never read before it is written.
 */
const KEPT_ENTRIES = 1 << 22;
const kept = {
  starts: new Int32Array(0),
  entries: new Int32Array(0),
  partitions: new Int32Array(0),
  lowerBits: new Int32Array(0),
};

function workArray(name: keyof typeof kept, length: number): Int32Array {
  if (kept[name].length >= length) return kept[name].subarray(0, length);
  const array = new Int32Array(length <= KEPT_ENTRIES ? Math.min(KEPT_ENTRIES, 2 * length) : length);
  if (length <= KEPT_ENTRIES) kept[name] = array;
  return array.subarray(0, length);
}

/**
 * The index of `old` at every `minStep`-th byte or fewer, without windows inside a run of one byte but its first. Valid
 * until the next one is built.
 */
function buildIndex(old: Uint8Array, minStep: number): OldIndex {
  const step = Math.max(minStep, Math.ceil(old.length / MAX_WINDOWS));
  let bits = 8;
  while (bits < 22 && (BUCKET_ENTRIES * step) << bits < old.length) bits++;
  const shift = 32 - bits;
  const upperBits = bits <= DIRECT_BITS ? bits : PARTITION_BITS;
  const below = bits - upperBits;

  // The same walk twice, to count and to put: the hashes are made faster than they would be kept.
  const ends = workArray('partitions', (1 << upperBits) + 1).fill(0);
  let low = wordAt(old, 0);
  let high = wordAt(old, WINDOW / 2);
  let before = ~low;
  for (let at = 0, next = 0; at + WINDOW <= old.length; at++) {
    if (at === next) {
      next += step;
      // Three equal words, of which two overlap by all but a byte, are the middle of a run.
      if (low !== high || low !== before) {
        const partition = (mix(low, high) >>> shift) >>> below;
        ends[partition] = (ends[partition] ?? 0) + 1;
      }
    }
    before = low;
    low = (low >>> 8) | ((old[at + 4] ?? 0) << 24);
    high = (high >>> 8) | ((old[at + WINDOW] ?? 0) << 24);
  }
  let total = 0;
  for (let partition = 0; partition < ends.length; partition++) {
    const size = ends[partition] ?? 0;
    ends[partition] = total;
    total += size;
  }

  const entries = workArray('entries', total);
  const lower = below === 0 ? undefined : shorts(workArray('lowerBits', (total + 1) >>> 1));
  const lowerMask = (1 << below) - 1;
  low = wordAt(old, 0);
  high = wordAt(old, WINDOW / 2);
  before = ~low;
  for (let at = 0, next = 0, window = 0; at + WINDOW <= old.length; at++) {
    if (at === next) {
      next += step;
      if (low !== high || low !== before) {
        const hash = mix(low, high);
        const bucket = hash >>> shift;
        const slot = ends[bucket >>> below] ?? 0;
        ends[bucket >>> below] = slot + 1;
        entries[slot] = window | ((hash >>> (shift - 8)) << NUMBER_BITS);
        if (lower !== undefined) lower[slot] = bucket & lowerMask;
      }
      window++;
    }
    before = low;
    low = (low >>> 8) | ((old[at + 4] ?? 0) << 24);
    high = (high >>> 8) | ((old[at + WINDOW] ?? 0) << 24);
  }
  if (lower !== undefined)
    return { shift, step, entries, starts: sortPartitions(entries, ends, lower, below) };
  // Each end is the start of what follows.
  ends.copyWithin(1, 0);
  ends[0] = 0;
  return { shift, step, entries, starts: ends };
}

function shorts({ buffer, byteOffset, length }: Int32Array): Uint16Array {
  return new Uint16Array(buffer, byteOffset, 2 * length);
}

/** Sorts the entries of each partition by the `bits` lower bits of their bucket; answers the starts of all buckets. */
function sortPartitions(entries: Int32Array, ends: Int32Array, lower: Uint16Array, bits: number): Int32Array {
  const width = 1 << bits;
  const starts = workArray('starts', (width << PARTITION_BITS) + 1).fill(0);
  let begin = 0;
  for (let partition = 0; partition < 1 << PARTITION_BITS; partition++) {
    const end = ends[partition] ?? 0;
    const first = partition << bits;
    for (let i = begin; i < end; i++) {
      const bucket = first + (lower[i] ?? 0);
      starts[bucket] = (starts[bucket] ?? 0) + 1;
    }
    let sum = begin;
    for (let bucket = first; bucket < first + width; bucket++) {
      sum += starts[bucket] ?? 0;
      starts[bucket] = sum;
    }
    const unsorted = entries.slice(begin, end);
    // From the end, so that each bucket comes out in ascending order and its start is where the last entry is put.
    for (let i = end - 1; i >= begin; i--) {
      const bucket = first + (lower[i] ?? 0);
      const slot = (starts[bucket] ?? 0) - 1;
      starts[bucket] = slot;
      entries[slot] = unsorted[i - begin] ?? 0;
    }
    begin = end;
  }
  starts[starts.length - 1] = begin;
  return starts;
}

/** Number of equal bytes from `a` in the old file and `b` in the new one on. */
function commonLength(old: Uint8Array, a: number, fresh: Uint8Array, b: number): number {
  const limit = Math.min(old.length - a, fresh.length - b);
  let length = 0;
  while (length < limit && old[a + length] === fresh[b + length]) length++;
  return length;
}

/** First index in `entries[from..to]` whose window has at least this number. */
function lowerBound(entries: Int32Array, from: number, to: number, number: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (((entries[middle] ?? 0) & NUMBER_MASK) < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Cuts `fresh`, which is of `kind`, into segments over `old`. Deterministic; both at most 2^31-1 bytes. */
export function matchContent(
  old: Uint8Array,
  fresh: Uint8Array,
  kind: ContentKind = contentKind(fresh),
): Segments {
  return pruneSegments(old, fresh, cutIntoSegments(old, fresh, kind));
}

function cutIntoSegments(old: Uint8Array, fresh: Uint8Array, kind: ContentKind): Segments {
  const margin = kind === 'ordinary' ? MARGIN : SMALL_MARGIN;
  const { shift, step, starts, entries } = buildIndex(old, kind === 'noise' ? NOISE_STEP : 1);
  const oldStart: number[] = [];
  const diff: number[] = [];
  const extra: number[] = [];

  let foundAt = 0;
  /** Length of the best match for `fresh` at `scan`, its place in `foundAt`; `expected` is the aligned place. */
  const search = (scan: number, expected: number): number => {
    let best = expected >= 0 && expected < old.length ? commonLength(old, expected, fresh, scan) : 0;
    foundAt = expected;
    if (best >= GOOD_ALIGNED || scan + WINDOW > fresh.length) return best;
    const hash = mix(wordAt(fresh, scan), wordAt(fresh, scan + 4));
    const bucket = hash >>> shift;
    let from = starts[bucket] ?? 0;
    let to = starts[bucket + 1] ?? 0;
    if (to - from > DEPTH) {
      const middle = lowerBound(entries, from, to, expected / step);
      from = Math.max(from, Math.min(middle - DEPTH / 2, to - DEPTH));
      to = Math.min(to, from + DEPTH);
    }
    const check = (hash >>> (shift - 8)) & 0xff;
    for (let i = from; i < to; i++) {
      const entry = entries[i] ?? 0;
      if (entry >>> NUMBER_BITS !== check) continue;
      const at = (entry & NUMBER_MASK) * step;
      if (old[at + best] !== fresh[scan + best] || at === expected) continue;
      const length = commonLength(old, at, fresh, scan);
      if (length <= best || length < WINDOW) continue;
      best = length;
      foundAt = at;
      if (best >= LONG_ENOUGH) break;
    }
    return best;
  };

  let scan = 0;
  let length = 0;
  let lastScan = 0;
  let lastOld = 0;
  let offset = 0;
  while (scan < fresh.length) {
    // `kept` counts the bytes of fresh[scan..counted] that the current alignment already has right.
    let kept = 0;
    scan += length;
    let counted = scan;
    let found = 0;
    length = 0;
    for (; scan < fresh.length; scan++) {
      if (length > CARRY) {
        length--;
        found++;
      } else {
        length = search(scan, scan + offset);
        found = foundAt;
      }
      for (; counted < scan + length; counted++) {
        if (old[counted + offset] === fresh[counted]) kept++;
      }
      if ((length === kept && length !== 0) || length > kept + margin) break;
      if (counted > scan && old[scan + offset] === fresh[scan]) kept--;
      if (counted <= scan) counted = scan + 1;
    }
    foundAt = found;
    if (length === kept && scan < fresh.length) continue;

    // Stretch the segment before forwards, as long as more than half of the bytes agree.
    let forward = 0;
    for (let i = 0, same = 0, best = 0; lastScan + i < scan && lastOld + i < old.length;) {
      if (old[lastOld + i] === fresh[lastScan + i]) same++;
      i++;
      if (same * 2 - i > best) {
        best = same * 2 - i;
        forward = i;
      }
    }
    // Stretch the match that was found backwards in the same way.
    let backward = 0;
    if (scan < fresh.length) {
      for (let i = 1, same = 0, best = 0; scan >= lastScan + i && found >= i; i++) {
        if (old[found - i] === fresh[scan - i]) same++;
        if (same * 2 - i > best) {
          best = same * 2 - i;
          backward = i;
        }
      }
    }
    // Where both stretch over the same bytes, cut where the sum of agreeing bytes is largest.
    const overlap = lastScan + forward - (scan - backward);
    if (overlap > 0) {
      let keep = 0;
      for (let i = 0, gain = 0, best = 0; i < overlap; i++) {
        const at = scan - backward + i;
        if (fresh[at] === old[lastOld + at - lastScan]) gain++;
        if (fresh[at] === old[found + at - scan]) gain--;
        if (gain > best) {
          best = gain;
          keep = i + 1;
        }
      }
      forward += keep - overlap;
      backward -= keep;
    }
    oldStart.push(lastOld);
    diff.push(forward);
    extra.push(scan - backward - (lastScan + forward));
    lastScan = scan - backward;
    lastOld = found - backward;
    offset = found - scan;
  }
  return { oldStart, diff, extra };
}

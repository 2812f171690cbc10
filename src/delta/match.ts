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

/** The index holds at most this many positions (64 MiB); larger files are indexed at every n-th position. */
const MAX_POSITIONS = 1 << 24;

/** An aligned match this long is taken without asking the index. */
const GOOD_ALIGNED = 24;

/** A match this long is not compared with others. */
const LONG_ENOUGH = 4096;

/** While a found match still has this many bytes left it is carried along instead of searched again. */
const CARRY = 32;

/** Another alignment must beat the current one by more than this many bytes (bsdiff's constant). */
const MARGIN = 8;

/** Mixes the two halves of a window; the upper bits are the good ones. */
function mix(low: number, high: number, shift: number): number {
  return Math.imul(Math.imul(low, 0x9e3779b1) ^ high ^ (high >>> 15), 0x85ebca6b) >>> shift;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)
  );
}

function hashAt(bytes: Uint8Array, at: number, shift: number): number {
  return mix(wordAt(bytes, at), wordAt(bytes, at + 4), shift);
}

/** Positions of the old file by the hash of the window there; bucket b is `positions[starts[b]..starts[b+1]]`. */
interface OldIndex {
  readonly shift: number;
  readonly starts: Int32Array;
  readonly positions: Int32Array;
}

/** Buckets are made for this many entries on average: a smaller table stays in the processor's cache. */
const BUCKET_ENTRIES = 4;

/** Calls `visit` with the bucket of every step-th window, without windows inside a run of one byte but its first. */
function eachWindow(
  old: Uint8Array,
  step: number,
  shift: number,
  visit: (bucket: number, at: number) => void,
): void {
  let low = wordAt(old, 0);
  let high = wordAt(old, WINDOW / 2);
  let before = ~low;
  let next = 0;
  for (let at = 0; at + WINDOW <= old.length; at++) {
    // Three equal words, of which two overlap by all but a byte: the middle of a run.
    const inRun = low === high && low === before;
    if (at === next) {
      next += step;
      if (!inRun) visit(mix(low, high, shift), at);
    }
    before = low;
    low = (low >>> 8) | ((old[at + 4] ?? 0) << 24);
    high = (high >>> 8) | ((old[at + WINDOW] ?? 0) << 24);
  }
}

function buildIndex(old: Uint8Array): OldIndex {
  const step = Math.ceil(old.length / MAX_POSITIONS) || 1;
  let bits = 8;
  while (bits < 22 && (BUCKET_ENTRIES * step) << bits < old.length) bits++;
  const shift = 32 - bits;
  const starts = new Int32Array((1 << bits) + 1);
  eachWindow(old, step, shift, (bucket) => {
    starts[bucket + 1] = (starts[bucket + 1] ?? 0) + 1;
  });
  for (let i = 1; i < starts.length; i++) starts[i] = (starts[i] ?? 0) + (starts[i - 1] ?? 0);
  const positions = new Int32Array(starts[starts.length - 1] ?? 0);
  const fill = starts.slice(0, -1);
  eachWindow(old, step, shift, (bucket, at) => {
    const slot = fill[bucket] ?? 0;
    positions[slot] = at;
    fill[bucket] = slot + 1;
  });
  return { shift, starts, positions };
}

/** Number of equal bytes from `a` in the old file and `b` in the new one on. */
function commonLength(old: Uint8Array, a: number, fresh: Uint8Array, b: number): number {
  const limit = Math.min(old.length - a, fresh.length - b);
  let length = 0;
  while (length < limit && old[a + length] === fresh[b + length]) length++;
  return length;
}

/** First index in `positions[from..to]` whose value is at least `value`. */
function lowerBound(positions: Int32Array, from: number, to: number, value: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((positions[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Cuts `fresh` into segments over `old`. Deterministic; both at most 2^31-1 bytes. */
export function matchContent(old: Uint8Array, fresh: Uint8Array): Segments {
  const { shift, starts, positions } = buildIndex(old);
  const oldStart: number[] = [];
  const diff: number[] = [];
  const extra: number[] = [];

  let foundAt = 0;
  /** Length of the best match for `fresh` at `scan`, its place in `foundAt`; `expected` is the aligned place. */
  const search = (scan: number, expected: number): number => {
    let best = expected >= 0 && expected < old.length ? commonLength(old, expected, fresh, scan) : 0;
    foundAt = expected;
    if (best >= GOOD_ALIGNED || scan + WINDOW > fresh.length) return best;
    const bucket = hashAt(fresh, scan, shift);
    let from = starts[bucket] ?? 0;
    let to = starts[bucket + 1] ?? 0;
    if (to - from > DEPTH) {
      const middle = lowerBound(positions, from, to, expected);
      from = Math.max(from, Math.min(middle - DEPTH / 2, to - DEPTH));
      to = Math.min(to, from + DEPTH);
    }
    for (let i = from; i < to; i++) {
      const at = positions[i] ?? 0;
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
      if ((length === kept && length !== 0) || length > kept + MARGIN) break;
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

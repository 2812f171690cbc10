/**
 * A rough match of two contents, made for judging what a patch would cost: bsdiff's segments from a sparse set of
 * common windows instead of every one. A tenth of the time of `matchContent`; what it misses is short.
 */
import type { Segments } from './match.ts';

/** Bytes of a window, all of which must agree. */
const WINDOW = 16;

/** Windows are compared no further than this to tell which alignment is better. */
const LOOK_AHEAD = 64;

/** Another alignment must have this many more equal bytes than the current one (bsdiff's constant). */
const MARGIN = 8;

/** One window in 2^rate bytes is an anchor: about a thousand in a file, and one in 512 bytes of a large one. */
function anchorRate(size: number): number {
  let bits = 3;
  while (bits < 7 && size >> bits > 1024) bits++;
  return bits;
}

/**
 * Calls `visit` with position and hash of every window whose hash begins with `rateBits` zero bits. The content
 * itself chooses them, so an insertion does not change the choice elsewhere.
 */
function eachAnchor(content: Uint8Array, rateBits: number, visit: (at: number, hash: number) => void): void {
  const shift = 32 - rateBits;
  let first = 0;
  let last = 0;
  for (let end = 0; end < content.length; end++) {
    last = (last >>> 8) | ((content[end] ?? 0) << 24);
    const at = end - WINDOW + 1;
    if (at < -WINDOW / 2) continue;
    // The first and the last four bytes of the window; whoever uses the anchor compares all of it.
    first = (first >>> 8) | ((content[at + 3] ?? 0) << 24);
    if (at < 0) continue;
    const hash = Math.imul(Math.imul(first, 0x9e3779b1) ^ last ^ (last >>> 15), 0x85ebca6b);
    if (hash >>> shift === 0) visit(at, hash);
  }
}

/** Equal bytes from `a` and `b` on until the first difference, `LOOK_AHEAD` at most. */
function equalRun(old: Uint8Array, a: number, fresh: Uint8Array, b: number): number {
  const limit = Math.min(LOOK_AHEAD, old.length - a, fresh.length - b);
  let length = 0;
  while (length < limit && old[a + length] === fresh[b + length]) length++;
  return length;
}

/** How many of the next `length` bytes agree when `fresh` lies at `shift` over `old`. */
function agreeing(old: Uint8Array, shift: number, fresh: Uint8Array, from: number, length: number): number {
  let count = 0;
  for (let at = from; at < from + length; at++) if (old[at + shift] === fresh[at]) count++;
  return count;
}

/** Cuts `fresh` into segments over `old` at the windows they share; undefined when they share none. */
export function matchAnchors(old: Uint8Array, fresh: Uint8Array): Segments | undefined {
  const rate = anchorRate(fresh.length);
  const known = new Map<number, number>();
  eachAnchor(old, rate, (at, hash) => {
    if (!known.has(hash)) known.set(hash, at);
  });
  /** Where an alignment was found: position in the new file, and what to add for the old one. */
  const turns: { readonly at: number; readonly shift: number }[] = [];
  let shift: number | undefined;
  eachAnchor(fresh, rate, (at, hash) => {
    const oldAt = known.get(hash);
    if (oldAt === undefined || oldAt - at === shift) return;
    const run = equalRun(old, oldAt, fresh, at);
    if (run < WINDOW) return;
    if (shift !== undefined && run <= agreeing(old, shift, fresh, at, run) + MARGIN) return;
    shift = oldAt - at;
    turns.push({ at, shift });
  });
  return turns.length === 0 ? undefined : stretch(old, fresh, turns);
}

/** Stretches neighbouring alignments towards each other over the bytes they nearly share, as bsdiff does. */
function stretch(
  old: Uint8Array,
  fresh: Uint8Array,
  turns: readonly { readonly at: number; readonly shift: number }[],
): Segments {
  const oldStart: number[] = [];
  const diff: number[] = [];
  const extra: number[] = [];
  // The file's beginning counts as aligned with the old one's.
  let start = 0;
  let shift = 0;
  const close = (end: number, next: number): void => {
    oldStart.push(start + shift);
    diff.push(end - start);
    extra.push(next - end);
  };
  for (const turn of turns) {
    let end = forward(old, fresh, start, turn.at, shift);
    let begin = backward(old, fresh, end, turn.at, turn.shift, start);
    if (begin < end) {
      const cut = bestCut(old, fresh, { begin, end, shift, next: turn.shift });
      end = cut;
      begin = cut;
    }
    close(end, begin);
    start = begin;
    shift = turn.shift;
  }
  close(forward(old, fresh, start, fresh.length, shift), fresh.length);
  return { oldStart, diff, extra };
}

/** The end up to which more than half of the bytes from `start` on agree. */
function forward(old: Uint8Array, fresh: Uint8Array, start: number, limit: number, shift: number): number {
  let score = 0;
  let best = 0;
  let end = start;
  const stop = Math.min(limit, old.length - shift);
  for (let at = start; at < stop; at++) {
    score += old[at + shift] === fresh[at] ? 1 : -1;
    if (score > best) {
      best = score;
      end = at + 1;
    }
  }
  return end;
}

/** The begin from which on more than half of the bytes before `from` agree; no further back than `start`. */
function backward(
  old: Uint8Array,
  fresh: Uint8Array,
  end: number,
  from: number,
  shift: number,
  start: number,
): number {
  let score = 0;
  let best = 0;
  let begin = from;
  const stop = Math.max(start, -shift);
  for (let at = from - 1; at >= stop; at--) {
    score += old[at + shift] === fresh[at] ? 1 : -1;
    if (score > best) {
      best = score;
      begin = at;
    }
    // Far inside of what the segment before covers well: nothing is to be gained there.
    if (at < end && best - score > LOOK_AHEAD) break;
  }
  return begin;
}

/** Where to pass from one alignment to the next within the range that both cover. */
function bestCut(
  old: Uint8Array,
  fresh: Uint8Array,
  { begin, end, shift, next }: { begin: number; end: number; shift: number; next: number },
): number {
  let score = 0;
  let best = 0;
  let cut = begin;
  for (let at = begin; at < end; at++) {
    if (old[at + shift] === fresh[at]) score++;
    if (old[at + next] === fresh[at]) score--;
    if (score > best) {
      best = score;
      cut = at + 1;
    }
  }
  return cut;
}

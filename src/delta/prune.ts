/**
 * Joins segments that cost more than they save.
 *
 * The matcher starts a new segment whenever that makes more bytes agree. In the patch each segment is a control of
 * 24 bytes, of which about twelve are left after compression, so a short one is often dearer than the differences it
 * avoids. What remains of a patch after xz is estimated in bits, fitted to kernel modules, libraries and interpreters.
 */
import type { Segments } from './match.ts';

/** A control: lengths and seek hardly ever repeat. */
const CONTROL_BITS = 100;
/** A byte that differs, and the end of the run of equal bytes before it. */
const DIFFERENT_BITS = 8;
const BREAK_BITS = 10;
/** A byte without a counterpart. */
const EXTRA_BITS = 7;

/** Only segments up to this length are weighed against their neighbours. */
const MAX_WEIGHED = 4096;

const MAX_PASSES = 3;

/** Bits for `fresh[from..to]` as differences to `old` at `offset`, which must lie inside of it. */
function differenceBits(
  old: Uint8Array,
  fresh: Uint8Array,
  from: number,
  to: number,
  offset: number,
): number {
  let bits = 0;
  let equal = true;
  for (let at = from; at < to; at++) {
    if (fresh[at] === old[at + offset]) {
      equal = true;
      continue;
    }
    bits += equal ? DIFFERENT_BITS + BREAK_BITS : DIFFERENT_BITS;
    equal = false;
  }
  return bits;
}

/** The same cut with fewer segments; makes the same file. */
export function pruneSegments(old: Uint8Array, fresh: Uint8Array, segments: Segments): Segments {
  let current = segments;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const next = prunedOnce(old, fresh, current);
    if (next.diff.length === current.diff.length) return next;
    current = next;
  }
  return current;
}

function prunedOnce(old: Uint8Array, fresh: Uint8Array, segments: Segments): Segments {
  const count = segments.diff.length;
  const oldStart: number[] = [];
  const diff: number[] = [];
  const extra: number[] = [];
  /** Where the segment that was kept last begins in the new file; its alignment, differences and extra bytes. */
  let start = 0;
  let offset = 0;
  let diffLength = 0;
  let extraLength = 0;
  const keep = (): void => {
    oldStart.push(start + offset);
    diff.push(diffLength);
    extra.push(extraLength);
  };

  let position = 0;
  for (let i = 0; i < count; i++) {
    const from = position;
    const ownDiff = segments.diff[i] ?? 0;
    const ownExtra = segments.extra[i] ?? 0;
    const ownOffset = (segments.oldStart[i] ?? 0) - from;
    position += ownDiff + ownExtra;
    if (i > 0) {
      const gap = start + diffLength;
      if (ownDiff + ownExtra <= MAX_WEIGHED) {
        const own =
          CONTROL_BITS + differenceBits(old, fresh, from, from + ownDiff, ownOffset) + EXTRA_BITS * ownExtra;
        const asExtra = EXTRA_BITS * (ownDiff + ownExtra);
        let aligned = Infinity;
        let nextJoins = false;
        if (gap + offset >= 0 && from + ownDiff + offset <= old.length) {
          nextJoins =
            ownExtra === 0 && i + 1 < count && (segments.oldStart[i + 1] ?? 0) - position === offset;
          aligned =
            differenceBits(old, fresh, gap, from + ownDiff, offset) +
            EXTRA_BITS * (ownExtra - extraLength) -
            (nextJoins ? CONTROL_BITS : 0);
        }
        if (aligned < own && aligned <= asExtra) {
          diffLength = from + ownDiff - start;
          extraLength = ownExtra;
          if (nextJoins) {
            i++;
            diffLength += segments.diff[i] ?? 0;
            extraLength = segments.extra[i] ?? 0;
            position += (segments.diff[i] ?? 0) + extraLength;
          }
          continue;
        }
        if (asExtra < own) {
          extraLength += ownDiff + ownExtra;
          continue;
        }
      }
      if (
        ownOffset === offset &&
        differenceBits(old, fresh, gap, from, offset) < EXTRA_BITS * extraLength + CONTROL_BITS
      ) {
        diffLength = from + ownDiff - start;
        extraLength = ownExtra;
        continue;
      }
      keep();
    }
    start = from;
    offset = ownOffset;
    diffLength = ownDiff;
    extraLength = ownExtra;
  }
  if (count > 0) keep();
  return { oldStart, diff, extra };
}

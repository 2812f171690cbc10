/** Turns segments into what a delta can say about one object: a bspatch stream, or copies from the source. */
import { CONTROL_LENGTH, putControl } from '../formats/bspatch.ts';
import type { Segments } from './match.ts';

/** The bspatch stream that makes `fresh` out of `old`. */
export function encodePatch(old: Uint8Array, fresh: Uint8Array, segments: Segments): Uint8Array {
  const { oldStart, diff, extra } = segments;
  const out = new Uint8Array(fresh.length + CONTROL_LENGTH * diff.length);
  let at = 0;
  let position = 0;
  for (let i = 0; i < diff.length; i++) {
    const start = oldStart[i] ?? 0;
    const diffLength = diff[i] ?? 0;
    const extraLength = extra[i] ?? 0;
    const next = oldStart[i + 1];
    putControl(out, at, {
      diff: diffLength,
      extra: extraLength,
      seek: next === undefined ? 0 : next - start - diffLength,
    });
    at += CONTROL_LENGTH;
    for (let j = 0; j < diffLength; j++) {
      out[at + j] = (fresh[position + j] ?? 0) - (old[start + j] ?? 0);
    }
    at += diffLength;
    position += diffLength;
    out.set(fresh.subarray(position, position + extraLength), at);
    at += extraLength;
    position += extraLength;
  }
  return out;
}

/**
 * A new object as a list of ranges, three numbers each: length, 0 for the payload or the number of the source from 1
 * on, and the offset there. Payload offsets count from the start of the object's own literals.
 */
export type CopyList = readonly number[];

/** Numbers of one range in a copy list. */
export const COPY_STRIDE = 3;

/** A run of equal bytes shorter than this is cheaper sent again than copied: two operations take about 12 bytes. */
const MIN_COPY = 48;

export interface Splice {
  readonly copies: CopyList;
  readonly literals: Uint8Array;
}

/** The same segments as exact copies, everything else literally. */
export function encodeSplice(old: Uint8Array, fresh: Uint8Array, segments: Segments): Splice {
  const copies: number[] = [];
  const literals: Uint8Array[] = [];
  let literalLength = 0;
  let done = 0;
  const copy = (start: number, oldAt: number, length: number): void => {
    if (start > done) {
      copies.push(start - done, 0, literalLength);
      literals.push(fresh.subarray(done, start));
      literalLength += start - done;
    }
    if (length > 0) copies.push(length, 1, oldAt);
    done = start + length;
  };

  let position = 0;
  segments.diff.forEach((diffLength, i) => {
    const shift = (segments.oldStart[i] ?? 0) - position;
    const end = position + diffLength;
    let runStart = position;
    for (let at = position; at <= end; at++) {
      if (at < end && old[at + shift] === fresh[at]) continue;
      if (at - runStart >= MIN_COPY) copy(runStart, runStart + shift, at - runStart);
      runStart = at + 1;
    }
    position = end + (segments.extra[i] ?? 0);
  });
  copy(fresh.length, 0, 0);

  const joined = new Uint8Array(literalLength);
  let at = 0;
  for (const literal of literals) {
    joined.set(literal, at);
    at += literal.length;
  }
  return { copies, literals: joined };
}

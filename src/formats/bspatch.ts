/**
 * The patch stream of mendsley/bsdiff without a file header, as libostree feeds it to bspatch: for each control
 * three 64-bit numbers (diff length, extra length, seek), then the diff bytes, then the extra bytes.
 *
 * A diff byte is new minus old; an extra byte stands as it is; after a control the read position in the old
 * file moves by `seek`. Numbers are little-endian magnitudes with the sign in the top bit.
 */
import { TreewrightError } from '../core/errors.ts';

/** Bytes of one control. */
export const CONTROL_LENGTH = 24;

export interface PatchControl {
  readonly diff: number;
  readonly extra: number;
  readonly seek: number;
}

function putNumber(out: Uint8Array, at: number, value: number): void {
  let rest = Math.abs(value);
  for (let i = 0; i < 8; i++) {
    out[at + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  if (value < 0) out[at + 7] = (out[at + 7] ?? 0) | 0x80;
}

function getNumber(bytes: Uint8Array, at: number): number {
  let value = (bytes[at + 7] ?? 0) & 0x7f;
  for (let i = 6; i >= 0; i--) value = value * 256 + (bytes[at + i] ?? 0);
  if (!Number.isSafeInteger(value)) {
    throw new TreewrightError('input/bad-delta', 'a patch has a number beyond 2^53');
  }
  return ((bytes[at + 7] ?? 0) & 0x80) === 0 ? value : -value;
}

/** Writes a control at `at`. */
export function putControl(out: Uint8Array, at: number, { diff, extra, seek }: PatchControl): void {
  putNumber(out, at, diff);
  putNumber(out, at + 8, extra);
  putNumber(out, at + 16, seek);
}

/** Reads a control. Diff and extra length are at most 2^31-1, as in every bspatch, and never negative. */
export function getControl(bytes: Uint8Array): PatchControl {
  if (bytes.length !== CONTROL_LENGTH) {
    throw new TreewrightError('input/bad-delta', 'a patch ends inside a control');
  }
  const control = { diff: getNumber(bytes, 0), extra: getNumber(bytes, 8), seek: getNumber(bytes, 16) };
  if (control.diff < 0 || control.extra < 0 || control.diff > 0x7fffffff || control.extra > 0x7fffffff) {
    throw new TreewrightError(
      'input/bad-delta',
      `a patch has a control with the lengths ${control.diff} and ${control.extra}`,
    );
  }
  return control;
}

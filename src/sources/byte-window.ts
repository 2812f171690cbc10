import { concatBytes } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';

/** The latest part of a stream, addressed by offsets from the stream's start. */
export interface ByteWindow {
  push(chunk: Uint8Array): void;
  /** Forgets chunks that end at or before `offset`. */
  trim(offset: number): void;
  /** The bytes from `start` to before `end`; they must have been pushed and not trimmed. */
  read(start: number, end: number): Uint8Array;
  /** How much was pushed in all. */
  end(): number;
}

export function createByteWindow(): ByteWindow {
  let chunks: { readonly start: number; readonly bytes: Uint8Array }[] = [];
  let length = 0;
  return {
    push: (bytes) => {
      chunks.push({ start: length, bytes });
      length += bytes.length;
    },
    trim: (offset) => {
      const keep = chunks.findIndex(({ start, bytes }) => start + bytes.length > offset);
      if (keep !== 0) chunks = keep < 0 ? [] : chunks.slice(keep);
    },
    read: (start, end) => {
      const parts: Uint8Array[] = [];
      let have = 0;
      for (const chunk of chunks) {
        if (chunk.start >= end) break;
        if (chunk.start + chunk.bytes.length <= start) continue;
        const part = chunk.bytes.subarray(Math.max(0, start - chunk.start), end - chunk.start);
        parts.push(part);
        have += part.length;
      }
      if (have !== end - start) {
        throw new TreewrightError(
          'internal/byte-window',
          `bytes ${start} to ${end} of the stream are not held`,
        );
      }
      const [only] = parts;
      return parts.length === 1 && only !== undefined ? only : concatBytes(parts);
    },
    end: () => length,
  };
}

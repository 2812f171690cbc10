/**
 * One part of an OSTree static delta: a compression byte and, decompressed, `(a(uuu)aa(ayay)ayay)`:
 * modes, xattrs, payload, operations.
 *
 * A part can be larger than memory allows, so it is framed here without holding its payload: `framePart` gives
 * what stands before and after the payload, `partLayout` finds the four members from the last bytes.
 * Source: libostree ostree-repo-static-delta-private.h, ostree-repo-static-delta-processing.c, ostree-varint.c.
 */
import { concatBytes } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';
import type { Codec } from './gvariant.ts';
import { array, bytestring, tuple, u32be } from './gvariant.ts';
import type { DeltaObjectType } from './ostree-delta.ts';
import type { WireXattrs } from './ostree-objects.ts';

function fail(message: string): never {
  throw new TreewrightError('input/bad-delta', message);
}

/** First byte of a part file: what the rest is compressed with. */
export const PART_COMPRESSION = { none: 0, xz: 0x78 } as const;

/** uid, gid and mode with its file type bits. */
export type DeltaMode = readonly [uid: number, gid: number, mode: number];

const modesCodec: Codec<DeltaMode[]> = array(tuple<DeltaMode>(u32be, u32be, u32be));

const xattrsCodec: Codec<WireXattrs[]> = array(
  array(tuple<readonly [Uint8Array, Uint8Array]>(bytestring, bytestring)) as Codec<WireXattrs>,
);

/* ---- framing ---- */

/** Bytes of one framing offset in a container of `total` bytes (GVariant specification, 2.5.4). */
function offsetSize(total: number): 1 | 2 | 4 | 8 {
  if (total <= 0xff) return 1;
  if (total <= 0xffff) return 2;
  return total <= 0xffffffff ? 4 : 8;
}

/** Framing offsets of a part: ends of payload, xattrs and modes, in this order. */
const OFFSETS = 3;

export interface PartTables {
  readonly modes: readonly DeltaMode[];
  readonly xattrs: readonly WireXattrs[];
  readonly operations: Uint8Array;
}

/** What stands before and after a payload of `payloadSize` bytes. */
export function framePart(
  tables: PartTables,
  payloadSize: number,
): { readonly head: Uint8Array; readonly tail: Uint8Array } {
  const modes = modesCodec.encode([...tables.modes]);
  const xattrs = xattrsCodec.encode([...tables.xattrs]);
  const head = concatBytes([modes, xattrs]);
  const body = head.length + payloadSize + tables.operations.length;
  const size = ([1, 2, 4, 8] as const).find((width) => offsetSize(body + OFFSETS * width) === width) ?? 8;
  const offsets = new Uint8Array(OFFSETS * size);
  [head.length + payloadSize, head.length, modes.length].forEach((end, i) => {
    let rest = end;
    for (let j = 0; j < size; j++) {
      offsets[i * size + j] = rest % 256;
      rest = Math.floor(rest / 256);
    }
  });
  return { head, tail: concatBytes([tables.operations, offsets]) };
}

/** A range of bytes in a decompressed part. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface PartLayout {
  readonly modes: ByteRange;
  readonly xattrs: ByteRange;
  readonly payload: ByteRange;
  readonly operations: ByteRange;
}

/** How many of the last bytes `partLayout` needs. */
export function partTailLength(total: number): number {
  return Math.min(total, OFFSETS * offsetSize(total));
}

/** Where the members of a decompressed part of `total` bytes lie, from its last `partTailLength(total)` bytes. */
export function partLayout(total: number, tail: Uint8Array): PartLayout {
  const size = offsetSize(total);
  const body = total - OFFSETS * size;
  if (body < 0 || tail.length !== OFFSETS * size) return fail(`a delta part of ${total} bytes is too short`);
  const ends = [0, 1, 2].map((i) => {
    let value = 0;
    for (let j = size - 1; j >= 0; j--) value = value * 256 + (tail[i * size + j] ?? 0);
    return value;
  });
  const [payload = 0, xattrs = 0, modes = 0] = ends;
  if (modes > xattrs || xattrs > payload || payload > body) {
    return fail(`a delta part has members that end at ${modes}, ${xattrs}, ${payload} in ${body} bytes`);
  }
  return {
    modes: { start: 0, end: modes },
    xattrs: { start: modes, end: xattrs },
    payload: { start: xattrs, end: payload },
    operations: { start: payload, end: body },
  };
}

export function decodePartModes(bytes: Uint8Array): DeltaMode[] {
  return modesCodec.decode(bytes);
}

export function decodePartXattrs(bytes: Uint8Array): WireXattrs[] {
  return xattrsCodec.decode(bytes);
}

/* ---- operations ---- */

/**
 * What a client is told to do. Offsets count from the start of the payload, or of the source object for a
 * `write` while a source is set; all are in bytes.
 */
export type DeltaOperation =
  /** `S` on a metadata object: the object is a range of the payload. */
  | { readonly op: 'splice-metadata'; readonly length: number; readonly offset: number }
  /** `S` on a content object: the content, or a symlink's target, is a range of the payload. */
  | {
      readonly op: 'splice-content';
      readonly mode: number;
      readonly xattrs: number;
      readonly length: number;
      readonly offset: number;
    }
  /** `o`: begins a content object of `length` bytes. */
  | { readonly op: 'open'; readonly mode: number; readonly xattrs: number; readonly length: number }
  /** `w`: appends a range of the source, or of the payload when no source is set. */
  | { readonly op: 'write'; readonly length: number; readonly offset: number }
  /** `r`: the 32 bytes at `offset` are the checksum of the object to read from. */
  | { readonly op: 'set-source'; readonly offset: number }
  /** `R` */
  | { readonly op: 'unset-source' }
  /** `c`: the object is complete; also unsets the source. */
  | { readonly op: 'close' }
  /** `B`: the range of the payload is a bspatch stream that makes the whole object out of the source. */
  | { readonly op: 'bspatch'; readonly length: number; readonly offset: number };

const CODE = {
  splice: 0x53,
  open: 0x6f,
  write: 0x77,
  'set-source': 0x72,
  'unset-source': 0x52,
  close: 0x63,
  bspatch: 0x42,
} as const;

/** Appends `value`, seven bits a byte, lowest first, as libostree's varints are. */
export function appendVarint(out: number[], value: number): void {
  let rest = value;
  while (rest >= 0x80) {
    out.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  out.push(rest);
}

/** Appends one operation to a growing list of bytes. */
export function appendOperation(out: number[], operation: DeltaOperation): void {
  switch (operation.op) {
    case 'splice-metadata':
      out.push(CODE.splice);
      appendVarint(out, operation.length);
      appendVarint(out, operation.offset);
      return;
    case 'splice-content':
      out.push(CODE.splice);
      appendVarint(out, operation.mode);
      appendVarint(out, operation.xattrs);
      appendVarint(out, operation.length);
      appendVarint(out, operation.offset);
      return;
    case 'open':
      out.push(CODE.open);
      appendVarint(out, operation.mode);
      appendVarint(out, operation.xattrs);
      appendVarint(out, operation.length);
      return;
    case 'write':
      out.push(CODE.write);
      appendVarint(out, operation.length);
      appendVarint(out, operation.offset);
      return;
    case 'set-source':
      out.push(CODE['set-source']);
      appendVarint(out, operation.offset);
      return;
    case 'bspatch':
      // Unlike a write, libostree has the offset first here.
      out.push(CODE.bspatch);
      appendVarint(out, operation.offset);
      appendVarint(out, operation.length);
      return;
    case 'unset-source':
    case 'close':
      out.push(CODE[operation.op]);
  }
}

/** Reads one varint. It has at most ten bytes, of which eight hold what a number can (2^53). Throws `input/bad-delta`. */
export function readVarint(bytes: Uint8Array, start: number): { value: number; end: number } {
  let value = 0;
  let scale = 1;
  for (let at = start; at < start + 8; at++) {
    const next = bytes[at];
    if (next === undefined) return fail('the bytes end inside a number');
    value += (next & 0x7f) * scale;
    if (!Number.isSafeInteger(value)) break;
    if (next < 0x80) {
      if (next === 0 && at > start) return fail('a number in a delta is longer than needed');
      return { value, end: at + 1 };
    }
    scale *= 0x80;
  }
  return fail('a number in a delta is beyond 2^53');
}

/**
 * Decodes operations one after the other. `typeOf(n)` is the type of the n-th object of the part: what follows
 * an `S` depends on it. Throws `input/bad-delta`.
 */
export function* decodeOperations(
  bytes: Uint8Array,
  typeOf: (object: number) => DeltaObjectType | undefined,
): Generator<DeltaOperation> {
  let at = 0;
  let object = 0;
  const number = (): number => {
    const { value, end } = readVarint(bytes, at);
    at = end;
    return value;
  };
  while (at < bytes.length) {
    const code = bytes[at++];
    switch (code) {
      case CODE.splice: {
        const type = typeOf(object++) ?? fail('a delta part has operations for more objects than it lists');
        if (type === 'file') {
          yield {
            op: 'splice-content',
            mode: number(),
            xattrs: number(),
            length: number(),
            offset: number(),
          };
        } else {
          yield { op: 'splice-metadata', length: number(), offset: number() };
        }
        break;
      }
      case CODE.open:
        yield { op: 'open', mode: number(), xattrs: number(), length: number() };
        break;
      case CODE.write:
        yield { op: 'write', length: number(), offset: number() };
        break;
      case CODE['set-source']:
        yield { op: 'set-source', offset: number() };
        break;
      case CODE['unset-source']:
        yield { op: 'unset-source' };
        break;
      case CODE.close:
        object++;
        yield { op: 'close' };
        break;
      case CODE.bspatch: {
        const offset = number();
        yield { op: 'bspatch', offset, length: number() };
        break;
      }
      default:
        fail(`a delta part has the unknown operation ${code ?? -1} at byte ${at - 1}`);
    }
  }
}

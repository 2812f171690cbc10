/** Collects objects into one delta part: tables of modes and xattrs, operations, payload. */
import type { Checksum } from '../core/checksum.ts';
import { checksumToBytes } from '../core/checksum.ts';
import type { DeltaObject, DeltaObjectType } from '../formats/ostree-delta.ts';
import type { DeltaMode, DeltaOperation, PartTables } from '../formats/ostree-delta-part.ts';
import { appendOperation } from '../formats/ostree-delta-part.ts';
import type { ObjectStat, WireXattrs } from '../formats/ostree-objects.ts';
import { wireXattrs } from '../formats/ostree-objects.ts';
import type { CopyList } from './patch.ts';
import { COPY_STRIDE } from './patch.ts';

/** One content object on its way into a part. `literals` is what the payload gets for it, besides a checksum. */
export interface PartContent {
  readonly checksum: Checksum;
  readonly stat: ObjectStat;
  /** Size of the content; for a symlink, length of its target. */
  readonly size: number;
  readonly form: 'raw' | 'patch' | 'splice';
  /** The objects that are read, as the copies number them from 1 on. */
  readonly sources?: readonly Checksum[];
  readonly copies?: CopyList;
}

/** Bytes of one piece of payload. */
const PIECE = 1 << 20;

/** A part before compression. The payload's pieces lie one behind the other. */
export interface UnpackedPart {
  readonly objects: readonly DeltaObject[];
  readonly tables: PartTables;
  readonly payload: readonly Uint8Array[];
  readonly payloadSize: number;
  /** Sum of the sizes of the objects. */
  readonly uncompressedSize: number;
  /** Gives the payload's memory to those who fill the next parts. */
  release(): void;
}

export interface PartBuilder {
  readonly payloadSize: number;
  addMetadata(type: Exclude<DeltaObjectType, 'file'>, checksum: Checksum, bytes: Uint8Array): void;
  /** Adds an object whose literals are at hand. */
  addContent(content: PartContent, literals: Uint8Array): void;
  /** Adds an object whose `literalSize` bytes of literals will be written behind the payload by somebody else. */
  addStreamed(content: PartContent, literalSize: number): void;
  finish(): UnpackedPart;
}

/** Values in the order they came, each once. */
function table<T>(keyOf: (value: T) => string): { values: T[]; indexOf: (value: T) => number } {
  const values: T[] = [];
  const known = new Map<string, number>();
  return {
    values,
    indexOf: (value) => {
      const key = keyOf(value);
      const at = known.get(key);
      if (at !== undefined) return at;
      known.set(key, values.length);
      values.push(value);
      return values.length - 1;
    },
  };
}

/** `spare` has pieces, whatever is in them, to be used before new ones are made. */
export function createPartBuilder(spare: Uint8Array<ArrayBuffer>[] = []): PartBuilder {
  const objects: DeltaObject[] = [];
  const operations: number[] = [];
  const payload: Uint8Array<ArrayBuffer>[] = [];
  let piece = new Uint8Array(0);
  let room = 0;
  const modes = table<DeltaMode>((mode) => mode.join(' '));
  const xattrs = table<WireXattrs>((list) =>
    list
      .map((pair) =>
        pair
          .map((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex'))
          .join('='),
      )
      .join(' '),
  );
  let payloadSize = 0;
  let uncompressedSize = 0;

  const emit = (operation: DeltaOperation): void => appendOperation(operations, operation);
  /** Copies, since what is given is a view of a message from a worker that this would keep alive as a whole. */
  const append = (bytes: Uint8Array): number => {
    const offset = payloadSize;
    for (let at = 0; at < bytes.length;) {
      if (room === 0) {
        piece = spare.pop() ?? new Uint8Array(PIECE);
        room = PIECE;
        payload.push(piece);
      }
      const taken = bytes.subarray(at, at + room);
      piece.set(taken, PIECE - room);
      room -= taken.length;
      at += taken.length;
    }
    payloadSize += bytes.length;
    return offset;
  };

  /** Writes an object's operations; answers nothing: its literals start at the end of the payload. */
  const describe = (
    { checksum, stat, size, form, sources, copies }: PartContent,
    literalSize: number,
  ): void => {
    objects.push({ type: 'file', checksum });
    uncompressedSize += size;
    const mode = modes.indexOf([stat.uid, stat.gid, stat.mode]);
    const xattr = xattrs.indexOf(wireXattrs(stat));
    if (form === 'raw' || sources === undefined) {
      emit({ op: 'splice-content', mode, xattrs: xattr, length: size, offset: payloadSize });
      return;
    }
    const sourceAt = sources.map((source) => append(checksumToBytes(source)));
    emit({ op: 'open', mode, xattrs: xattr, length: size });
    if (form === 'patch') {
      emit({ op: 'set-source', offset: sourceAt[0] ?? 0 });
      emit({ op: 'bspatch', length: literalSize, offset: payloadSize });
    } else {
      let reading = 0;
      for (let i = 0; i < (copies?.length ?? 0); i += COPY_STRIDE) {
        const [length = 0, source = 0, offset = 0] = copies?.slice(i, i + COPY_STRIDE) ?? [];
        if (source !== reading) {
          const at = sourceAt[source - 1];
          emit(at === undefined ? { op: 'unset-source' } : { op: 'set-source', offset: at });
          reading = source;
        }
        emit({ op: 'write', length, offset: source === 0 ? payloadSize + offset : offset });
      }
    }
    emit({ op: 'close' });
  };

  return {
    get payloadSize() {
      return payloadSize;
    },
    addMetadata: (type, checksum, bytes) => {
      objects.push({ type, checksum });
      uncompressedSize += bytes.length;
      emit({ op: 'splice-metadata', length: bytes.length, offset: append(bytes) });
    },
    addContent: (content, literals) => {
      describe(content, literals.length);
      append(literals);
    },
    addStreamed: (content, literalSize) => {
      describe(content, literalSize);
      payloadSize += literalSize;
    },
    finish: () => ({
      objects,
      tables: { modes: modes.values, xattrs: xattrs.values, operations: Uint8Array.from(operations) },
      payload: room === 0 ? payload : [...payload.slice(0, -1), piece.subarray(0, PIECE - room)],
      payloadSize,
      uncompressedSize,
      release: () => void spare.push(...payload.splice(0)),
    }),
  };
}

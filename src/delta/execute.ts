/**
 * Executes the operations of one part, as a client does, and checks every object it makes against its checksum.
 * Content streams through: neither part nor source nor result has to fit into memory.
 *
 * Source: libostree ostree-repo-static-delta-processing.c. Stricter where libostree trusts the generator:
 * lengths must come out exactly, and no operation may stand where it has no meaning.
 */
import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { concatBytes, fromUtf8 } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import { checksumFromBytes } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import { CONTROL_LENGTH, getControl } from '../formats/bspatch.ts';
import type { DeltaObject, DeltaPartEntry } from '../formats/ostree-delta.ts';
import type { ByteRange, DeltaMode } from '../formats/ostree-delta-part.ts';
import {
  decodeOperations,
  decodePartModes,
  decodePartXattrs,
  partLayout,
  partTailLength,
} from '../formats/ostree-delta-part.ts';
import type { ObjectStat, WireXattrs } from '../formats/ostree-objects.ts';
import { MAX_METADATA_SIZE, encodeContentHeader, fromWireXattrs } from '../formats/ostree-objects.ts';
import type { RandomAccess } from '../platform/random-access.ts';
import { randomAccessOf } from '../platform/random-access.ts';

/** Bytes handled at once. */
const STEP = 1 << 20;

/** Bytes of objects that a part makes and reads as well; they are held in memory. */
const MAX_KEPT = 128_000_000;

/** Smaller pieces of content are put together, in bytes. */
const PIECE = 1 << 16;

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;

/** A symlink's target cannot be longer (Linux PATH_MAX). */
const MAX_TARGET = 4096;

function fail(message: string): never {
  throw new TreewrightError('input/bad-delta', message);
}

export interface ExecutePart {
  readonly entry: DeltaPartEntry;
  /** The decompressed part. */
  readonly part: RandomAccess;
  /**
   * Opens the content of an object that a client has; throws for others. The result is kept by the caller. It is not
   * asked for what the same part has made before: a client finds that where new objects are staged
   * (_ostree_repo_load_file_bare).
   */
  readonly openSource: (checksum: Checksum) => Promise<RandomAccess>;
}

/** An object that a part makes. */
export type MadeObject =
  | {
      readonly kind: 'metadata';
      readonly object: DeltaObject & { readonly type: Exclude<DeltaObject['type'], 'file'> };
      readonly bytes: Uint8Array;
    }
  | {
      readonly kind: 'symlink';
      readonly object: DeltaObject;
      readonly stat: ObjectStat;
      readonly target: string;
    }
  | {
      readonly kind: 'file';
      readonly object: DeltaObject;
      readonly stat: ObjectStat;
      /** Bytes of content. */
      readonly size: number;
      /** To be read to its end before the next object is asked for; rejects there when the checksum is another one. */
      readonly chunks: AsyncIterable<Uint8Array>;
    };

/**
 * The objects of a part, one after the other. Metadata and symlinks have been checked against their checksum when
 * they are handed out, files when their content has been read. Throws `input/bad-delta`.
 */
export async function* executePart({ entry, part, openSource }: ExecutePart): AsyncGenerator<MadeObject> {
  const tail = partTailLength(part.size);
  const layout = partLayout(part.size, part.read(part.size - tail, tail));
  const member = ({ start, end }: ByteRange): Uint8Array => part.read(start, end - start);
  const modes = decodePartModes(member(layout.modes));
  const xattrs = decodePartXattrs(member(layout.xattrs));
  const operations = decodeOperations(member(layout.operations), (index) => entry.objects[index]?.type);
  const payloadSize = layout.payload.end - layout.payload.start;

  const payload = (offset: number, length: number): ByteRange => {
    if (offset + length > payloadSize) {
      return fail(`an operation wants ${length} bytes at ${offset} of a payload of ${payloadSize} bytes`);
    }
    return { start: layout.payload.start + offset, end: layout.payload.start + offset + length };
  };

  const sourceAt = (offset: number): Checksum => {
    const { start, end } = payload(offset, 32);
    return checksumFromBytes(part.read(start, end - start));
  };

  const own = new Set(entry.objects.map(({ checksum }) => checksum));
  /** Objects of this part that it reads as well, undefined until they are made. */
  const within = new Map<Checksum, RandomAccess | undefined>();
  for (const operation of decodeOperations(member(layout.operations), (i) => entry.objects[i]?.type)) {
    if (operation.op !== 'set-source') continue;
    const checksum = sourceAt(operation.offset);
    if (own.has(checksum)) within.set(checksum, undefined);
  }
  let keptSize = 0;
  /** Hands content on, and keeps it when it is read later. */
  const kept = async function* (
    { checksum }: DeltaObject,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for await (const chunk of chunks) {
      keptSize += chunk.length;
      if (keptSize > MAX_KEPT) fail(`it reads from more than ${MAX_KEPT} bytes of what it makes itself`);
      pieces.push(chunk);
      yield chunk;
    }
    within.set(checksum, randomAccessOf(concatBytes(pieces)));
  };
  const file = (
    object: DeltaObject,
    stat: ObjectStat,
    size: number,
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): MadeObject => {
    const sure = checked(object, stat, chunks);
    return {
      kind: 'file',
      object,
      stat,
      size,
      chunks: within.has(object.checksum) ? kept(object, sure) : sure,
    };
  };

  let next = 0;
  let source: RandomAccess | undefined;
  let contentSize = 0;

  const take = (): DeltaObject =>
    entry.objects[next++] ?? fail('there are operations for more objects than are listed');
  /** Counts what a part makes: more than the superblock announced would let a small part keep a client busy. */
  const announce = (size: number): void => {
    contentSize += size;
    if (contentSize > entry.uncompressedSize) {
      fail(`it makes more than the ${entry.uncompressedSize} bytes that the superblock announces`);
    }
  };
  const setSource = async (offset: number): Promise<void> => {
    const checksum = sourceAt(offset);
    source = within.get(checksum) ?? (await openSource(checksum));
  };

  /** Runs the operations up to the object's end. */
  const content = async function* (object: DeltaObject, size: number): AsyncGenerator<Uint8Array> {
    let written = 0;
    const room = (length: number): void => {
      written += length;
      if (written > size) fail(`the object ${object.checksum} gets more than ${size} bytes`);
    };
    for (;;) {
      const step = operations.next();
      if (step.done === true)
        return fail(`its operations end after ${next} of ${entry.objects.length} objects`);
      const operation = step.value;
      switch (operation.op) {
        case 'splice-metadata':
        case 'splice-content':
        case 'open':
          return fail('an object begins inside another one');
        case 'write':
          room(operation.length);
          if (source === undefined) {
            yield* ranged(part, payload(operation.offset, operation.length));
          } else {
            const end = operation.offset + operation.length;
            if (end > source.size) fail(`bytes up to ${end} are read from a source of ${source.size} bytes`);
            yield* ranged(source, { start: operation.offset, end });
          }
          break;
        case 'bspatch':
          if (source === undefined || written > 0) {
            return fail('a patch stands where there is no source or no new object');
          }
          yield* patched(part, payload(operation.offset, operation.length), source, size);
          written = size;
          break;
        case 'set-source':
          await setSource(operation.offset);
          break;
        case 'unset-source':
          source = undefined;
          break;
        case 'close':
          if (written !== size) fail(`the object ${object.checksum} has ${written} of ${size} bytes`);
          source = undefined;
          return;
      }
    }
  };

  for (const operation of operations) {
    switch (operation.op) {
      case 'splice-metadata': {
        if (operation.length > MAX_METADATA_SIZE)
          fail(`it has a metadata object of ${operation.length} bytes`);
        announce(operation.length);
        const bytes = member(payload(operation.offset, operation.length));
        const { type, checksum } = take();
        if (type === 'file') return fail('a content object is made as metadata');
        checkDigest({ type, checksum }, createHash('sha256').update(bytes));
        yield { kind: 'metadata', object: { type, checksum }, bytes };
        break;
      }
      case 'splice-content': {
        const stat = statOf(modes, xattrs, operation.mode, operation.xattrs);
        const range = payload(operation.offset, operation.length);
        const object = take();
        if ((stat.mode & S_IFMT) === S_IFLNK) {
          const target = targetOf(part, range);
          checkDigest(object, createHash('sha256').update(encodeContentHeader(stat, target)));
          yield { kind: 'symlink', object, stat, target };
          break;
        }
        const size = operation.length;
        announce(size);
        yield file(object, stat, size, ranged(part, range));
        break;
      }
      case 'open': {
        const object = take();
        const stat = statOf(modes, xattrs, operation.mode, operation.xattrs);
        if (object.type !== 'file' || (stat.mode & S_IFMT) !== S_IFREG) {
          fail(`the ${object.type} object ${object.checksum} is opened as a regular file`);
        }
        const size = operation.length;
        announce(size);
        yield file(object, stat, size, content(object, size));
        break;
      }
      case 'write':
        return fail('bytes are written while no object is open');
      case 'bspatch':
        return fail('a patch stands where there is no source or no new object');
      case 'close':
        return fail('an object ends that was not begun');
      case 'set-source':
        await setSource(operation.offset);
        break;
      case 'unset-source':
        source = undefined;
    }
  }
  if (next !== entry.objects.length) {
    fail(`its operations end after ${next} of ${entry.objects.length} objects`);
  }
}

function checkDigest(object: DeltaObject, hash: Hash): void {
  const found = hash.digest('hex');
  if (found !== object.checksum) fail(`the ${object.type} object ${object.checksum} came out as ${found}`);
}

/** Content whose checksum is compared at its end. */
async function* checked(
  object: DeltaObject,
  stat: ObjectStat,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256').update(encodeContentHeader(stat));
  for await (const chunk of gathered(chunks)) {
    hash.update(chunk);
    yield chunk;
  }
  checkDigest(object, hash);
}

/** Copies of a few bytes each, thousands in one object, in pieces that are worth handing on. */
async function* gathered(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    held.push(chunk);
    size += chunk.length;
    if (size < PIECE) continue;
    yield held.length === 1 ? chunk : concatBytes(held);
    held = [];
    size = 0;
  }
  if (size > 0) yield concatBytes(held);
}

function* ranged(from: RandomAccess, { start, end }: ByteRange): Generator<Uint8Array> {
  for (let at = start; at < end; at += STEP) yield from.read(at, Math.min(STEP, end - at));
}

function statOf(
  modes: readonly DeltaMode[],
  xattrs: readonly WireXattrs[],
  mode: number,
  xattr: number,
): ObjectStat {
  const owner = modes[mode];
  const wire = xattrs[xattr];
  if (owner === undefined || wire === undefined) {
    return fail(`an object has mode ${mode} of ${modes.length} and xattrs ${xattr} of ${xattrs.length}`);
  }
  const type = owner[2] & S_IFMT;
  if (type !== S_IFREG && type !== S_IFLNK) fail(`a content object has the mode 0${owner[2].toString(8)}`);
  return { uid: owner[0], gid: owner[1], mode: owner[2], xattrs: fromWireXattrs(wire) };
}

function targetOf(part: RandomAccess, { start, end }: ByteRange): string {
  if (end - start > MAX_TARGET) fail(`a symlink has a target of ${end - start} bytes`);
  const target = fromUtf8(part.read(start, end - start));
  if (target === undefined || target.includes('\0')) return fail('a symlink has a target that is not text');
  return target;
}

/** What a bspatch stream makes of `source`: `size` bytes. Reads outside of the source count as zero. */
function* patched(
  part: RandomAccess,
  range: ByteRange,
  source: RandomAccess,
  size: number,
): Generator<Uint8Array> {
  let at = range.start;
  let position = 0;
  let written = 0;
  const patchBytes = (length: number): Uint8Array => {
    if (at + length > range.end) fail('a patch is shorter than its controls say');
    at += length;
    return part.read(at - length, length);
  };
  while (written < size) {
    const { diff, extra, seek } = getControl(patchBytes(Math.min(CONTROL_LENGTH, range.end - at)));
    if (written + diff + extra > size) fail('a patch makes more bytes than its object has');
    for (let done = 0; done < diff;) {
      const length = Math.min(STEP, diff - done);
      const bytes = Uint8Array.from(patchBytes(length));
      const start = position + done;
      const from = Math.max(0, Math.min(source.size, start));
      const to = Math.max(from, Math.min(source.size, start + length));
      const old = source.read(from, to - from);
      for (let i = 0; i < old.length; i++)
        bytes[from - start + i] = (bytes[from - start + i] ?? 0) + (old[i] ?? 0);
      yield bytes;
      done += length;
    }
    for (let done = 0; done < extra;) {
      const length = Math.min(STEP, extra - done);
      yield patchBytes(length);
      done += length;
    }
    written += diff + extra;
    position += diff + seek;
  }
}

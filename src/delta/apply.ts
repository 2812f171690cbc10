/**
 * Executes the operations of one part, as a client does, and checks every object it makes against its checksum.
 * Content streams through: neither part nor source nor result has to fit into memory.
 *
 * Source: libostree ostree-repo-static-delta-processing.c. Stricter where libostree trusts the generator:
 * lengths must come out exactly, and no operation may stand where it has no meaning.
 */
import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { fromUtf8 } from '../core/bytes.ts';
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

/** Bytes handled at once. */
const STEP = 1 << 20;

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
  /** Opens the content of an object that a client has; throws for others. The result is kept by the caller. */
  readonly openSource: (checksum: Checksum) => Promise<RandomAccess>;
  /** Called for every object whose bytes were right. */
  readonly produced: (object: DeltaObject) => void;
}

/** A content object that is being written. */
interface OpenObject {
  readonly object: DeltaObject;
  readonly size: number;
  readonly hash: Hash;
  written: number;
}

export async function executePart({ entry, part, openSource, produced }: ExecutePart): Promise<void> {
  const tail = partTailLength(part.size);
  const layout = partLayout(part.size, part.read(part.size - tail, tail));
  const member = ({ start, end }: ByteRange): Uint8Array => part.read(start, end - start);
  const modes = decodePartModes(member(layout.modes));
  const xattrs = decodePartXattrs(member(layout.xattrs));
  const operations = member(layout.operations);
  const payloadSize = layout.payload.end - layout.payload.start;

  const payload = (offset: number, length: number): ByteRange => {
    if (offset + length > payloadSize) {
      return fail(`an operation wants ${length} bytes at ${offset} of a payload of ${payloadSize} bytes`);
    }
    return { start: layout.payload.start + offset, end: layout.payload.start + offset + length };
  };
  const feed = (hash: Hash, from: RandomAccess, { start, end }: ByteRange): void => {
    for (let at = start; at < end; at += STEP) hash.update(from.read(at, Math.min(STEP, end - at)));
  };

  let next = 0;
  let open: OpenObject | undefined;
  let source: RandomAccess | undefined;
  let contentSize = 0;

  const take = (): DeltaObject =>
    entry.objects[next++] ?? fail('there are operations for more objects than are listed');
  const finish = (object: DeltaObject, hash: Hash): void => {
    const found = hash.digest('hex');
    if (found !== object.checksum) fail(`the ${object.type} object ${object.checksum} came out as ${found}`);
    produced(object);
  };
  /** Counts what a part makes: more than the superblock announced would let a small part keep a client busy. */
  const announce = (size: number): void => {
    contentSize += size;
    if (contentSize > entry.uncompressedSize) {
      fail(`it makes more than the ${entry.uncompressedSize} bytes that the superblock announces`);
    }
  };

  for (const operation of decodeOperations(operations, (index) => entry.objects[index]?.type)) {
    switch (operation.op) {
      case 'splice-metadata': {
        if (open !== undefined) fail('an object begins inside another one');
        if (operation.length > MAX_METADATA_SIZE)
          fail(`it has a metadata object of ${operation.length} bytes`);
        announce(operation.length);
        const hash = createHash('sha256');
        feed(hash, part, payload(operation.offset, operation.length));
        finish(take(), hash);
        break;
      }
      case 'splice-content': {
        if (open !== undefined) fail('an object begins inside another one');
        const stat = statOf(modes, xattrs, operation.mode, operation.xattrs);
        const range = payload(operation.offset, operation.length);
        const hash = createHash('sha256');
        if ((stat.mode & S_IFMT) === S_IFLNK) {
          hash.update(encodeContentHeader(stat, targetOf(part, range)));
        } else {
          announce(operation.length);
          hash.update(encodeContentHeader(stat));
          feed(hash, part, range);
        }
        finish(take(), hash);
        break;
      }
      case 'open': {
        if (open !== undefined) fail('an object begins inside another one');
        const object = take();
        const stat = statOf(modes, xattrs, operation.mode, operation.xattrs);
        if (object.type !== 'file' || (stat.mode & S_IFMT) !== S_IFREG) {
          fail(`the ${object.type} object ${object.checksum} is opened as a regular file`);
        }
        announce(operation.length);
        const hash = createHash('sha256').update(encodeContentHeader(stat));
        open = { object, size: operation.length, hash, written: 0 };
        break;
      }
      case 'write': {
        if (open === undefined) return fail('bytes are written while no object is open');
        open.written += operation.length;
        if (open.written > open.size)
          fail(`the object ${open.object.checksum} gets more than ${open.size} bytes`);
        if (source === undefined) {
          feed(open.hash, part, payload(operation.offset, operation.length));
        } else {
          const end = operation.offset + operation.length;
          if (end > source.size) fail(`bytes up to ${end} are read from a source of ${source.size} bytes`);
          feed(open.hash, source, { start: operation.offset, end });
        }
        break;
      }
      case 'bspatch': {
        if (open === undefined || source === undefined || open.written > 0) {
          return fail('a patch stands where there is no source or no new object');
        }
        applyPatch(part, payload(operation.offset, operation.length), source, open);
        break;
      }
      case 'set-source': {
        const { start, end } = payload(operation.offset, 32);
        source = await openSource(checksumFromBytes(part.read(start, end - start)));
        break;
      }
      case 'unset-source':
        source = undefined;
        break;
      case 'close':
        if (open === undefined) return fail('an object ends that was not begun');
        if (open.written !== open.size) {
          fail(`the object ${open.object.checksum} has ${open.written} of ${open.size} bytes`);
        }
        finish(open.object, open.hash);
        open = undefined;
        source = undefined;
    }
  }
  if (open !== undefined || next !== entry.objects.length) {
    fail(`its operations end after ${next} of ${entry.objects.length} objects`);
  }
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

/** Runs a bspatch stream over `source` into the open object. Reads outside of the source count as zero. */
function applyPatch(part: RandomAccess, range: ByteRange, source: RandomAccess, open: OpenObject): void {
  let at = range.start;
  let position = 0;
  const patchBytes = (length: number): Uint8Array => {
    if (at + length > range.end) fail('a patch is shorter than its controls say');
    at += length;
    return part.read(at - length, length);
  };
  while (open.written < open.size) {
    const { diff, extra, seek } = getControl(patchBytes(Math.min(CONTROL_LENGTH, range.end - at)));
    if (open.written + diff + extra > open.size) fail('a patch makes more bytes than its object has');
    for (let done = 0; done < diff;) {
      const length = Math.min(STEP, diff - done);
      const bytes = Uint8Array.from(patchBytes(length));
      const start = position + done;
      const from = Math.max(0, Math.min(source.size, start));
      const to = Math.max(from, Math.min(source.size, start + length));
      const old = source.read(from, to - from);
      for (let i = 0; i < old.length; i++)
        bytes[from - start + i] = (bytes[from - start + i] ?? 0) + (old[i] ?? 0);
      open.hash.update(bytes);
      done += length;
    }
    for (let done = 0; done < extra;) {
      const length = Math.min(STEP, extra - done);
      open.hash.update(patchBytes(length));
      done += length;
    }
    open.written += diff + extra;
    position += diff + seek;
  }
}

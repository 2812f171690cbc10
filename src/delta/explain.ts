/** What a delta does, part by part and object by object, read from its operations without executing them. */
import type { Checksum } from '../core/checksum.ts';
import { checksumFromBytes } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import { CONTROL_LENGTH, getControl } from '../formats/bspatch.ts';
import { deltaName } from '../formats/ostree-delta-index.ts';
import type { DeltaObject, DeltaPartEntry } from '../formats/ostree-delta.ts';
import {
  PART_COMPRESSION,
  decodeOperations,
  decodePartModes,
  partLayout,
  partTailLength,
} from '../formats/ostree-delta-part.ts';
import { XZ_HEADERS, xzDictionary } from '../formats/xz.ts';
import type { RandomAccess } from '../platform/random-access.ts';
import type { DeltaForm } from './info.ts';
import type { OpenedDelta } from './read.ts';
import { blameDelta, inlinePartBytes, openPart } from './read.ts';

/** How one object is said; sizes in bytes. */
export interface ExplainedObject {
  readonly part: number;
  readonly type: DeltaObject['type'] | 'symlink';
  readonly checksum: Checksum;
  /** Of the content, of the metadata object, or of a symlink's target. */
  readonly size: number;
  readonly form: Exclude<DeltaForm, 'fallback'>;
  /** The object that is read, the first of them when there are several: an old one, or one that the part has made. */
  readonly source?: Checksum;
  /** How many objects are read, when they are more than one. */
  readonly sources?: number;
  /** Payload that is read for it, before compression. */
  readonly payload: number;
  /** Of the object, what comes out of those: copied, or added up with the bytes of a patch. */
  readonly copied: number;
}

/**
 * What applying a part takes on a device, in bytes. libostree decompresses it into an unnamed temporary file and maps
 * that, while xz holds its window; of a patched object it holds the whole result (dispatch_bspatch). Files can be
 * dropped from memory again, unless they lie on a tmpfs.
 */
export interface PartMemory {
  /** The decompressed part. */
  readonly part: number;
  /** xz's window. */
  readonly window: number;
  /** The largest object that is patched. */
  readonly patched: number;
  /** The sum of the three. */
  readonly total: number;
}

export interface ExplainedPart {
  readonly index: number;
  /** Of the part file, or inside the superblock. */
  readonly size: number;
  readonly inline: boolean;
  readonly compression: 'xz' | 'none';
  readonly payload: number;
  readonly operations: number;
  readonly modes: number;
  /** Sum of the sizes of the objects, as the superblock has it. */
  readonly uncompressed: number;
  readonly memory: PartMemory;
  readonly objects: readonly ExplainedObject[];
}

/** The parts in their order. A part is checked against its checksum; sources are not read. Throws `trust/corrupt-delta`. */
export async function* explainParts(delta: OpenedDelta): AsyncGenerator<ExplainedPart> {
  for (const [index, entry] of delta.superblock.parts.entries()) {
    yield await blameDelta(deltaName(delta.superblock), `part ${index}`, async () => {
      const part = await openPart(delta, index, entry);
      try {
        const { patched, ...explained } = explainPart(index, entry, part);
        const { window, ...file } = await explainFile(delta, index);
        const memory = { part: part.size, window, patched, total: part.size + window + patched };
        return { ...explained, ...file, memory };
      } finally {
        part.close();
      }
    });
  }
}

async function explainFile(
  { files: { store, part }, superblock }: OpenedDelta,
  index: number,
): Promise<Pick<ExplainedPart, 'inline' | 'compression'> & { window: number }> {
  const inline = inlinePartBytes(superblock, index);
  const head = inline?.subarray(0, 1 + XZ_HEADERS) ?? (await store.head(part(index), 1 + XZ_HEADERS));
  return {
    inline: inline !== undefined,
    compression: head?.[0] === PART_COMPRESSION.none ? 'none' : 'xz',
    window: head === undefined ? 0 : (xzDictionary(head.subarray(1)) ?? 0),
  };
}

function fail(message: string): never {
  throw new TreewrightError('input/bad-delta', message);
}

const S_IFMT = 0o170000;
const S_IFLNK = 0o120000;

/** Bytes of a checksum in the payload. */
const CHECKSUM = 32;

interface OpenObject {
  readonly size: number;
  form: 'raw' | 'patch' | 'splice';
  readonly sources: Set<Checksum>;
  source?: Checksum;
  payload: number;
  copied: number;
}

function explainPart(
  index: number,
  entry: DeltaPartEntry,
  part: RandomAccess,
): Omit<ExplainedPart, 'inline' | 'compression' | 'memory'> & { patched: number } {
  const tail = partTailLength(part.size);
  const layout = partLayout(part.size, part.read(part.size - tail, tail));
  const member = ({ start, end }: { start: number; end: number }): Uint8Array =>
    part.read(start, end - start);
  const modes = decodePartModes(member(layout.modes));
  const operations = member(layout.operations);
  const payloadSize = layout.payload.end - layout.payload.start;
  const payload = (offset: number, length: number): Uint8Array => {
    if (offset + length > payloadSize) return fail('an operation reaches outside of the payload');
    return part.read(layout.payload.start + offset, length);
  };

  const objects: ExplainedObject[] = [];
  let patched = 0;
  let open: OpenObject | undefined;
  let source: Checksum | undefined;
  const add = (
    object: Omit<ExplainedObject, 'part' | 'checksum' | 'type'> & { isSymlink?: boolean },
  ): void => {
    const listed =
      entry.objects[objects.length] ?? fail('there are operations for more objects than are listed');
    const { isSymlink = false, ...rest } = object;
    objects.push({ part: index, ...listed, ...(isSymlink ? { type: 'symlink' } : {}), ...rest });
  };
  for (const operation of decodeOperations(operations, (at) => entry.objects[at]?.type)) {
    switch (operation.op) {
      case 'splice-metadata':
        add({ size: operation.length, form: 'metadata', payload: operation.length, copied: 0 });
        break;
      case 'splice-content': {
        const mode =
          modes[operation.mode]?.[2] ?? fail(`an object has mode ${operation.mode} of ${modes.length}`);
        const isSymlink = (mode & S_IFMT) === S_IFLNK;
        const { length } = operation;
        add({ isSymlink, size: length, form: isSymlink ? 'symlink' : 'raw', payload: length, copied: 0 });
        break;
      }
      case 'open':
        open = { size: operation.length, form: 'raw', sources: new Set(), payload: 0, copied: 0 };
        break;
      case 'set-source':
        source = checksumFromBytes(payload(operation.offset, CHECKSUM));
        if (open === undefined || open.sources.has(source)) break;
        open.sources.add(source);
        open.source ??= source;
        open.form = 'splice';
        open.payload += CHECKSUM;
        break;
      case 'unset-source':
        source = undefined;
        break;
      case 'write':
        if (open === undefined) return fail('bytes are written while no object is open');
        if (source === undefined) open.payload += operation.length;
        else open.copied += operation.length;
        break;
      case 'bspatch':
        if (open === undefined) return fail('a patch stands where there is no new object');
        open.form = 'patch';
        open.payload += operation.length;
        open.copied += patchedBytes(
          (offset, length) => payload(operation.offset + offset, length),
          operation.length,
        );
        patched = Math.max(patched, open.size);
        break;
      case 'close':
        if (open === undefined) return fail('an object ends that was not begun');
        add(described(open));
        open = undefined;
        source = undefined;
    }
  }
  if (objects.length !== entry.objects.length) {
    fail(`its operations end after ${objects.length} of ${entry.objects.length} objects`);
  }
  return {
    index,
    size: entry.size,
    payload: payloadSize,
    operations: operations.length,
    modes: modes.length,
    uncompressed: entry.uncompressedSize,
    patched,
    objects,
  };
}

function described({ sources, ...object }: OpenObject): Omit<ExplainedObject, 'part' | 'checksum' | 'type'> {
  return { ...object, ...(sources.size > 1 ? { sources: sources.size } : {}) };
}

/** Bytes of a patched object that are the sum of an old and a sent byte. */
function patchedBytes(read: (offset: number, length: number) => Uint8Array, length: number): number {
  let bytes = 0;
  for (let at = 0; at + CONTROL_LENGTH <= length;) {
    const { diff, extra } = getControl(read(at, CONTROL_LENGTH));
    bytes += diff;
    at += CONTROL_LENGTH + diff + extra;
  }
  return bytes;
}

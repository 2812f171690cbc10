/**
 * The superblock of an OSTree static delta, plain and signed.
 * Source: libostree ostree-repo-static-delta-private.h (type strings), ostree-repo-static-delta-core.c.
 */
import type { Checksum } from '../core/checksum.ts';
import { checksumFromBytes, checksumToBytes } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import type { Codec, Vardict } from './gvariant.ts';
import {
  array,
  byte,
  bytestring,
  codecFor,
  lookup,
  tuple,
  u32be,
  u32le,
  u64be,
  u64le,
  vardict,
} from './gvariant.ts';
import type { DeltaEnds } from './ostree-delta-index.ts';
import { MAX_METADATA_SIZE } from './ostree-objects.ts';

function fail(message: string): never {
  throw new TreewrightError('input/bad-delta', message);
}

/** The object types a delta may carry, under the numbers libostree gives them. */
export const DELTA_OBJECT_TYPES = { file: 1, dirtree: 2, dirmeta: 3, commit: 4 } as const;

export type DeltaObjectType = keyof typeof DELTA_OBJECT_TYPES;

export interface DeltaObject {
  readonly type: DeltaObjectType;
  readonly checksum: Checksum;
}

const TYPE_OF: ReadonlyMap<number, DeltaObjectType> = new Map(
  Object.entries(DELTA_OBJECT_TYPES).map(([type, code]) => [code, type as DeltaObjectType]),
);

/** The newest part version this code and libostree know (OSTREE_DELTAPART_VERSION). */
export const PART_VERSION = 0;

/** What the superblock says about one part. */
export interface DeltaPartEntry {
  readonly version: number;
  /** SHA-256 of the part file, compression byte included. */
  readonly checksum: Checksum;
  /** Size of the part file in bytes. */
  readonly size: number;
  /** Sum of the sizes of the objects it produces, in bytes: not the size of its decompressed payload. */
  readonly uncompressedSize: number;
  /** The objects in the order in which the operations produce them. */
  readonly objects: readonly DeltaObject[];
}

/** An object the delta leaves to an ordinary fetch. */
export interface DeltaFallback extends DeltaObject {
  /** Size of the `.filez`, in bytes. */
  readonly size: number;
  /** Size of its content, in bytes. */
  readonly uncompressedSize: number;
}

/** The order of the bytes of sizes and versions: that of the machine a delta is made on, as a rule. */
export type ByteOrder = 'little' | 'big';

export interface Superblock extends DeltaEnds {
  readonly byteOrder: ByteOrder;
  /** `ostree.endianness` is not part of this list: it is added by the encoder and taken off by the decoder. */
  readonly metadata: Vardict;
  /** Seconds since 1970. */
  readonly timestamp: number;
  /** The commit object `to`. */
  readonly commit: Uint8Array;
  readonly parts: readonly DeltaPartEntry[];
  readonly fallbacks: readonly DeltaFallback[];
}

/** A member kept as it is, so that it can be decoded once the byte order is known or hashed as an object. */
function opaque(signature: string, align: Codec<Uint8Array>['align']): Codec<Uint8Array> {
  return { signature, align, encode: (bytes) => bytes, decode: (bytes) => bytes };
}

const COMMIT_SIGNATURE = '(a{sv}aya(say)sstayay)';

const superblockCodec = tuple<
  readonly [
    ReturnType<typeof vardict.decode>,
    number,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ]
>(
  vardict,
  u64be,
  bytestring,
  bytestring,
  opaque(COMMIT_SIGNATURE, 8),
  bytestring,
  opaque('a(uayttay)', 8),
  opaque('a(yaytt)', 8),
);

type PartRow = readonly [number, Uint8Array, number, number, Uint8Array];
type FallbackRow = readonly [number, Uint8Array, number, number];

/** Sizes and versions stand in the generator's byte order, which the metadata names. */
function tables(order: ByteOrder): { parts: Codec<PartRow[]>; fallbacks: Codec<FallbackRow[]> } {
  const u32 = order === 'little' ? u32le : u32be;
  const u64 = order === 'little' ? u64le : u64be;
  return {
    parts: array(tuple<PartRow>(u32, bytestring, u64, u64, bytestring)),
    fallbacks: array(tuple<FallbackRow>(byte, bytestring, u64, u64)),
  };
}

const ENDIANNESS = 'ostree.endianness';

/** `l` and `B`, as in D-Bus messages. */
const ORDER_CODE: Readonly<Record<ByteOrder, number>> = { little: 0x6c, big: 0x42 };

/** One object in a part's list: type byte and checksum. */
const OBJECT_ENTRY_LENGTH = 33;

function encodeObjects(objects: readonly DeltaObject[]): Uint8Array {
  const out = new Uint8Array(objects.length * OBJECT_ENTRY_LENGTH);
  objects.forEach(({ type, checksum }, i) => {
    out[i * OBJECT_ENTRY_LENGTH] = DELTA_OBJECT_TYPES[type];
    out.set(checksumToBytes(checksum), i * OBJECT_ENTRY_LENGTH + 1);
  });
  return out;
}

function decodeObjectType(code: number): DeltaObjectType {
  return TYPE_OF.get(code) ?? fail(`a delta has an object of the unknown type ${code}`);
}

function decodeObjects(bytes: Uint8Array): DeltaObject[] {
  if (bytes.length % OBJECT_ENTRY_LENGTH !== 0) fail('a delta part has a list of objects of odd length');
  const objects: DeltaObject[] = [];
  for (let at = 0; at < bytes.length; at += OBJECT_ENTRY_LENGTH) {
    objects.push({
      type: decodeObjectType(bytes[at] ?? 0),
      checksum: checksumFromBytes(bytes.subarray(at + 1, at + OBJECT_ENTRY_LENGTH)),
    });
  }
  return objects;
}

/** Superblock, `(a{sv}tayay(commit)aya(uayttay)a(yaytt))`. */
export function encodeSuperblock(superblock: Superblock): Uint8Array {
  const { from, byteOrder } = superblock;
  const { parts, fallbacks } = tables(byteOrder);
  return superblockCodec.encode([
    [...superblock.metadata, [ENDIANNESS, { signature: 'y', value: ORDER_CODE[byteOrder] }]],
    superblock.timestamp,
    from === undefined ? new Uint8Array(0) : checksumToBytes(from),
    checksumToBytes(superblock.to),
    superblock.commit,
    new Uint8Array(0),
    parts.encode(
      superblock.parts.map(
        (part) =>
          [
            part.version,
            checksumToBytes(part.checksum),
            part.size,
            part.uncompressedSize,
            encodeObjects(part.objects),
          ] as const,
      ),
    ),
    fallbacks.encode(
      superblock.fallbacks.map(
        (object) =>
          [
            DELTA_OBJECT_TYPES[object.type],
            checksumToBytes(object.checksum),
            object.size,
            object.uncompressedSize,
          ] as const,
      ),
    ),
  ]);
}

/**
 * Decodes a superblock of either byte order; one without `ostree.endianness`, as libostree wrote before 2016,
 * is taken for little-endian. The commit is neither decoded nor hashed. Throws `input/bad-gvariant` or
 * `input/bad-delta`.
 */
export function decodeSuperblock(bytes: Uint8Array): Superblock {
  if (bytes.length > MAX_METADATA_SIZE) fail(`a superblock of ${bytes.length} bytes is too large`);
  const [metadata, timestamp, from, to, commit, dependencies, partTable, fallbackTable] =
    superblockCodec.decode(bytes);
  if (dependencies.length !== 0) fail('a delta that depends on other deltas is not supported');
  const endianness = metadata.find(([key]) => key === ENDIANNESS)?.[1];
  const code = endianness === undefined ? ORDER_CODE.little : lookup(metadata, ENDIANNESS, 'y');
  if (code !== ORDER_CODE.little && code !== ORDER_CODE.big) fail('a superblock names no known byte order');
  const byteOrder: ByteOrder = code === ORDER_CODE.big ? 'big' : 'little';
  const { parts, fallbacks } = tables(byteOrder);
  return {
    byteOrder,
    metadata: metadata.filter(([key]) => key !== ENDIANNESS),
    timestamp,
    ...(from.length === 0 ? {} : { from: checksumFromBytes(from, 'delta source') }),
    to: checksumFromBytes(to, 'delta target'),
    commit,
    parts: parts.decode(partTable).map(([version, checksum, size, uncompressedSize, objects]) => {
      if (version > PART_VERSION) fail(`a delta part has the version ${version}, known is ${PART_VERSION}`);
      return {
        version,
        checksum: checksumFromBytes(checksum, 'delta part'),
        size,
        uncompressedSize,
        objects: decodeObjects(objects),
      };
    }),
    fallbacks: fallbacks.decode(fallbackTable).map(([type, checksum, size, uncompressedSize]) => ({
      type: decodeObjectType(type),
      checksum: checksumFromBytes(checksum, 'fallback object'),
      size,
      uncompressedSize,
    })),
  };
}

/* ---- signed form ---- */

/** `OSTSGNDT` */
const SIGNED_MAGIC = Uint8Array.of(0x4f, 0x53, 0x54, 0x53, 0x47, 0x4e, 0x44, 0x54);

const magic: Codec<Uint8Array> = {
  signature: 't',
  align: 8,
  size: 8,
  encode: (bytes) => bytes,
  decode: (bytes) => bytes,
};

const signedCodec = tuple<readonly [Uint8Array, Uint8Array, ReturnType<typeof vardict.decode>]>(
  magic,
  bytestring,
  vardict,
);

/** The contents of a superblock file: the bytes that are signed, and the signatures when there are any. */
export interface SuperblockFile {
  readonly superblock: Uint8Array;
  /** Such as `ostree.sign.ed25519`, `aay`. */
  readonly signatures?: Vardict;
}

/** The signed form, `(taya{sv})`. */
export function encodeSignedSuperblock(superblock: Uint8Array, signatures: Vardict): Uint8Array {
  return signedCodec.encode([SIGNED_MAGIC, superblock, [...signatures]]);
}

/** Tells the signed form from the plain one by its first eight bytes. Checks no signature. */
export function decodeSuperblockFile(bytes: Uint8Array): SuperblockFile {
  if (!SIGNED_MAGIC.every((value, i) => bytes[i] === value)) return { superblock: bytes };
  const [, superblock, signatures] = signedCodec.decode(bytes);
  return { superblock, signatures };
}

/** The codec of a part kept inside the superblock's metadata, `(yay)`. */
export const inlinePart = codecFor('(yay)') as Codec<readonly [number, Uint8Array]>;

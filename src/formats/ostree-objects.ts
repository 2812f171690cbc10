/**
 * OSTree's four object types: commit, dirtree, dirmeta and the header of content objects.
 * Source: libostree ostree-core.h (type strings) and ostree-core.c (checksum input, .filez header).
 */
import { compareUtf8, concatBytes, utf8 } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import { checksumFromBytes, checksumToBytes } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import { filenameProblem } from '../core/path.ts';
import type { Codec, Vardict } from './gvariant.ts';
import { array, bytestring, string, tuple, u32be, u64be, vardict } from './gvariant.ts';

/** libostree refuses metadata objects beyond this (OSTREE_MAX_METADATA_SIZE), in bytes. */
export const MAX_METADATA_SIZE = 128 * 1024 * 1024;

/** Xattrs as libostree has them: names end in NUL, sorted by name. */
export type WireXattrs = readonly (readonly [Uint8Array, Uint8Array])[];

const xattrs: Codec<(readonly [Uint8Array, Uint8Array])[]> = array(
  tuple<readonly [Uint8Array, Uint8Array]>(bytestring, bytestring),
);

/** Owner, mode and xattrs of anything in a tree. */
export interface ObjectStat {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly xattrs: readonly { readonly name: string; readonly value: Uint8Array }[];
}

/** libostree's order and form of xattrs: sorted by name, each name with its NUL. */
export function wireXattrs(stat: ObjectStat): WireXattrs {
  return [...stat.xattrs]
    .sort((a, b) => compareUtf8(a.name, b.name))
    .map(({ name, value }) => [concatBytes([utf8(name), new Uint8Array(1)]), value] as const);
}

/** Xattrs out of their wire form; a name without its NUL is refused. */
export function fromWireXattrs(wire: WireXattrs): ObjectStat['xattrs'] {
  return wire.map(([name, value]) => {
    if (name.length < 2 || name[name.length - 1] !== 0) {
      throw new TreewrightError('input/bad-object', 'an xattr name does not end in NUL or is empty');
    }
    return { name: new TextDecoder().decode(name.subarray(0, -1)), value };
  });
}

const dirMetaCodec = tuple<readonly [number, number, number, WireXattrs]>(u32be, u32be, u32be, xattrs);

/** dirmeta, `(uuua(ayay))`. */
export function encodeDirMeta(stat: ObjectStat): Uint8Array {
  return dirMetaCodec.encode([stat.uid, stat.gid, stat.mode, wireXattrs(stat)]);
}

export function decodeDirMeta(bytes: Uint8Array): ObjectStat {
  const [uid, gid, mode, wire] = dirMetaCodec.decode(bytes);
  if ((mode & 0o170000) !== 0o040000) {
    throw new TreewrightError(
      'input/bad-object',
      `dirmeta has mode 0${mode.toString(8)}, which is not a directory`,
    );
  }
  return { uid, gid, mode, xattrs: fromWireXattrs(wire) };
}

/** One directory of a dirtree: its name, its own dirtree and dirmeta. */
export interface DirTreeDirectory {
  readonly name: string;
  readonly tree: Checksum;
  readonly meta: Checksum;
}

/** dirtree, `(a(say)a(sayay))`: files and directories, each sorted by the bytes of their names. */
export interface DirTree {
  readonly files: readonly { readonly name: string; readonly checksum: Checksum }[];
  readonly directories: readonly DirTreeDirectory[];
}

const dirTreeCodec = tuple<
  readonly [(readonly [string, Uint8Array])[], (readonly [string, Uint8Array, Uint8Array])[]]
>(
  array(tuple<readonly [string, Uint8Array]>(string, bytestring)),
  array(tuple<readonly [string, Uint8Array, Uint8Array]>(string, bytestring, bytestring)),
);

export function encodeDirTree(tree: DirTree): Uint8Array {
  return dirTreeCodec.encode([
    tree.files.map(({ name, checksum }) => [name, checksumToBytes(checksum)] as const),
    tree.directories.map(
      ({ name, tree: sub, meta }) => [name, checksumToBytes(sub), checksumToBytes(meta)] as const,
    ),
  ]);
}

/** Refuses names that could leave the directory, and anything not strictly sorted. */
export function decodeDirTree(bytes: Uint8Array): DirTree {
  const [files, directories] = dirTreeCodec.decode(bytes);
  for (const list of [files, directories]) {
    let previous: string | undefined;
    for (const [name] of list) {
      const problem = filenameProblem(name);
      if (problem !== undefined) {
        throw new TreewrightError(
          'input/bad-object',
          `dirtree has the name ${JSON.stringify(name)}: ${problem}`,
        );
      }
      if (previous !== undefined && compareUtf8(previous, name) >= 0) {
        throw new TreewrightError('input/bad-object', `dirtree is not sorted at ${JSON.stringify(name)}`);
      }
      previous = name;
    }
  }
  return {
    files: files.map(([name, sum]) => ({ name, checksum: checksumFromBytes(sum) })),
    directories: directories.map(([name, sub, meta]) => ({
      name,
      tree: checksumFromBytes(sub),
      meta: checksumFromBytes(meta),
    })),
  };
}

/** commit, `(a{sv}aya(say)sstayay)`. The list of related objects is always empty. */
export interface Commit {
  readonly metadata: Vardict;
  readonly parent?: Checksum;
  readonly subject: string;
  readonly body: string;
  /** Seconds since 1970. */
  readonly timestamp: number;
  readonly rootTree: Checksum;
  readonly rootMeta: Checksum;
}

const commitCodec = tuple<
  readonly [
    (readonly [string, { signature: string; value: unknown }])[],
    Uint8Array,
    (readonly [string, Uint8Array])[],
    string,
    string,
    number,
    Uint8Array,
    Uint8Array,
  ]
>(
  vardict,
  bytestring,
  array(tuple<readonly [string, Uint8Array]>(string, bytestring)),
  string,
  string,
  u64be,
  bytestring,
  bytestring,
);

export function encodeCommit(commit: Commit): Uint8Array {
  return commitCodec.encode([
    [...commit.metadata],
    commit.parent === undefined ? new Uint8Array(0) : checksumToBytes(commit.parent),
    [],
    commit.subject,
    commit.body,
    commit.timestamp,
    checksumToBytes(commit.rootTree),
    checksumToBytes(commit.rootMeta),
  ]);
}

export function decodeCommit(bytes: Uint8Array): Commit {
  const [metadata, parent, , subject, body, timestamp, rootTree, rootMeta] = commitCodec.decode(bytes);
  return {
    metadata,
    ...(parent.length === 0 ? {} : { parent: checksumFromBytes(parent, 'parent commit') }),
    subject,
    body,
    timestamp,
    rootTree: checksumFromBytes(rootTree, 'root dirtree'),
    rootMeta: checksumFromBytes(rootMeta, 'root dirmeta'),
  };
}

const fileHeader = tuple<readonly [number, number, number, number, string, WireXattrs]>(
  u32be,
  u32be,
  u32be,
  u32be,
  string,
  xattrs,
);

const zlibFileHeader = tuple<readonly [number, number, number, number, number, string, WireXattrs]>(
  u64be,
  u32be,
  u32be,
  u32be,
  u32be,
  string,
  xattrs,
);

/** A header is written as its length, big-endian, four bytes of zero, and the variant. */
function framed(header: Uint8Array): Uint8Array {
  const out = new Uint8Array(8 + header.length);
  new DataView(out.buffer).setUint32(0, header.length);
  out.set(header, 8);
  return out;
}

/**
 * The bytes a content object's checksum covers before the content itself: framed `(uuuusa(ayay))`
 * of uid, gid, mode, rdev 0, symlink target and xattrs.
 */
export function encodeContentHeader(stat: ObjectStat, symlinkTarget = ''): Uint8Array {
  return framed(fileHeader.encode([stat.uid, stat.gid, stat.mode, 0, symlinkTarget, wireXattrs(stat)]));
}

/** What precedes the raw deflate stream in a `.filez`: framed `(tuuuusa(ayay))`, led by the content's size. */
export function encodeFilezHeader(size: number, stat: ObjectStat, symlinkTarget = ''): Uint8Array {
  return framed(
    zlibFileHeader.encode([size, stat.uid, stat.gid, stat.mode, 0, symlinkTarget, wireXattrs(stat)]),
  );
}

/** A `.filez` header: what it says, and where the deflate stream starts. */
export interface FilezHeader {
  readonly size: number;
  readonly stat: ObjectStat;
  readonly symlinkTarget: string;
  readonly dataOffset: number;
}

/** Bytes to read before `decodeFilezHeader` can know how many more it needs. */
export const FILEZ_PREFIX = 8;

/** Length of the whole framed header, from its first eight bytes. */
export function filezHeaderLength(prefix: Uint8Array): number {
  if (prefix.length < FILEZ_PREFIX)
    throw new TreewrightError('input/bad-object', 'a .filez ends in its header');
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  const length = view.getUint32(0);
  if (view.getUint32(4) !== 0 || length > MAX_METADATA_SIZE) {
    throw new TreewrightError('input/bad-object', `a .filez has a header of ${length} bytes`);
  }
  return FILEZ_PREFIX + length;
}

export function decodeFilezHeader(bytes: Uint8Array): FilezHeader {
  const dataOffset = filezHeaderLength(bytes);
  if (bytes.length < dataOffset) throw new TreewrightError('input/bad-object', 'a .filez ends in its header');
  const [size, uid, gid, mode, rdev, symlinkTarget, wire] = zlibFileHeader.decode(
    bytes.subarray(FILEZ_PREFIX, dataOffset),
  );
  const type = mode & 0o170000;
  if (rdev !== 0 || (type !== 0o100000 && type !== 0o120000)) {
    throw new TreewrightError('input/bad-object', `a .filez has mode 0${mode.toString(8)} and rdev ${rdev}`);
  }
  return { size, stat: { uid, gid, mode, xattrs: fromWireXattrs(wire) }, symlinkTarget, dataOffset };
}

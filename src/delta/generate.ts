/**
 * Makes static deltas. Parts are written first and the superblock last, so a delta that was not finished does not
 * exist for clients. The bytes depend on the two commits, the signatures of the newer one and the options, on
 * nothing else.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import { noEvents } from '../core/events.ts';
import type { Vardict } from '../formats/gvariant.ts';
import { vardict } from '../formats/gvariant.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaPath } from '../formats/ostree-delta-index.ts';
import type { ByteOrder, DeltaFallback, DeltaPartEntry } from '../formats/ostree-delta.ts';
import { encodeSignedSuperblock, encodeSuperblock } from '../formats/ostree-delta.ts';
import { MAX_METADATA_SIZE, decodeCommit } from '../formats/ostree-objects.ts';
import { withEd25519Signatures } from '../formats/ostree-signatures.ts';
import { readFileIfThere, writeFileAtomic } from '../platform/files.ts';
import { openStore } from '../platform/store.ts';
import type { WorkerPool } from '../platform/workers.ts';
import { commitMetaPath } from '../repo/paths.ts';
import { readMetadata } from '../repo/read.ts';
import type { ReadyObject } from './encode.ts';
import { encodeAlone, encodeFiles, encodeOfMembers } from './encode.ts';
import type { DeltaWork, WorkFile } from './gather.ts';
import { gatherWork } from './gather.ts';
import type { DeltaForms, DeltaInfo } from './info.ts';
import { FORMS_KEY, createFormCounter, encodeForms } from './info.ts';
import { createPartWriter } from './part-writer.ts';
import type { DeltaPlace } from './place.ts';
import { clearWorkshop, deltaPlace, placeParts, preparePlace, tidyPlace } from './place.ts';
import { readFinishedDelta } from './reuse.ts';

export type { DeltaInfo, DeltaPartInfo } from './info.ts';

/** Parts are closed before their payload exceeds this: half of libostree's 32 MB, so that two cores can share the work. */
export const DEFAULT_PART_SIZE = 16 << 20;

/** libostree's `max-bsdiff-size`. */
export const DEFAULT_PATCH_SIZE = 128_000_000;

/**
 * Names how a delta was made. A delta that is there is kept when this and everything else agrees, so it changes
 * with the encoder and with its parameters. libostree ignores the key.
 */
const ENCODING_KEY = 'treewright.encoding';
const ENCODING_VERSION = 4;

export interface GenerateDelta extends DeltaEnds {
  /** Directory of an archive repository that holds both commits whole. The caller holds its lock. */
  readonly repo: string;
  readonly pool: WorkerPool;
  readonly events?: EventSink;
  /** What `gatherWork` says of the same two commits, where it is known already. */
  readonly work?: DeltaWork;
  /** Largest payload of a part before compression, in bytes; a single larger object gets a part of its own. */
  readonly maxPartSize?: number;
  /**
   * Largest object, in bytes, that a client makes by a bspatch stream, which it does in memory; larger ones are
   * spliced. Without it only the generator's own memory sets a limit.
   */
  readonly maxPatchSize?: number;
  /**
   * Files that share nothing with an old one and are larger than this, in bytes, are left to an ordinary fetch.
   * 0, as without it, leaves none.
   */
  readonly minFallbackSize?: number;
  /** Keep the parts inside the superblock: one file, which a client downloads and holds as a whole. */
  readonly inlineParts?: boolean;
  /** `little` unless given. */
  readonly byteOrder?: ByteOrder;
  /** More entries for the superblock's metadata, before ours. */
  readonly metadata?: Vardict;
  /** ed25519 signatures of a superblock's bytes. A signed superblock is for offline use: pulls cannot read it. */
  readonly sign?: (superblock: Uint8Array) => Promise<readonly Uint8Array[]>;
  /**
   * Write the delta here instead of into the repository, as `ostree static-delta apply-offline` takes it: a file
   * with `inlineParts`, otherwise a directory.
   */
  readonly output?: string;
}

/** The detached metadata of a commit, where its signatures are. */
async function readCommitMeta(repo: string, commit: Checksum): Promise<Vardict | undefined> {
  const bytes = await readFileIfThere(join(repo, commitMetaPath(commit)));
  return bytes === undefined ? undefined : vardict.decode(bytes);
}

/**
 * Makes the delta from `from`, or from nothing, to `to` in `deltas/` of the repository or at `output`. A finished
 * delta that says the same is kept; one that was left half-written is made anew. Neither summary nor delta indexes
 * change. Throws `usage/same-commit`, `usage/output-exists`, `usage/bad-metadata`, `input/inline-too-large`.
 */
export async function generateDelta(options: GenerateDelta): Promise<DeltaInfo> {
  const { repo, from, to, inlineParts: inline = false, output, byteOrder = 'little', sign } = options;
  if (from === to) {
    throw new TreewrightError('usage/same-commit', `a delta needs two different commits, both are ${to}`);
  }
  checkMetadata(options.metadata ?? []);
  const ends: DeltaEnds = from === undefined ? { to } : { from, to };
  const store = openStore(repo);
  const commit = await readMetadata(store, to, 'commit');
  const commitMeta = await readCommitMeta(repo, to);
  const target = { ...ends, repo, inline, ...(output === undefined ? {} : { output }) };
  const place = await deltaPlace(target);
  const encoding = encodingEntry(options);

  const work = options.work ?? (await gatherWork(repo, ends, options.pool));
  const present = await readFinishedDelta(place, ends, encoding);
  const { parts, inside, fallbacks, forms } = present ?? (await makeParts(options, place, work));
  const superblock = encodeSuperblock({
    ...ends,
    byteOrder,
    metadata: [
      ...(options.metadata ?? []),
      // What carries nothing is made anew in no time, and shall not be larger than libostree's.
      ...(parts.length + fallbacks.length === 0 ? [] : [encoding, encodeForms(forms)]),
      ...(commitMeta === undefined
        ? []
        : [[`${deltaPath(ends)}/commitmeta`, { signature: 'a{sv}', value: commitMeta }] as const]),
      ...inside,
    ],
    // Not the time of making: the same commits give the same bytes.
    timestamp: decodeCommit(commit).timestamp,
    commit,
    parts,
    fallbacks,
  });
  const file =
    sign === undefined
      ? superblock
      : encodeSignedSuperblock(superblock, withEd25519Signatures([], await sign(superblock)));
  if (present === undefined || Buffer.compare(present.file, file) !== 0) {
    await writeFileAtomic(place.superblock, file);
  }
  await tidyPlace(place, target, parts.length);

  const partInfo = parts.map(({ size, checksum, uncompressedSize }) => ({
    size,
    sha256: checksum,
    uncompressed: uncompressedSize,
  }));
  const beside = [...(inline ? [] : parts), ...fallbacks];
  return {
    ...ends,
    path: output ?? deltaPath(ends),
    superblock: {
      size: file.length,
      sha256: createHash('sha256').update(file).digest('hex') as Checksum,
    },
    parts: partInfo,
    inline,
    byteOrder,
    signed: sign !== undefined,
    fallbacks: fallbacks.map(({ checksum, size, uncompressedSize: uncompressed }) => ({
      checksum,
      size,
      uncompressed,
    })),
    forms,
    bytes: beside.reduce((sum, { size }) => sum + size, file.length),
    looseBytes: work.looseBytes,
    reused: present !== undefined,
  };
}

/** The version and what differs from the defaults. The byte order is no part of it: only the superblock depends on that. */
function encodingEntry(options: GenerateDelta): Vardict[number] {
  const { maxPartSize = DEFAULT_PART_SIZE, maxPatchSize = DEFAULT_PATCH_SIZE, minFallbackSize = 0 } = options;
  const value = [
    String(ENCODING_VERSION),
    ...(maxPartSize === DEFAULT_PART_SIZE ? [] : [`part=${maxPartSize}`]),
    ...(maxPatchSize === DEFAULT_PATCH_SIZE ? [] : [`patch=${maxPatchSize}`]),
    ...(minFallbackSize > 0 ? [`fallback=${minFallbackSize}`] : []),
    ...(options.inlineParts === true ? ['inline'] : []),
  ].join(' ');
  return [ENCODING_KEY, { signature: 's', value }];
}

/** Readers differ on a key that is there twice, and some have a meaning. */
function checkMetadata(metadata: Vardict): void {
  const taken = new Set<string>(['ostree.endianness', ENCODING_KEY, FORMS_KEY]);
  for (const [key] of metadata) {
    if (taken.has(key) || key.startsWith('deltas/')) {
      throw new TreewrightError('usage/bad-metadata', `the metadata key ${JSON.stringify(key)} is in use`);
    }
    taken.add(key);
  }
}

/**
 * The files that are put together from members, with these. Their part is as large as the members' payload: no larger
 * than the patch of the file itself would be, but that must be allowed then.
 */
function groupsOf(
  files: readonly WorkFile[],
  maxPartSize: number,
  maxPatchSize: number,
): ReadonlyMap<WorkFile, readonly WorkFile[]> {
  const known = new Map(files.map((file) => [file.checksum, file]));
  const groups = new Map<WorkFile, readonly WorkFile[]>();
  for (const file of files) {
    if (file.members === undefined) continue;
    const members = [...new Set(file.members.flatMap(({ checksum }) => known.get(checksum) ?? []))];
    const size = members.reduce((sum, { facts }) => sum + facts.size, 0);
    if (size <= maxPartSize || file.facts.size <= maxPatchSize) groups.set(file, members);
  }
  return groups;
}

interface MadeParts {
  readonly parts: readonly DeltaPartEntry[];
  readonly inside: Vardict;
  readonly fallbacks: readonly DeltaFallback[];
  readonly forms: DeltaForms;
}

async function makeParts(options: GenerateDelta, place: DeltaPlace, work: DeltaWork): Promise<MadeParts> {
  const { repo, from, to, pool, events = noEvents, minFallbackSize = 0 } = options;
  const { maxPartSize = DEFAULT_PART_SIZE, maxPatchSize = DEFAULT_PATCH_SIZE } = options;
  const ends: DeltaEnds = from === undefined ? { to } : { from, to };
  const store = openStore(repo);
  await preparePlace(place);
  const storedSizes = new Map(work.files.map(({ checksum, facts }) => [checksum, facts.header.storedSize]));
  const symlinks = new Set(work.files.filter(({ facts }) => facts.isSymlink).map(({ checksum }) => checksum));
  const fallbacks: DeltaFallback[] = [];
  const counter = createFormCounter();
  const total = work.files.reduce((sum, { facts }) => sum + facts.size, 0);
  let done = 0;
  const writer = createPartWriter({ repo: place.workshop, ends, concurrency: pool.size, maxPartSize });
  const count = ({ content: { checksum, size, form, sources = [] }, literalSize }: ReadyObject): void => {
    // The checksums of sources lie in the payload as well.
    counter.add(symlinks.has(checksum) ? 'symlink' : form, size, literalSize + 32 * sources.length);
  };
  /** Counts an object; false when it is left to an ordinary fetch. */
  const carry = (object: ReadyObject): boolean => {
    const { checksum, size, form } = object.content;
    done += size;
    events({ type: 'progress', stage: 'delta', what: 'content', done, total, unit: 'bytes' });
    if (!symlinks.has(checksum) && form === 'raw' && minFallbackSize > 0 && size > minFallbackSize) {
      const stored = storedSizes.get(checksum) ?? 0;
      fallbacks.push({ type: 'file', checksum, size: stored, uncompressedSize: size });
      counter.add('fallback', size, 0);
      return false;
    }
    count(object);
    return true;
  };

  const encoding = { pool, maxPatchSize };
  const groups = groupsOf(work.files, maxPartSize, maxPatchSize);
  const inGroups = new Set([...groups.values()].flat());
  const isAlone = ({ facts }: WorkFile): boolean => !facts.isSymlink && facts.size > maxPartSize / 2;
  /** A file behind its members, all in one part, since none of them may come by another way. */
  const group = async function* (file: WorkFile, members: readonly WorkFile[]): AsyncGenerator<ReadyObject> {
    for await (const object of encodeFiles(store, members, encoding)) {
      count(object);
      yield object;
    }
    const object = await encodeOfMembers(store, file, encoding);
    count(object);
    yield object;
  };
  // One large file takes as long as hundreds of small ones: it is begun first, and they go on beside it.
  let failed = false;
  const large = async (): Promise<void> => {
    for (const [rank, file] of work.files.entries()) {
      if (failed) return;
      const members = groups.get(file);
      if (members !== undefined) {
        await writer.addAlone(group(file, members), rank);
      } else if (isAlone(file) && !inGroups.has(file)) {
        const object = await encodeAlone(store, file, encoding);
        if (carry(object)) await writer.addAlone([object], rank);
      }
    }
  };
  const small = async (): Promise<void> => {
    for (const { type, checksum } of work.metadata) {
      const bytes = await readMetadata(store, checksum, type);
      counter.add('metadata', bytes.length, bytes.length);
      await writer.addMetadata(type, checksum, bytes);
    }
    const files = work.files.filter((file) => !isAlone(file) && !groups.has(file) && !inGroups.has(file));
    for await (const object of encodeFiles(store, files, encoding)) {
      if (failed) return;
      if (carry(object)) await writer.addObject(object);
    }
  };
  const fail = (error: unknown): never => {
    failed = true;
    throw error;
  };
  try {
    for (const run of await Promise.allSettled([large().catch(fail), small().catch(fail)])) {
      if (run.status === 'rejected') throw run.reason;
    }
    const parts = await writer.finish();
    const bytes = parts.reduce((sum, { size }) => sum + size, 0);
    if (options.inlineParts === true && bytes > MAX_METADATA_SIZE) {
      throw new TreewrightError(
        'input/inline-too-large',
        `the parts have ${bytes} bytes, and no client reads a superblock of more than ${MAX_METADATA_SIZE}: ` +
          'keep them in files of their own',
        { data: { bytes, limit: MAX_METADATA_SIZE } },
      );
    }
    const inside = await placeParts(place, ends, parts.length);
    const order = new Map(work.files.map(({ checksum }, i) => [checksum, i]));
    fallbacks.sort((a, b) => (order.get(a.checksum) ?? 0) - (order.get(b.checksum) ?? 0));
    return { parts, inside, fallbacks, forms: counter.forms() };
  } catch (error) {
    await writer.abandon();
    await clearWorkshop(place, repo);
    throw error;
  }
}

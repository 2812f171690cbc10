/**
 * Makes static deltas. Parts are written first and the superblock last, so a delta that was not finished does not
 * exist for clients. The bytes depend on the two commits and the signatures of the newer one, on nothing else.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import { noEvents } from '../core/events.ts';
import type { Vardict } from '../formats/gvariant.ts';
import { vardict } from '../formats/gvariant.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaPath, superblockPath } from '../formats/ostree-delta-index.ts';
import type { DeltaPartEntry, Superblock } from '../formats/ostree-delta.ts';
import { encodeSuperblock } from '../formats/ostree-delta.ts';
import { decodeCommit } from '../formats/ostree-objects.ts';
import {
  readFileIfThere,
  removeStaleTemporaries,
  syncDirectory,
  writeFileAtomic,
} from '../platform/files.ts';
import { openStore } from '../platform/store.ts';
import type { WorkerPool } from '../platform/workers.ts';
import { commitMetaPath } from '../repo/paths.ts';
import { readMetadata } from '../repo/read.ts';
import { encodeFiles } from './encode.ts';
import type { DeltaWork } from './gather.ts';
import { gatherWork } from './gather.ts';
import type { DeltaInfo } from './info.ts';
import { createPartWriter } from './part-writer.ts';
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
const ENCODING_VERSION = 2;

export interface GenerateDelta extends DeltaEnds {
  /** Directory of an archive repository that holds both commits whole. The caller holds its lock. */
  readonly repo: string;
  readonly pool: WorkerPool;
  readonly events?: EventSink;
  /** Largest payload of a part before compression, in bytes; a single larger object gets a part of its own. */
  readonly maxPartSize?: number;
  /**
   * Largest object, in bytes, that a client makes by a bspatch stream, which it does in memory; larger ones are
   * spliced. Without it only the generator's own memory sets a limit.
   */
  readonly maxPatchSize?: number;
}

/** The detached metadata of a commit, where its signatures are. */
async function readCommitMeta(repo: string, commit: Checksum): Promise<Vardict | undefined> {
  const bytes = await readFileIfThere(join(repo, commitMetaPath(commit)));
  return bytes === undefined ? undefined : vardict.decode(bytes);
}

/**
 * Makes the delta from `from`, or from nothing, to `to` in `deltas/` of the repository. A finished delta that
 * says the same is kept; one that was left half-written is made anew. Neither summary nor delta indexes change.
 */
export async function generateDelta(options: GenerateDelta): Promise<DeltaInfo> {
  const { repo, from, to, pool, events = noEvents } = options;
  const { maxPartSize = DEFAULT_PART_SIZE, maxPatchSize = DEFAULT_PATCH_SIZE } = options;
  if (from === to) {
    throw new TreewrightError('usage/same-commit', `a delta needs two different commits, both are ${to}`);
  }
  const ends: DeltaEnds = from === undefined ? { to } : { from, to };
  const store = openStore(repo);
  const commit = await readMetadata(store, to, 'commit');
  const commitMeta = await readCommitMeta(repo, to);
  const header: Omit<Superblock, 'parts'> = {
    ...ends,
    metadata: [
      [
        ENCODING_KEY,
        { signature: 's', value: `${ENCODING_VERSION} part=${maxPartSize} patch=${maxPatchSize}` },
      ],
      ...(commitMeta === undefined
        ? []
        : [[`${deltaPath(ends)}/commitmeta`, { signature: 'a{sv}', value: commitMeta }] as const]),
    ],
    // Not the time of making: the same commits give the same bytes.
    timestamp: decodeCommit(commit).timestamp,
    commit,
    fallbacks: [],
  };

  const work = await gatherWork(repo, ends, pool);
  const present = await readFinishedDelta(repo, ends, ENCODING_KEY);
  const sameEncoding =
    present !== undefined && JSON.stringify(header.metadata[0]) === JSON.stringify(present.encoding);
  const parts = sameEncoding
    ? present.parts
    : await makeParts({ repo, ends, work, pool, events, maxPartSize, maxPatchSize });
  const superblock = encodeSuperblock({ ...header, parts });
  const path = join(repo, superblockPath(ends));
  if (!sameEncoding || Buffer.compare(present.bytes, superblock) !== 0)
    await writeFileAtomic(path, superblock);
  await removeSurplus(join(repo, deltaPath(ends)), parts.length);

  const partInfo = parts.map(({ size, checksum, uncompressedSize }) => ({
    size,
    sha256: checksum,
    uncompressed: uncompressedSize,
  }));
  return {
    ...ends,
    path: deltaPath(ends),
    superblock: {
      size: superblock.length,
      sha256: createHash('sha256').update(superblock).digest('hex') as Checksum,
    },
    parts: partInfo,
    fallbacks: [],
    bytes: superblock.length + partInfo.reduce((sum, { size }) => sum + size, 0),
    looseBytes: work.looseBytes,
    reused: sameEncoding,
  };
}

interface MakeParts {
  readonly repo: string;
  readonly ends: DeltaEnds;
  readonly work: DeltaWork;
  readonly pool: WorkerPool;
  readonly events: EventSink;
  readonly maxPartSize: number;
  readonly maxPatchSize: number;
}

async function makeParts(options: MakeParts): Promise<DeltaPartEntry[]> {
  const { repo, ends, work, pool, events, maxPartSize, maxPatchSize } = options;
  const store = openStore(repo);
  const directory = join(repo, deltaPath(ends));
  await mkdir(directory, { recursive: true });
  // An older delta under this name must not be taken for whole while its parts are replaced.
  await rm(join(repo, superblockPath(ends)), { force: true });
  await removeStaleTemporaries(directory);
  await syncDirectory(directory);

  const writer = createPartWriter({ repo, ends, concurrency: pool.size, maxPartSize });
  const total = work.files.reduce((sum, { facts }) => sum + facts.size, 0);
  let done = 0;
  try {
    for (const { type, checksum } of work.metadata) {
      await writer.addMetadata(type, checksum, await readMetadata(store, checksum, type));
    }
    for await (const object of encodeFiles(store, work.files, { pool, maxPatchSize })) {
      await writer.addObject(object);
      done += object.content.size;
      events({ type: 'progress', stage: 'delta', what: 'content', done, total, unit: 'bytes' });
    }
    return await writer.finish();
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

/** Removes parts that an older delta under the same name had beyond these. */
async function removeSurplus(directory: string, parts: number): Promise<void> {
  for (const name of await readdir(directory)) {
    if (/^\d+$/.test(name) && Number(name) >= parts) await rm(join(directory, name));
  }
}

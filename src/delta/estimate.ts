/**
 * What a delta would be worth, known before it is made: every changed file is read once and matched roughly, nothing
 * is compressed hard and nothing is written. The factors were measured; docs/update-cost.md tells how well they do.
 */
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import type { EventSink } from '../core/events.ts';
import { noEvents } from '../core/events.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { readFileIfThere } from '../platform/files.ts';
import type { WorkerPool } from '../platform/workers.ts';
import { commitMetaPath } from '../repo/paths.ts';
import { encodeItem } from './encode.ts';
import type { Resemblance } from './estimate-task.ts';
import { resembleContent } from './estimate-task.ts';
import type { DeltaWork, WorkFile } from './gather.ts';
import { gatherWork } from './gather.ts';
import { DEFAULT_PART_SIZE } from './generate.ts';
import { spliceLarge } from './large-task.ts';
import { MATCH_LIMIT } from './match.ts';
import { COPY_STRIDE } from './patch.ts';
import { MUCH_NOISE, STORED_SHARE, isCompressed } from './similarity.ts';

/** One new file and what the delta is expected to need for it. */
export interface FileEstimate {
  readonly checksum: Checksum;
  /** Every path it stands at in the target, without a leading slash. */
  readonly paths: readonly string[];
  /** Bytes of content. */
  readonly size: number;
  /** Bytes of its `.filez`, which is what a download without the delta costs. */
  readonly storedBytes: number;
  readonly expectedBytes: number;
  /** The old object it would be made from; absent when it is sent as it is. */
  readonly source?: Checksum;
  /** The old file in its place, whether or not anything of it can be used. */
  readonly predecessor?: { readonly checksum: Checksum; readonly size: number };
}

/** What a device takes over from one commit to another, object by object. All sizes in bytes. */
export interface LooseUpdate extends DeltaEnds {
  /** Objects that `to` has and `from` lacks, without the commit. */
  readonly objects: number;
  /** What a device that has `from` downloads without a delta, as in `DeltaInfo`. */
  readonly looseBytes: number;
  /** Requests for that: one an object, and the commit. */
  readonly looseRequests: number;
  /** What those objects and the commit take in the device's bare repository, each in whole blocks of 4 KiB. */
  readonly deviceBytes: number;
}

/** A delta that was not made. */
export interface DeltaEstimate extends LooseUpdate {
  /** Superblock and parts. */
  readonly expectedBytes: number;
  /** Superblock and parts, one request each. */
  readonly deltaRequests: number;
  /** Largest expected first. */
  readonly files: readonly FileEstimate[];
}

export interface EstimateDelta extends DeltaEnds {
  /** Directory of an archive repository that holds both commits whole. */
  readonly repo: string;
  readonly pool: WorkerPool;
  readonly events?: EventSink;
  /** What `gatherWork` says of the same two commits, where it is known already. */
  readonly work?: DeltaWork;
}

/** A message to a worker carries about this much content, so that its cost is spread over many small files. */
const BATCH_BYTES = 1 << 20;
const BATCH_ITEMS = 128;

/** One that deflate brings below this share is ordinary content, of which xz makes still less. */
const EASY_SHARE = 0.6;

/**
 * What xz makes of content that is sent as it is, as a share of the `.filez`: files that lie beside their like
 * compress together. Measured: 0.54 where most are kernel modules, 0.65 for programs and libraries.
 */
const RAW_FACTOR = 0.6;

/**
 * What a patch costs in the part, as a share of what the rough one deflates to: the real matcher finds more, and
 * xz does better. Measured: 0.56 where patches are a sixth of the stored files, 0.64 where they are three quarters.
 */
const PATCH_FACTOR = 0.55;
const PATCH_FACTOR_SLOPE = 0.1;

/** Entry in the superblock and operations of one object; source checksum and operations of a changed file. */
const OBJECT_COST = 40;
const SOURCE_COST = 36;

/** dirtree and dirmeta objects are mostly checksums, which xz leaves as they are. */
const METADATA_FACTOR = 0.8;

/** A superblock without its objects, the commit and its signatures; an entry for one part. */
const SUPERBLOCK_COST = 300;
const PART_COST = 130;

/** Payload of a changed file in its part, as a multiple of what it compresses to: differences are mostly zeros. */
const PAYLOAD_RATIO = 64;

function isLarge({ facts, sources }: WorkFile): boolean {
  return facts.size + Math.max(0, ...sources.map(({ size }) => size)) > MATCH_LIMIT;
}

function* batches(files: readonly WorkFile[]): Generator<readonly WorkFile[]> {
  let open: WorkFile[] = [];
  let bytes = 0;
  for (const file of files) {
    open.push(file);
    bytes += file.facts.size;
    if (bytes <= BATCH_BYTES && open.length < BATCH_ITEMS) continue;
    yield open;
    open = [];
    bytes = 0;
  }
  if (open.length > 0) yield open;
}

/** Resemblance of a file that is not held in memory: what chunks of the old one do not give is sent. */
async function resembleLarge(
  repo: string,
  { checksum, facts, sources }: WorkFile,
  pool: WorkerPool,
): Promise<Resemblance | undefined> {
  const source = sources[0]?.checksum;
  if (source === undefined) return undefined;
  const copies = await pool.run(spliceLarge, { repo, checksum, source });
  let literals = 0;
  for (let i = 0; i < copies.length; i += COPY_STRIDE) if (copies[i + 1] !== 1) literals += copies[i] ?? 0;
  return { source, deflatedPatch: (literals / facts.size) * facts.header.storedSize };
}

/**
 * What a delta is expected to need for one file, in bytes: as it is, or as a patch that deflates to `deflatedPatch`,
 * whichever is less.
 */
export function expectCost(
  size: number,
  stored: number,
  deflatedPatch: number | undefined,
): { readonly expectedBytes: number; readonly patched: boolean } {
  if (size === 0) return { expectedBytes: OBJECT_COST, patched: false };
  const hardness = Math.min(1, Math.max(0, (stored / size - EASY_SHARE) / (STORED_SHARE - EASY_SHARE)));
  const raw = Math.min(size, stored) * (RAW_FACTOR + (1 - RAW_FACTOR) * hardness);
  if (deflatedPatch !== undefined) {
    const share = Math.min(1, deflatedPatch / Math.max(1, stored));
    const factor = isCompressed({ size, storedBytes: stored })
      ? 1
      : PATCH_FACTOR + PATCH_FACTOR_SLOPE * share;
    const patch = SOURCE_COST + factor * deflatedPatch;
    if (patch < raw) return { expectedBytes: OBJECT_COST + Math.round(patch), patched: true };
  }
  return { expectedBytes: OBJECT_COST + Math.round(raw), patched: false };
}

function estimateFile(
  { checksum, paths, facts, sources, members = [] }: WorkFile,
  found: Resemblance | undefined,
): FileEstimate {
  const storedBytes = facts.header.storedSize;
  // Members are sent as files of their own.
  const size = members.reduce((rest, member) => rest - member.size, facts.size);
  const stored = members.length === 0 ? storedBytes : storedBytes * (size / facts.size);
  const { expectedBytes, patched } = expectCost(size, stored, found?.deflatedPatch);
  const [first] = sources;
  return {
    checksum,
    paths,
    size: facts.size,
    storedBytes,
    expectedBytes,
    ...(patched && found !== undefined ? { source: found.source } : {}),
    ...(first === undefined ? {} : { predecessor: { checksum: first.checksum, size: first.size } }),
  };
}

/**
 * Parts such files fill: an archive with its members has one, as has each large file; of the others, what compresses,
 * patches, and what does not compress go into different ones. Directory objects make that at least one.
 */
function expectedParts(files: readonly FileEstimate[], planned: readonly WorkFile[]): number {
  const archives = planned.filter(({ members }) => members !== undefined);
  const together = new Set(
    archives.flatMap(({ checksum, members = [] }) => [checksum, ...members.map((member) => member.checksum)]),
  );
  let alone = archives.length;
  const payload = { strong: 1, patch: 0, fast: 0, stored: 0 };
  for (const file of files) {
    const { checksum, size, expectedBytes, source } = file;
    if (together.has(checksum)) continue;
    if (size > DEFAULT_PART_SIZE / 2) alone++;
    else if (source !== undefined) payload.patch += Math.min(size, PAYLOAD_RATIO * expectedBytes);
    else if (!isCompressed(file)) payload.strong += size;
    else payload[size < MUCH_NOISE ? 'fast' : 'stored'] += size;
  }
  return Object.values(payload).reduce((sum, size) => sum + Math.ceil(size / DEFAULT_PART_SIZE), alone);
}

/** Blocks of the usual file systems, in bytes. */
const BLOCK = 4096;

function inBlocks(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}

/** A commit without signatures has no detached metadata. */
async function signatureSize(repo: string, commit: Checksum): Promise<number> {
  return (await readFileIfThere(join(repo, commitMetaPath(commit))))?.length ?? 0;
}

function measure(ends: DeltaEnds, { metadata, files, commitSize, looseBytes }: DeltaWork): LooseUpdate {
  const sizes = [...metadata.map(({ size }) => size), commitSize, ...files.map(({ facts }) => facts.size)];
  return {
    ...ends,
    objects: metadata.length + files.length,
    looseBytes,
    looseRequests: metadata.length + files.length + 1,
    // A symlink's target lies in its inode.
    deviceBytes: sizes.reduce((sum, size) => sum + inBlocks(size), 0),
  };
}

/** What an update without a delta takes, from stored sizes. */
export async function measureUpdate(repo: string, ends: DeltaEnds, pool: WorkerPool): Promise<LooseUpdate> {
  return measure(ends, await gatherWork(repo, ends, pool));
}

/**
 * Estimates the delta from `from`, or from nothing, to `to`. Reads every changed file and its sources once, on all
 * workers; new files are judged by their stored size alone. Nothing is written.
 */
export async function estimateDelta(options: EstimateDelta): Promise<DeltaEstimate> {
  const { repo, from, to, pool, events = noEvents } = options;
  const ends: DeltaEnds = from === undefined ? { to } : { from, to };
  const work = options.work ?? (await gatherWork(repo, ends, pool));

  const found = new Map<Checksum, Resemblance>();
  const changed = work.files.filter(({ sources }) => sources.length > 0);
  const total = changed.reduce((sum, { facts }) => sum + facts.size, 0);
  let done = 0;
  const learn = (file: WorkFile, resemblance: Resemblance | undefined): void => {
    if (resemblance !== undefined) found.set(file.checksum, resemblance);
    done += file.facts.size;
    events({ type: 'progress', stage: 'delta', what: 'estimate', done, total, unit: 'bytes' });
  };
  await Promise.all([
    ...changed.filter(isLarge).map(async (file) => learn(file, await resembleLarge(repo, file, pool))),
    ...[...batches(changed.filter((file) => !isLarge(file)))].map(async (files) => {
      const answers = await pool.run(resembleContent, { repo, items: files.map(encodeItem) });
      files.forEach((file, i) => learn(file, answers[i]));
    }),
  ]);

  const files = work.files
    .map((file) => estimateFile(file, found.get(file.checksum)))
    .sort((a, b) => b.expectedBytes - a.expectedBytes || (a.checksum < b.checksum ? -1 : 1));
  const metadataBytes = work.metadata.reduce((sum, { size }) => sum + size, 0);
  const contentBytes = files.reduce((sum, { expectedBytes }) => sum + expectedBytes, 0);
  const parts = expectedParts(files, work.files);
  const superblock = SUPERBLOCK_COST + work.commitSize + (await signatureSize(repo, to)) + PART_COST * parts;
  return {
    ...measure(ends, work),
    expectedBytes:
      superblock +
      contentBytes +
      OBJECT_COST * work.metadata.length +
      Math.round(METADATA_FACTOR * metadataBytes),
    deltaRequests: 1 + parts,
    files,
  };
}

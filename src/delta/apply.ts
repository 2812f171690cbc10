/**
 * Applies a static delta to an archive repository, as a client would. Objects are staged and become visible
 * together, the commit last: a run that ends early leaves nothing behind that the next one has to care about.
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError, isTreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import type { Vardict } from '../formats/gvariant.ts';
import { lookup, vardict } from '../formats/gvariant.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaName, deltaPath } from '../formats/ostree-delta-index.ts';
import type { DeltaObject, DeltaPartEntry, Superblock } from '../formats/ostree-delta.ts';
import { writeFileAtomic } from '../platform/files.ts';
import { openStore } from '../platform/store.ts';
import type { WorkerPool } from '../platform/workers.ts';
import { commitMetaPath, objectPath } from '../repo/paths.ts';
import { isPartial, partialMarkerPath, requireWhole } from '../repo/partial.ts';
import { listObjects } from '../repo/read.ts';
import type { Transaction, TransactionStats } from '../repo/transaction.ts';
import { beginTransaction } from '../repo/transaction.ts';
import type { MadeObject } from './execute.ts';
import { executePart } from './execute.ts';
import type { OpenedDelta } from './read.ts';
import { blameDelta, corruptDelta, openPart } from './read.ts';
import { sourceReader } from './sources.ts';
import { objectKey } from './verify.ts';

export interface ApplyDelta {
  /** Directory of an archive repository. The caller holds its lock. */
  readonly repo: string;
  readonly delta: OpenedDelta;
  readonly pool: WorkerPool;
  readonly events: EventSink;
}

export interface AppliedDelta extends DeltaEnds, TransactionStats {
  /** True when the repository had the commit whole already, and nothing was done. */
  readonly present: boolean;
  readonly parts: {
    readonly total: number;
    /** Parts whose objects were all there. */
    readonly skipped: number;
  };
}

/** The detached metadata of the commit that a delta brings along. */
export function deltaCommitMeta({ metadata, ...ends }: Superblock): Vardict | undefined {
  return lookup(metadata, `${deltaPath(ends)}/commitmeta`, 'a{sv}') as Vardict | undefined;
}

/**
 * Makes the commit `to` of a delta in a repository that has `from`. Every object is checked against its checksum
 * before it gets its name, and the commit against all it reaches. Throws `input/missing-commit`,
 * `input/partial-commit`, `input/missing-fallback`, `trust/corrupt-delta`.
 */
export async function applyDelta({ repo, delta, pool, events }: ApplyDelta): Promise<AppliedDelta> {
  const { superblock } = delta;
  const { from, to, parts } = superblock;
  const ends: DeltaEnds = from === undefined ? { to } : { from, to };
  const name = deltaName(ends);
  const has = ({ type, checksum }: DeltaObject): boolean =>
    existsSync(join(repo, objectPath(checksum, type)));
  if (has({ type: 'commit', checksum: to }) && !(await isPartial(repo, to))) {
    const none = { objects: { total: 0, written: 0 }, bytes: { content: 0, written: 0 } };
    return { ...ends, ...none, present: true, parts: { total: parts.length, skipped: parts.length } };
  }
  if (from !== undefined) await requireWhole(repo, from);
  requireFallbacks(repo, superblock, has);

  const transaction = await beginTransaction({ repo, pool });
  const made = new Set<string>();
  let skipped = 0;
  try {
    const sources = sourceReader(openStore(repo), (checksum) => {
      if (has({ type: 'file', checksum })) return;
      throw corruptDelta(name, `it reads from the object ${checksum}, which ${repo} does not have`);
    });
    try {
      for (const [i, entry] of parts.entries()) {
        // As for libostree: a part that can tell nothing new is not looked at.
        if (entry.objects.every(has)) skipped++;
        else {
          await blameDelta(name, `part ${i}`, () =>
            runPart(delta, i, entry, transaction, sources.open, made),
          );
        }
        events({
          type: 'progress',
          stage: 'delta',
          what: 'parts',
          done: i + 1,
          total: parts.length,
          unit: 'items',
        });
      }
    } finally {
      sources.close();
    }
    await transaction.putMetadata('commit', superblock.commit);
    await checkComplete(transaction, superblock, made, has);
    const stats = await publish(repo, transaction, superblock);
    return { ...ends, ...stats, present: false, parts: { total: parts.length, skipped } };
  } catch (error) {
    await transaction.abort();
    throw error;
  }
}

/** What a delta leaves to other fetches must have come before. */
function requireFallbacks(repo: string, superblock: Superblock, has: (object: DeltaObject) => boolean): void {
  const missing = superblock.fallbacks.filter((fallback) => !has(fallback));
  const [first] = missing;
  if (first === undefined) return;
  const bytes = missing.reduce((sum, { size }) => sum + size, 0);
  throw new TreewrightError(
    'input/missing-fallback',
    `static delta ${deltaName(superblock)} leaves ${superblock.fallbacks.length} objects to an ordinary fetch, and ` +
      `${repo} lacks ${missing.length} of them with ${bytes} bytes, the first is ${first.checksum}: ` +
      'fetch them first, or make the delta without --min-fallback-size',
    { data: { repo, missing: missing.length, bytes } },
  );
}

async function runPart(
  delta: OpenedDelta,
  index: number,
  entry: DeltaPartEntry,
  transaction: Transaction,
  openSource: (checksum: Checksum) => ReturnType<Parameters<typeof executePart>[0]['openSource']>,
  made: Set<string>,
): Promise<void> {
  const part = await openPart(delta, index, entry);
  try {
    for await (const object of executePart({ entry, part, openSource })) {
      const checksum = await store(transaction, object);
      if (checksum !== object.object.checksum) {
        throw new TreewrightError(
          'internal/checksum',
          `object ${object.object.checksum} was stored as ${checksum}`,
        );
      }
      made.add(objectKey(object.object));
    }
  } finally {
    part.close();
  }
}

async function store(transaction: Transaction, made: MadeObject): Promise<Checksum> {
  switch (made.kind) {
    case 'metadata':
      return transaction.putMetadata(made.object.type, made.bytes);
    case 'symlink':
      return transaction.putSymlink(made.stat, made.target);
    case 'file':
      return (await transaction.put(made.stat, made.size, made.chunks)).checksum;
  }
}

/** The commit must reach what was made and nothing that is neither made nor there. */
async function checkComplete(
  transaction: Transaction,
  superblock: Superblock,
  made: ReadonlySet<string>,
  has: (object: DeltaObject) => boolean,
): Promise<void> {
  const name = deltaName(superblock);
  const { dirtrees, dirmetas, files } = await transaction
    .staged()
    .then((staged) => listObjects(staged, superblock.to))
    .catch((error: unknown) => {
      if (isTreewrightError(error) && error.code === 'trust/missing-object') {
        throw corruptDelta(
          name,
          `it does not bring everything that its commit needs: ${error.message}`,
          error,
        );
      }
      throw error;
    });
  const reached = new Set<string>([objectKey({ type: 'commit', checksum: superblock.to })]);
  const reach = (type: DeltaObject['type'], checksums: Iterable<Checksum>): void => {
    for (const checksum of checksums) {
      const object = { type, checksum };
      reached.add(objectKey(object));
      if (made.has(objectKey(object)) || has(object)) continue;
      throw corruptDelta(name, `it lacks the ${type} object ${checksum}, which its commit needs`);
    }
  };
  reach('dirtree', dirtrees);
  reach('dirmeta', dirmetas);
  reach('file', files.keys());
  for (const key of made) {
    if (!reached.has(key)) throw corruptDelta(name, `it makes the object ${key}, which is not needed`);
  }
}

/** Detached metadata first: whoever sees the commit finds its signatures. */
async function publish(
  repo: string,
  transaction: Transaction,
  superblock: Superblock,
): Promise<TransactionStats> {
  const commitMeta = deltaCommitMeta(superblock);
  if (commitMeta !== undefined) {
    await writeFileAtomic(join(repo, commitMetaPath(superblock.to)), vardict.encode([...commitMeta]));
  }
  const stats = await transaction.flush();
  await rm(join(repo, partialMarkerPath(superblock.to)), { force: true });
  return stats;
}

/** Finds sources for files that were moved or renamed and changed as well: by what they hold, not by their names. */
import type { Checksum } from '../core/checksum.ts';
import type { WorkerPool } from '../platform/workers.ts';
import type { ReachableObjects } from '../repo/read.ts';
import { MAX_CANDIDATES, MAX_SIZE_RATIO } from './plan.ts';
import { sketchContent } from './sketch-task.ts';

/** A content object and its size in bytes. */
export interface SizedObject {
  readonly checksum: Checksum;
  readonly size: number;
}

/** Content that a message to a worker is about, in bytes. */
const BATCH_BYTES = 4 << 20;

/** Larger files are not held in memory to be looked at. */
const MAX_SIZE = 64_000_000;

/** Hashes of a sketch that two contents must share to be worth comparing. */
const MIN_SHARED = 4;

/** Objects of `from` that `to` lacks and none of whose paths `to` has: what was removed, or went elsewhere. */
export function departedFiles(from: ReachableObjects, to: ReachableObjects): Checksum[] {
  const present = new Set<string>();
  for (const paths of to.files.values()) for (const path of paths) present.add(path);
  return [...from.files]
    .filter(([checksum, paths]) => !to.files.has(checksum) && !paths.some((path) => present.has(path)))
    .map(([checksum]) => checksum);
}

/** Those of `objects` that are not too large or too small to be a source for one of `others`, or a few more. */
function ofLikeSize(objects: readonly SizedObject[], others: readonly SizedObject[]): SizedObject[] {
  const magnitude = ({ size }: SizedObject): number => Math.floor(Math.log2(size));
  const reach = Math.log2(MAX_SIZE_RATIO);
  const near = new Set<number>();
  for (const other of others) {
    for (let step = -reach; step <= reach; step++) near.add(magnitude(other) + step);
  }
  return objects.filter((object) => near.has(magnitude(object)));
}

async function sketchAll(
  repo: string,
  objects: readonly SizedObject[],
  pool: WorkerPool,
): Promise<Map<Checksum, Uint32Array>> {
  const batches: SizedObject[][] = [];
  let bytes = Infinity;
  for (const object of objects) {
    if (object.size > MAX_SIZE) continue;
    if (bytes + object.size > BATCH_BYTES) {
      batches.push([]);
      bytes = 0;
    }
    batches.at(-1)?.push(object);
    bytes += object.size;
  }
  const found = new Map<Checksum, Uint32Array>();
  const answers = await Promise.all(batches.map((items) => pool.run(sketchContent, { repo, items })));
  for (const [i, sketches] of answers.entries()) {
    for (const [j, sketch] of sketches.entries()) {
      const object = batches[i]?.[j];
      if (object !== undefined) found.set(object.checksum, sketch);
    }
  }
  return found;
}

/** For each of `orphans` the objects of `departed` that share most with it, best first; nothing for most. */
export async function findRenamed(
  repo: string,
  orphans: readonly SizedObject[],
  departed: readonly SizedObject[],
  pool: WorkerPool,
): Promise<ReadonlyMap<Checksum, readonly Checksum[]>> {
  const found = new Map<Checksum, readonly Checksum[]>();
  if (orphans.length === 0 || departed.length === 0) return found;
  const [old, fresh] = await Promise.all([
    sketchAll(repo, ofLikeSize(departed, orphans), pool),
    sketchAll(repo, orphans, pool),
  ]);
  const holders = new Map<number, Checksum[]>();
  for (const [checksum, sketch] of old) {
    for (const hash of sketch) {
      const list = holders.get(hash);
      if (list) list.push(checksum);
      else holders.set(hash, [checksum]);
    }
  }
  for (const [checksum, sketch] of fresh) {
    const shared = new Map<Checksum, number>();
    for (const hash of sketch) {
      for (const holder of holders.get(hash) ?? []) shared.set(holder, (shared.get(holder) ?? 0) + 1);
    }
    const best = [...shared]
      .filter(([, count]) => count >= MIN_SHARED)
      .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
      .slice(0, MAX_CANDIDATES);
    if (best.length > 0)
      found.set(
        checksum,
        best.map(([holder]) => holder),
      );
  }
  return found;
}

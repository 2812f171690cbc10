/** The deltas a repository has: listing, the digests a summary names, and the delta indexes. */
import { createHash } from 'node:crypto';
import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { compareBytes } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import { checksumToBytes } from '../core/checksum.ts';
import { systemErrorCode } from '../core/errors.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import {
  checksumFromBase64,
  deltaEndsFromPath,
  deltaIndexPath,
  deltaName,
  deltaPath,
  encodeDeltaIndex,
  superblockPath,
} from '../formats/ostree-delta-index.ts';
import { readFileIfThere, removeStaleTemporaries, writeFileAtomic } from '../platform/files.ts';

export interface ListedDelta extends DeltaEnds {
  /** `<from>-<to>` or `<to>`. */
  readonly name: string;
  /** Directory relative to the repository. */
  readonly path: string;
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}

/** Every directory below `deltas/` that is named like a delta, sorted; one without a superblock is unfinished. */
export async function listDeltaDirectories(
  repo: string,
): Promise<(ListedDelta & { readonly finished: boolean })[]> {
  const found: (ListedDelta & { readonly finished: boolean })[] = [];
  for (const prefix of await namesIn(join(repo, 'deltas'))) {
    for (const rest of await namesIn(join(repo, 'deltas', prefix))) {
      const ends = deltaEndsFromPath(prefix, rest);
      if (ends === undefined) continue;
      const path = deltaPath(ends);
      const finished = (await namesIn(join(repo, path))).includes('superblock');
      found.push({ ...ends, name: deltaName(ends), path, finished });
    }
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Every delta of the repository that has a superblock, sorted by name. Without `deltas/` there are none. */
export async function listDeltas(repo: string): Promise<ListedDelta[]> {
  const directories = await listDeltaDirectories(repo);
  return directories.flatMap(({ from, to, name, path, finished }) =>
    finished ? [{ ...(from === undefined ? {} : { from }), to, name, path }] : [],
  );
}

/** Removes a delta, its superblock first: without it clients do not know of the rest. */
export async function removeDelta(repo: string, path: string): Promise<void> {
  await rm(join(repo, path, 'superblock'), { force: true });
  await rm(join(repo, path), { recursive: true, force: true });
}

/** Which deltas are told of; all of them when there is no such rule. */
export type DeltaFilter = (ends: DeltaEnds) => boolean;

/** Name and SHA-256 of the superblock of every delta, as a summary lists them. */
export async function deltaDigests(
  repo: string,
  listed: DeltaFilter = () => true,
): Promise<(readonly [string, Checksum])[]> {
  const digests: (readonly [string, Checksum])[] = [];
  for (const { name, ...ends } of (await listDeltas(repo)).filter(listed)) {
    const superblock = await readFile(join(repo, superblockPath(ends)));
    digests.push([name, createHash('sha256').update(superblock).digest('hex') as Checksum]);
  }
  return digests;
}

/** What `writeDeltaIndexes` did. */
export interface IndexChanges {
  readonly written: number;
  readonly removed: number;
}

/**
 * Brings `delta-indexes/` in line with the deltas that are there: one file for each target commit. Files that
 * are right already are not touched; indexes of targets without a delta are removed. Clients look at an index
 * only when the repository's config has `core.indexed-deltas` or the summary says `ostree.summary.indexed-deltas`.
 */
export async function writeDeltaIndexes(
  repo: string,
  listed: DeltaFilter = () => true,
): Promise<IndexChanges> {
  const byTarget = new Map<Checksum, Parameters<typeof encodeDeltaIndex>[0][number][]>();
  const digests = new Map(await deltaDigests(repo, listed));
  for (const { from, to, name } of await listDeltas(repo)) {
    const digest = digests.get(name);
    if (digest === undefined) continue;
    const entry = { ...(from === undefined ? {} : { from }), to, digest: checksumToBytes(digest) };
    const list = byTarget.get(to);
    if (list) list.push(entry);
    else byTarget.set(to, [entry]);
  }

  let written = 0;
  for (const [to, deltas] of byTarget) {
    const path = join(repo, deltaIndexPath(to));
    const bytes = encodeDeltaIndex(deltas);
    const present = await readFileIfThere(path);
    if (present !== undefined && compareBytes(present, bytes) === 0) continue;
    await writeFileAtomic(path, bytes);
    written++;
  }

  let removed = 0;
  const root = join(repo, 'delta-indexes');
  for (const prefix of await namesIn(root)) {
    if (prefix.length === 2) await removeStaleTemporaries(join(root, prefix));
    for (const rest of await namesIn(join(root, prefix))) {
      const to = rest.endsWith('.index') ? checksumFromBase64(prefix + rest.slice(0, -6)) : undefined;
      if (to === undefined || byTarget.has(to)) continue;
      await rm(join(root, prefix, rest));
      removed++;
    }
  }
  return { written, removed };
}

/** Deltas that lead to old releases, or whose commits are gone: first nothing names them any more, then they go. */
import type { Checksum } from '../core/checksum.ts';
import { isTreewrightError } from '../core/errors.ts';
import type { DeltaFilter } from '../delta/list.ts';
import { listDeltaDirectories, removeDelta } from '../delta/list.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaName } from '../formats/ostree-delta-index.ts';
import { openStore } from '../platform/store.ts';
import { readMetadata } from '../repo/read.ts';
import type { ReleaseEntry } from './catalog.ts';

export interface KeepRules {
  readonly repo: string;
  /** Published releases, oldest first, without the one being made. */
  readonly releases: readonly ReleaseEntry[];
  /** Releases of each branch that keep their deltas, the one being made included. */
  readonly keep: number;
  /** The release being made: its branch, and the deltas it publishes. */
  readonly branch: string;
  readonly commit: Checksum;
  readonly published: readonly DeltaEnds[];
}

/**
 * Which deltas stay: those of the new release, and those that lead to the newest before it. A delta between commits
 * of which no release is told belongs to somebody else and stays as long as both are there.
 */
export async function keptDeltas(rules: KeepRules): Promise<DeltaFilter> {
  const { repo, releases, keep, branch, commit, published } = rules;
  const ours = new Set(published.map(deltaName));
  const kept = new Set<Checksum>();
  for (const name of new Set(releases.map((release) => release.branch))) {
    const places = name === branch ? keep - 1 : keep;
    const newest = releases.filter((release) => release.branch === name).slice(-places);
    for (const release of newest) kept.add(release.commit);
  }
  const known = new Set(releases.map((release) => release.commit));
  const present = new Map<Checksum, boolean>();
  const remember = async (checksum: Checksum): Promise<void> => {
    if (present.has(checksum)) return;
    try {
      await readMetadata(openStore(repo), checksum, 'commit');
      present.set(checksum, true);
    } catch (error) {
      if (!isTreewrightError(error)) throw error;
      present.set(checksum, false);
    }
  };
  for (const { from, to } of await listDeltaDirectories(repo)) {
    await remember(to);
    if (from !== undefined) await remember(from);
  }
  return ({ from, to }) => {
    if (to === commit) return ours.has(deltaName({ from, to }));
    if (known.has(to) && !kept.has(to)) return false;
    return present.get(to) === true && (from === undefined || present.get(from) === true);
  };
}

/** Removes every delta that `kept` refuses; neither summary nor index may name one any more. Answers how many. */
export async function removeStaleDeltas(repo: string, kept: DeltaFilter): Promise<number> {
  const stale = (await listDeltaDirectories(repo)).filter((delta) => !kept(delta));
  for (const { path } of stale) await removeDelta(repo, path);
  return stale.length;
}

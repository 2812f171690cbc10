/** One writer at a time in a repository that may be part of a release directory. */
import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { EventSink } from '../core/events.ts';
import { acquireLock } from '../platform/lock.ts';
import { removeStaleStaging } from '../repo/transaction.ts';
import { waitForLock } from './events.ts';

/** The release directory that a repository belongs to, if any. */
export function releaseDirectoryOf(repo: string): string | undefined {
  const path = resolve(repo);
  const parent = dirname(path);
  return basename(path) === 'ostree' && existsSync(join(parent, 'tuf')) ? parent : undefined;
}

/** Runs `work` while nobody else writes to the repository; clears what a killed run left there first. */
export async function withRepository<T>(repo: string, events: EventSink, work: () => Promise<T>): Promise<T> {
  const release = releaseDirectoryOf(repo);
  const outer =
    release === undefined
      ? undefined
      : await acquireLock(join(release, '.treewright.lock'), waitForLock(events, 'release'));
  try {
    const lock = await acquireLock(join(repo, 'treewright.lock'), waitForLock(events, 'repo'));
    try {
      await removeStaleStaging(repo);
      return await work();
    } finally {
      await lock.release();
    }
  } finally {
    await outer?.release();
  }
}

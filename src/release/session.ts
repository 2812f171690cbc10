/** What every command that writes a release directory needs: the lock, the keys, what is published already. */
import { join } from 'node:path';
import type { Config } from '../config/types.ts';
import type { EventSink } from '../core/events.ts';
import { TreewrightError } from '../core/errors.ts';
import type { TufTarget } from '../formats/tuf.ts';
import { acquireLock } from '../platform/lock.ts';
import { removeStaleTemporaries } from '../platform/files.ts';
import { openStore } from '../platform/store.ts';
import type { WorkerPool } from '../platform/workers.ts';
import { createWorkerPool } from '../platform/workers.ts';
import { ensureRepository } from '../repo/repository.ts';
import { removeStaleStaging } from '../repo/transaction.ts';
import type { RoleSigners } from '../trust/keys.ts';
import { loadSigners } from '../trust/keys.ts';
import type { TufState } from '../trust/tuf-update.ts';
import { readTufState } from '../trust/tuf-verify.ts';
import type { ReleaseEntry, Targets } from './catalog.ts';
import { listReleases } from './catalog.ts';
import { waitForLock } from './events.ts';
import { removeStaleReleaseDirectories } from './release-files.ts';

export interface SessionOptions {
  readonly config: Config;
  /** Overrides the configuration's output. */
  readonly output?: string;
  readonly events: EventSink;
  readonly now: Date;
}

export interface ReleaseSession {
  readonly config: Config;
  readonly events: EventSink;
  readonly now: Date;
  /** The release directory. */
  readonly output: string;
  readonly repo: string;
  readonly pool: WorkerPool;
  readonly signers: RoleSigners;
  readonly tuf: TufState | undefined;
  readonly targets: Targets;
  /** Published releases, oldest first. */
  readonly releases: readonly ReleaseEntry[];
}

/** Runs `work` while holding the release directory; clears what a killed run left there first. */
export async function withSession<T>(
  options: SessionOptions,
  work: (session: ReleaseSession) => Promise<T>,
): Promise<T> {
  const { config, events, now } = options;
  const output = options.output ?? config.output;
  const repo = join(output, 'ostree');
  const tufDirectory = join(output, 'tuf');
  const lock = await acquireLock(join(output, '.treewright.lock'), waitForLock(events, 'release'));
  const pool = createWorkerPool();
  try {
    const tuf = await readTufState(openStore(tufDirectory));
    const targets = tuf?.published?.targets.signed.targets ?? new Map<string, TufTarget>();
    const releases = listReleases(targets);
    checkSameProduct(config, releases, output);
    // The root key may be kept away from the build machine once the root exists.
    const signers = await loadSigners(config.signing.keys, [
      'ostree',
      'targets',
      'snapshot',
      'timestamp',
      ...(tuf === undefined ? (['root'] as const) : []),
    ]);

    await ensureRepository(repo);
    await removeStaleStaging(repo);
    await removeStaleReleaseDirectories(output);
    for (const directory of [repo, join(repo, 'refs/heads'), tufDirectory, join(output, 'apps')]) {
      await removeStaleTemporaries(directory);
    }
    return await work({ config, events, now, output, repo, pool, signers, tuf, targets, releases });
  } finally {
    await pool.close();
    await lock.release();
  }
}

/** One directory serves one product on one machine: versions, branch and TUF targets are all named by it. */
function checkSameProduct(config: Config, releases: readonly ReleaseEntry[], output: string): void {
  const other = releases.find(
    ({ product, machine }) => product !== config.product || machine !== config.machine,
  );
  if (other === undefined) return;
  throw new TreewrightError(
    'config/other-product',
    `${output} holds releases of ${other.product} for ${other.machine}; ${config.file} is for ${config.product} ` +
      `on ${config.machine}: give each its own output directory`,
    { data: { output, product: other.product, machine: other.machine } },
  );
}

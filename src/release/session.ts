/** What every command that writes a release directory needs: the lock, the keys, what is published already. */
import { join } from 'node:path';
import type { Config } from '../config/types.ts';
import type { EventSink } from '../core/events.ts';
import { TreewrightError } from '../core/errors.ts';
import type { TufDocument, TufRoot, TufTarget } from '../formats/tuf.ts';
import { TUF_SIZE_LIMITS, decodeTufFile } from '../formats/tuf.ts';
import { acquireLock } from '../platform/lock.ts';
import { readFileIfThere, removeStaleTemporaries } from '../platform/files.ts';
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
  /** Called before a pointer moves; what it throws stops the work with nothing published. */
  readonly checkpoint?: () => void;
}

export interface ReleaseSession {
  readonly config: Config;
  readonly events: EventSink;
  readonly now: Date;
  readonly checkpoint: () => void;
  /** The release directory. */
  readonly output: string;
  readonly repo: string;
  readonly pool: WorkerPool;
  readonly signers: RoleSigners;
  readonly tuf: TufState | undefined;
  /** A root that exists beside the keys while nothing is published under it yet. */
  readonly trustedRoot: TufDocument<TufRoot> | undefined;
  readonly targets: Targets;
  /** Published releases, oldest first. */
  readonly releases: readonly ReleaseEntry[];
}

/** Runs `work` while holding the release directory; clears what a killed run left there first. */
export async function withSession<T>(
  options: SessionOptions,
  work: (session: ReleaseSession) => Promise<T>,
): Promise<T> {
  const { config, events, now, checkpoint = () => undefined } = options;
  const output = options.output ?? config.output;
  const repo = join(output, 'ostree');
  const tufDirectory = join(output, 'tuf');
  const lock = await acquireLock(join(output, '.treewright.lock'), waitForLock(events, 'release'));
  const pool = createWorkerPool();
  try {
    const trustedFile = join(config.signing.keys, TRUSTED_ROOT);
    const { tuf, trustedRoot } = await readPublished(tufDirectory, trustedFile, events);
    const targets = tuf?.published?.targets.signed.targets ?? new Map<string, TufTarget>();
    const releases = listReleases(targets);
    checkSameProduct(config, releases, output);
    // The root key may be kept away from the build machine once the root exists.
    const signers = await loadSigners(config.signing.keys, [
      'ostree',
      'targets',
      'snapshot',
      'timestamp',
      ...(tuf === undefined && trustedRoot === undefined ? (['root'] as const) : []),
    ]);

    await ensureRepository(repo);
    await removeStaleStaging(repo);
    await removeStaleReleaseDirectories(output);
    for (const directory of [repo, join(repo, 'refs/heads'), tufDirectory, join(output, 'apps')]) {
      await removeStaleTemporaries(directory);
    }
    return await work({
      config,
      events,
      now,
      checkpoint,
      output,
      repo,
      pool,
      signers,
      tuf,
      trustedRoot,
      targets,
      releases,
    });
  } finally {
    await pool.close();
    await lock.release();
  }
}

/** The first TUF root beside the keys: what this project trusts, and what `verify --root` and devices are given. */
export const TRUSTED_ROOT = 'root.json';

export interface Published {
  readonly tuf: TufState | undefined;
  readonly trustedRoot: TufDocument<TufRoot> | undefined;
}

/**
 * What is published already, judged by our own copy of the root: who can write to the release directory alone
 * could else plant a root of his own there, and have his targets signed again with our keys.
 */
export async function readPublished(
  tufDirectory: string,
  trustedFile: string,
  events: EventSink,
): Promise<Published> {
  const store = openStore(tufDirectory);
  const bytes = await readFileIfThere(trustedFile);
  const started = (await store.read('1.root.json', TUF_SIZE_LIMITS.root)) !== undefined;
  if (bytes === undefined) {
    if (!started) return { tuf: undefined, trustedRoot: undefined };
    throw new TreewrightError(
      'trust/no-trusted-root',
      `${tufDirectory} holds TUF metadata, but there is no ${trustedFile} that says whose it is; if it is yours, ` +
        `copy ${join(tufDirectory, '1.root.json')} there`,
      { data: { directory: tufDirectory, file: trustedFile } },
    );
  }
  // Whatever is wrong with our own copy is told under its own name.
  const root = decodeTufFile('root', bytes, trustedFile);
  if (started) return { tuf: await readTufState(store, { trustedRoot: bytes }), trustedRoot: undefined };
  events({
    type: 'diagnostic',
    diagnostic: {
      severity: 'warning',
      code: 'trust/starting-anew',
      message:
        `${tufDirectory} has no metadata, though ${trustedFile} shows that these keys have published before: versions ` +
        'start at 1 again, which devices that have seen later ones refuse',
    },
  });
  return { tuf: undefined, trustedRoot: root };
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

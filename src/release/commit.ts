/** `treewright commit`: one tree into one commit of a repository. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import type { EventSink } from '../core/events.ts';
import { isTreewrightError } from '../core/errors.ts';
import { deltaDigests } from '../delta/list.ts';
import { acquireLock } from '../platform/lock.ts';
import { readFileIfThere, writeFileAtomic } from '../platform/files.ts';
import { openStore } from '../platform/store.ts';
import { createWorkerPool } from '../platform/workers.ts';
import { commitMetadata, writeCommit } from '../repo/commit.ts';
import { checkRefName } from '../repo/paths.ts';
import { readCommit, readRef } from '../repo/read.ts';
import { buildSummary, writeRef } from '../repo/refs.ts';
import { ensureRepository } from '../repo/repository.ts';
import { beginTransaction, removeStaleStaging } from '../repo/transaction.ts';
import { detectSource } from '../sources/detect.ts';
import type { OwnerPolicy, SourceSpec } from '../sources/types.ts';
import type { LayoutName } from '../tree/layout.ts';
import { storeSource } from './store-source.ts';
import { checkNotOlder, commitTimestamp } from './timestamp.ts';
import { waitForLock } from './events.ts';

export interface CommitOptions {
  readonly repo: string;
  readonly branch: string;
  /** Whatever `detectSource` knows: a Buildroot or Yocto output, an archive, a directory. */
  readonly source: string;
  /** The image, where a Yocto deploy directory has several. */
  readonly image?: string;
  readonly layout: LayoutName;
  /** Seconds since 1970. */
  readonly timestamp?: number;
  readonly subject?: string;
  readonly body?: string;
  readonly version?: string;
  readonly owner?: OwnerPolicy;
  /** Keep the branch as it is when the tree and the metadata equal its commit's. */
  readonly skipIfUnchanged?: boolean;
  /** Worker threads; the result does not depend on it. */
  readonly jobs?: number;
  readonly events: EventSink;
  /** Called before the branch moves; what it throws stops the work with the branch as it was. */
  readonly checkpoint?: () => void;
}

export interface CommitReport {
  readonly commit: Checksum;
  readonly branch: string;
  readonly parent?: Checksum;
  /** True when the tree equals that of the branch's previous commit. */
  readonly unchanged: boolean;
  readonly objects: { readonly total: number; readonly written: number };
  readonly bytes: { readonly content: number; readonly written: number };
}

export async function commitSource(options: CommitOptions): Promise<CommitReport> {
  const { repo, branch, source, layout, events } = options;
  checkRefName(branch);
  const spec = await specOf(source, layout, options.image);
  await ensureRepository(repo);
  const lock = await acquireLock(join(repo, 'treewright.lock'), waitForLock(events, 'repo'));
  const pool = createWorkerPool(options.jobs);
  try {
    await removeStaleStaging(repo);
    const store = openStore(repo);
    const parent = await readRef(store, branch);
    const previous = parent === undefined ? undefined : await readCommit(store, parent);
    const timestamp = commitTimestamp(options.timestamp, process.env, new Date());
    if (layout !== 'none') checkNotOlder(timestamp, previous?.timestamp, branch);

    const transaction = await beginTransaction({ repo, pool });
    try {
      const stored = await storeSource({
        spec,
        layout,
        branch,
        transaction,
        events,
        ...(options.owner === undefined ? {} : { owner: options.owner }),
      });
      const { rootTree, rootMeta, kernelRelease } = stored;
      options.checkpoint?.();
      const unchanged = previous?.rootTree === rootTree && previous.rootMeta === rootMeta;
      const metadata = commitMetadata({
        ref: branch,
        ...(options.version === undefined ? {} : { version: options.version }),
        ...(kernelRelease === undefined ? {} : { kernelRelease }),
        ...(kernelRelease === undefined || stored.build.facts.arch === undefined
          ? {}
          : { architecture: stored.build.facts.arch }),
      });
      const skip = unchanged && options.skipIfUnchanged === true;
      const commit =
        skip && parent !== undefined
          ? parent
          : await writeCommit(transaction, {
              metadata,
              ...(parent === undefined ? {} : { parent }),
              subject: options.subject ?? '',
              body: options.body ?? '',
              timestamp,
              rootTree,
              rootMeta,
            });
      const { objects, bytes } = await transaction.flush();
      if (!skip) await publishCommit(repo, branch, commit, timestamp, events);
      events({
        type: 'done',
        stage: 'repo',
        summary: `${objects.written} of ${objects.total} objects written`,
      });
      return { commit, branch, ...(parent === undefined ? {} : { parent }), unchanged, objects, bytes };
    } catch (error) {
      await transaction.abort();
      throw error;
    }
  } finally {
    await pool.close();
    await lock.release();
  }
}

/** With the layout `none` any directory is a tree to commit as it is, whether or not it looks like a root filesystem. */
async function specOf(source: string, layout: LayoutName, image: string | undefined): Promise<SourceSpec> {
  try {
    return await detectSource(source, image);
  } catch (error) {
    if (layout !== 'none' || !isTreewrightError(error) || error.code !== 'input/unknown-source') throw error;
    return { kind: 'rootfs', rootfs: source };
  }
}

/** The summary goes first: whoever reads it finds every object it leads to, whether or not the ref follows. */
async function publishCommit(
  repo: string,
  branch: string,
  commit: Checksum,
  lastModified: number,
  events: EventSink,
): Promise<void> {
  const deltas = await deltaDigests(repo);
  const summary = await buildSummary({ repo, deltas, lastModified, pending: new Map([[branch, commit]]) });
  const signature = join(repo, 'summary.sig');
  if ((await readFileIfThere(signature)) !== undefined) {
    // A signature of another summary would make devices refuse the branch.
    await rm(signature);
    events({
      type: 'diagnostic',
      diagnostic: {
        severity: 'warning',
        code: 'trust/summary-unsigned',
        message:
          `the summary of ${repo} was signed, and this commit is not: summary.sig is removed; ` +
          'a repository that devices trust is written by `treewright release`',
      },
    });
  }
  await writeFileAtomic(join(repo, 'summary'), summary);
  await writeRef(repo, branch, commit);
}

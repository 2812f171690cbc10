/** `treewright delta apply`: brings a commit into a repository by way of a delta. */
import type { Checksum } from '../core/checksum.ts';
import type { EventSink } from '../core/events.ts';
import type { AppliedDelta } from '../delta/apply.ts';
import { applyDelta } from '../delta/apply.ts';
import { createWorkerPool } from '../platform/workers.ts';
import { checkRefName } from '../repo/paths.ts';
import { writeRef } from '../repo/refs.ts';
import { checkRepository } from '../repo/repository.ts';
import { loadSigners } from '../trust/keys.ts';
import type { DeltaChoice } from './delta-open.ts';
import { checkDeltaSignature, openChosen } from './delta-open.ts';
import { withRepository } from './repository-lock.ts';
import { checkSummarySigners, refreshSummary } from './summary.ts';

export interface ApplyDeltaOptions extends DeltaChoice {
  /** The archive repository that gets the commit. */
  readonly repo: string;
  /** A file with the keys that must have signed. */
  readonly publicKey?: string;
  /** A branch that moves to the commit. */
  readonly ref?: string;
  /** The directory with the key of the summary, where that is signed and a branch moves. */
  readonly keys?: string;
  /** Seconds since 1970, for the summary. */
  readonly lastModified: number;
  readonly jobs?: number;
  readonly events: EventSink;
  /** Called before anything is written; what it throws stops the work. */
  readonly checkpoint: () => void;
}

export interface ApplyDeltaReport extends AppliedDelta {
  readonly repo: string;
  readonly ref?: string;
  readonly signed?: 'superblock' | 'commit';
}

export async function applyOneDelta(options: ApplyDeltaOptions): Promise<ApplyDeltaReport> {
  const { repo, publicKey, ref, keys, events, jobs, lastModified } = options;
  await checkRepository(repo);
  if (ref !== undefined) checkRefName(ref);
  const delta = await openChosen({
    ...options,
    ...(options.delta === undefined ? { source: options.source ?? repo } : {}),
  });
  const signed = publicKey === undefined ? undefined : await checkDeltaSignature(delta, publicKey);
  const signers = keys === undefined ? [] : (await loadSigners(keys, ['ostree'])).ostree;
  if (ref !== undefined) await checkSummarySigners(repo, signers);
  options.checkpoint();
  return withRepository(repo, events, async () => {
    events({ type: 'stage', stage: 'delta', title: 'Applying the static delta' });
    const pool = createWorkerPool(jobs);
    try {
      const applied = await applyDelta({ repo, delta, pool, events });
      // The summary goes first: whoever reads it finds every object it leads to, whether or not the ref follows.
      if (ref !== undefined) {
        const pending = new Map<string, Checksum>([[ref, applied.to]]);
        await refreshSummary({ repo, lastModified, pending, signers });
        await writeRef(repo, ref, applied.to);
      }
      events({ type: 'done', stage: 'delta', summary: `${applied.objects.written} objects written` });
      return {
        repo,
        ...applied,
        ...(ref === undefined ? {} : { ref }),
        ...(signed === undefined ? {} : { signed }),
      };
    } finally {
      await pool.close();
    }
  });
}

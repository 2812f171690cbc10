/** `treewright delta --dry-run`: what a delta would be worth. */
import type { EventSink } from '../core/events.ts';
import type { DeltaEstimate } from '../delta/estimate.ts';
import { estimateDelta } from '../delta/estimate.ts';
import { deltaName } from '../formats/ostree-delta-index.ts';
import { openStore } from '../platform/store.ts';
import { createWorkerPool } from '../platform/workers.ts';
import { checkRepository } from '../repo/repository.ts';
import { resolveEnds } from './revision.ts';

export interface EstimateOptions {
  /** An archive repository. */
  readonly repo: string;
  /** A branch or a commit; without it the delta would be from nothing. */
  readonly from?: string;
  readonly to: string;
  readonly jobs?: number;
  readonly events: EventSink;
}

export interface EstimateReport extends DeltaEstimate {
  readonly repo: string;
  readonly name: string;
  readonly dryRun: true;
}

export async function estimateOneDelta(options: EstimateOptions): Promise<EstimateReport> {
  const { repo, events } = options;
  await checkRepository(repo);
  const ends = await resolveEnds(openStore(repo), options);
  events({ type: 'stage', stage: 'delta', title: 'Estimating the static delta' });
  const pool = createWorkerPool(options.jobs);
  try {
    const estimate = await estimateDelta({ ...ends, repo, pool, events });
    events({ type: 'done', stage: 'delta', summary: 'nothing was written' });
    return { repo, name: deltaName(ends), dryRun: true, ...estimate };
  } finally {
    await pool.close();
  }
}

/** Gathers what the price of an update consists of, once deltas and boot files are there. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import { measureUpdate } from '../delta/estimate.ts';
import { deltaIndexPath } from '../formats/ostree-delta-index.ts';
import { readFileIfThere } from '../platform/files.ts';
import { openStore } from '../platform/store.ts';
import { commitMetaPath } from '../repo/paths.ts';
import { signSummary } from '../trust/ostree-sign.ts';
import type { ReleaseEntry } from './catalog.ts';
import type { BuiltDeltas } from './deltas-step.ts';
import { readManifest } from './read-manifest.ts';
import type { BranchUpdate } from './repository-step.ts';
import { branchSummary } from './repository-step.ts';
import type { ReleaseSession } from './session.ts';
import type { BootCost, UpdateCosts } from './update-cost.ts';
import { updateCosts } from './update-cost.ts';

/** `parent` is the release that most devices have; `update` says how the summary will look. */
export async function measureCosts(
  session: ReleaseSession,
  { plan, made }: BuiltDeltas,
  boot: BootCost,
  parent: ReleaseEntry | undefined,
  update: BranchUpdate,
): Promise<UpdateCosts> {
  const { repo, pool, releases, targets, output } = session;
  const summary = await branchSummary(update);
  const planned = new Set(plan.deltas.map(({ version }) => version));
  const beside = parent === undefined || planned.has(parent.version) ? undefined : parent;
  const bootcsums = new Map<string, Checksum>();
  for (const release of releases) {
    if (!planned.has(release.version) && release !== beside) continue;
    const { boot: before } = await readManifest(openStore(output), targets, release);
    if (before !== undefined) bootcsums.set(release.version, before.bootcsum);
  }
  const loose =
    beside === undefined ? undefined : await measureUpdate(repo, { from: beside.commit, to: plan.to }, pool);
  const newest = plan.deltas.find(({ version }) => version !== undefined && version === parent?.version);
  const index = await readFileIfThere(join(repo, deltaIndexPath(plan.to)));
  return updateCosts({
    plan,
    made,
    ...(beside === undefined || loose === undefined
      ? {}
      : { parent: { version: beside.version, update: loose } }),
    config: (await stat(join(repo, 'config'))).size,
    summary: summary.length,
    signature: (await signSummary(summary, update.signers)).length,
    commitMeta: (await readFileIfThere(join(repo, commitMetaPath(plan.to))))?.length ?? 0,
    ...(index === undefined ? {} : { index: index.length }),
    boot,
    bootcsums,
    newObjects: newest?.looseBytes ?? loose?.looseBytes ?? plan.fromNothing.bytes,
  });
}

/** `treewright boot explain`: what U-Boot will do with a release. */
import type { ExplainedBoot } from '../boot/explain.ts';
import { explainBoot } from '../boot/explain.ts';
import { renderFwEnvConfig } from '../boot/board.ts';
import type { BootPlan } from '../boot/plan.ts';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import { planRelease } from './boot-plan.ts';
import type { OpenReleaseOptions } from './open-release.ts';
import { openRelease } from './open-release.ts';

export interface ExplainReport {
  readonly version: string;
  readonly commit: Checksum;
  /** The release that a device is updated from; the explained one itself where there is no earlier one. */
  readonly previous: Checksum;
  readonly board: string;
  readonly profile: string;
  readonly counting: BootPlan['rollback']['counting'];
  readonly attempts: number;
  /** fw_env.config of the device; absent where the place of the environment is not known. */
  readonly fwEnvConfig?: string;
  /** A new device, one that was updated, and one whose update failed too often. */
  readonly boots: readonly ExplainedBoot[];
}

export async function explainRelease(options: OpenReleaseOptions): Promise<ExplainReport> {
  const { config, events } = options;
  const { manifest, repo } = await openRelease(options);
  const { boot, ostree, source, version } = manifest;
  if (boot === undefined) {
    throw new TreewrightError('config/no-boot-loader', `release ${version} was made with boot.loader: none`);
  }
  events({ type: 'stage', stage: 'boot', title: 'Planning the deployments' });
  const planned = { kargs: boot.kargs, loader: boot.loader, source };
  const previous = ostree.parent ?? ostree.commit;
  const first = await planRelease(config, repo, ostree.commit, planned);
  const update = await planRelease(config, repo, ostree.commit, planned, { commit: previous });
  for (const diagnostic of update.diagnostics) events({ type: 'diagnostic', diagnostic });
  const { board, rollback } = first;
  const fwEnvConfig = renderFwEnvConfig(board.environment);
  return {
    version,
    commit: ostree.commit,
    previous,
    board: board.name,
    profile: rollback.profile ?? 'ostree',
    counting: rollback.counting,
    attempts: rollback.attempts,
    ...(fwEnvConfig === undefined ? {} : { fwEnvConfig }),
    boots: [explainBoot(first, 'first'), explainBoot(update, 'updated'), explainBoot(update, 'rolled-back')],
  };
}

/** The boot plan of a release, from its configuration. */
import type { Checksum } from '../core/checksum.ts';
import type { Config } from '../config/types.ts';
import type { BootPlan, EarlierDeployment } from '../boot/plan.ts';
import { planBoot } from '../boot/plan.ts';
import type { ByteStore } from '../platform/store.ts';
import { boardOf } from './board.ts';
import { fitSigning } from './fit-step.ts';
import type { ReleaseManifest } from './manifest.ts';

/** What a release says about itself besides its commit. */
export interface PlannedSource {
  readonly kargs: readonly string[];
  readonly source: Pick<ReleaseManifest['source'], 'architecture' | 'libostree'>;
}

/** Plans `commit` of the repository `store` as a first installation, or as the update of `previous`. */
export function planRelease(
  config: Pick<Config, 'boot' | 'ostree'>,
  store: ByteStore,
  commit: Checksum,
  { kargs, source }: PlannedSource,
  previous?: EarlierDeployment,
): Promise<BootPlan> {
  const { board, rollback, fit } = config.boot;
  const signing = fitSigning(fit);
  const counting = rollback.counting ?? board?.counting;
  return planBoot(store, commit, {
    osname: config.ostree.osname,
    kargs,
    rollback: {
      attempts: rollback.attempts,
      profile: rollback.profile,
      ...(counting === undefined ? {} : { counting }),
    },
    ...(board === undefined ? {} : { board: boardOf(board) }),
    ...(signing === undefined ? {} : { signing }),
    ...(source.libostree === undefined ? {} : { libostree: source.libostree }),
    ...(source.architecture === undefined ? {} : { arch: source.architecture }),
    ...(previous === undefined ? {} : { previous }),
  });
}

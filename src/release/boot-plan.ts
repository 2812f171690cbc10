/** The boot plan of a release, from its configuration. */
import type { Checksum } from '../core/checksum.ts';
import type { Config } from '../config/types.ts';
import type { RollbackScheme } from '../boot/board.ts';
import type { BootLoader } from '../boot/extlinux.ts';
import type { BootPlan, EarlierDeployment } from '../boot/plan.ts';
import { planBoot } from '../boot/plan.ts';
import type { ByteStore } from '../platform/store.ts';
import { boardOf } from './board.ts';
import { fitSigning } from './fit-step.ts';
import type { ReleaseManifest } from './manifest.ts';

/** What a release says about itself besides its commit. */
export interface PlannedSource {
  readonly kargs: readonly string[];
  readonly loader: BootLoader;
  readonly source: Pick<ReleaseManifest['source'], 'architecture' | 'libostree'>;
}

/** Who counts boot attempts, where configuration or board say so. A board's script does not run with extlinux.conf. */
export function configuredCounting(
  { board, rollback }: Config['boot'],
  loader: BootLoader,
): RollbackScheme['counting'] | undefined {
  const usual = loader === 'extlinux' && board?.counting !== 'u-boot' ? undefined : board?.counting;
  return rollback.counting ?? usual;
}

/** Plans `commit` of the repository `store` as a first installation, or as the update of `previous`. */
export function planRelease(
  config: Pick<Config, 'boot' | 'image' | 'ostree'>,
  store: ByteStore,
  commit: Checksum,
  { kargs, loader, source }: PlannedSource,
  previous?: EarlierDeployment,
): Promise<BootPlan> {
  const { board, rollback, fit } = config.boot;
  const signing = fitSigning(fit);
  const counting = configuredCounting(config.boot, loader);
  return planBoot(store, commit, {
    osname: config.ostree.osname,
    kargs,
    loader,
    rollback: {
      attempts: rollback.attempts,
      profile: rollback.profile,
      ...(counting === undefined ? {} : { counting }),
    },
    ...(board === undefined ? {} : { board: boardOf(board, config.image.bootPartition !== undefined) }),
    ...(signing === undefined ? {} : { signing }),
    ...(source.libostree === undefined ? {} : { libostree: source.libostree }),
    ...(source.architecture === undefined ? {} : { arch: source.architecture }),
    ...(previous === undefined ? {} : { previous }),
  });
}

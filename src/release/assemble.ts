/** `treewright release`: a build output into a published release. */
import type { Config } from '../config/types.ts';
import type { EventSink } from '../core/events.ts';
import { buildApps } from './apps-step.ts';
import type { ReleaseContent } from './content.ts';
import { describeSource } from './provenance.ts';
import type { ReleaseReport } from './publish-content.ts';
import { publishContent } from './publish-content.ts';
import { withSession } from './session.ts';
import type { StoreSourceOptions } from './store-source.ts';
import { storeSource } from './store-source.ts';
import { boardOf } from './board.ts';
import { configuredCounting } from './boot-plan.ts';
import { renderFwEnvConfig } from '../boot/board.ts';
import { checkFitKey } from '../boot/fit/mkimage.ts';
import { fitSigning } from './fit-step.ts';
import { checkGivenVersion, chooseVersion, nextVersion } from './version.ts';

export interface AssembleOptions {
  readonly config: Config;
  /** Overrides the configuration's version. */
  readonly version?: string;
  /** When the version is published with another tree, takes the next `<version>-build.<n>` instead of refusing. */
  readonly next?: boolean;
  /** Overrides the configuration's output. */
  readonly output?: string;
  readonly events: EventSink;
  readonly now: Date;
  /** Called before a pointer moves; what it throws stops the work with nothing published. */
  readonly checkpoint?: () => void;
}

export async function assembleRelease(options: AssembleOptions): Promise<ReleaseReport> {
  checkGivenVersion(options.version);
  const { boot } = options.config;
  const signing = boot.loader === 'none' ? undefined : fitSigning(boot.fit);
  // Before the build is read, which takes long.
  if (signing !== undefined) await checkFitKey(signing);
  return withSession(options, (session) =>
    publishContent(session, async (transaction): Promise<ReleaseContent> => {
      const { config, events } = session;
      const { branch, layout } = config.ostree;
      const { source } = config;
      const owner = source.kind === 'rootfs' ? source.owner : undefined;
      const stored = await storeSource({
        spec: source,
        layout,
        branch,
        transaction,
        events,
        additions: additionsOf(config),
        ...(owner === undefined ? {} : { owner }),
      });
      const { build, packages, kernelRelease, rootTree, rootMeta } = stored;
      const chosen = chooseVersion(options.version, config, build.facts.version);
      const content = {
        root: { rootTree, rootMeta },
        kargs: config.boot.kargs,
        // Before what takes minutes: a registry that does not answer is known at once.
        apps: await buildApps(session, build.facts.arch),
      };
      return {
        ...content,
        version: options.next === true ? await nextVersion(session, chosen, content) : chosen,
        layout,
        ...(kernelRelease === undefined ? {} : { kernelRelease }),
        ...(build.facts.arch === undefined ? {} : { architecture: build.facts.arch }),
        source: describeSource(build),
        packages,
        documents: [...build.documents, ...config.documents],
      };
    }),
  );
}

/** What is put into the tree besides the build's own files. */
function additionsOf({ boot, device }: Config): NonNullable<StoreSourceOptions['additions']> {
  if (boot.loader === 'none') return {};
  const { scripts, watchdog } = device;
  const counting = configuredCounting(boot, boot.loader);
  const counted = counting === undefined ? boot.loader === 'u-boot' : counting !== 'none';
  const fwEnvConfig =
    boot.board === undefined || !counted ? undefined : renderFwEnvConfig(boardOf(boot.board).environment);
  return {
    initramfs: boot.initramfs,
    // The configurations of a FIT image have them inside.
    variables: { kargs: boot.commitKargs, overlays: boot.fit === undefined ? boot.overlays : [] },
    ...(boot.fit === undefined
      ? {}
      : {
          fit: {
            ...boot.fit,
            overlays: boot.overlays,
            ...(boot.board === undefined ? {} : { arch: boot.board.arch }),
          },
        }),
    ...(scripts
      ? {
          device: {
            counted,
            ...(watchdog === undefined ? {} : { watchdog }),
            ...(fwEnvConfig === undefined ? {} : { fwEnvConfig }),
          },
        }
      : {}),
  };
}

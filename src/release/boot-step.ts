/** The boot files of a release: what a first installation and an update leave in /boot, and the boot script. */
import type { Checksum } from '../core/checksum.ts';
import { utf8 } from '../core/bytes.ts';
import type { BootPlan, EarlierDeployment } from '../boot/plan.ts';
import { renderBoot, renderLoader } from '../boot/render.ts';
import { openStore } from '../platform/store.ts';
import { bootPartitionFindings, scriptFindings, tellAll } from './boot-checks.ts';
import { planRelease } from './boot-plan.ts';
import type { ReleaseEntry } from './catalog.ts';
import type { ReleaseContent } from './content.ts';
import type { ManifestBoot } from './manifest.ts';
import type { ReleaseFile } from './release-files.ts';
import { sha256 } from './release-files.ts';
import type { ReleaseSession } from './session.ts';
import type { BootCost } from './update-cost.ts';

export interface BootFiles {
  /** Paths below the release's directory. */
  readonly files: readonly ReleaseFile[];
  /** Absent when the configuration names no boot loader. */
  readonly manifest?: ManifestBoot;
  /** Bytes in /boot: of this release alone, and with the one before it. Zero without a boot loader. */
  readonly cost: BootCost;
}

/** What a plan says, for people and for tools that prepare a device. */
function describePlan(plan: BootPlan): object {
  return {
    bootVersion: plan.bootVersion,
    deployments: plan.deployments.map(({ commit, directory, bootDirectory, layout }) => ({
      commit,
      directory,
      bootDirectory,
      bootcsum: layout.bootcsum,
    })),
    bootFiles: plan.bootFiles.map((file) =>
      file.kind === 'file' ? { path: file.path, size: file.size } : { path: file.path },
    ),
    bootBytes: plan.bootBytes,
    links: plan.links,
  };
}

/**
 * Plans the commit as a first installation, and as an update of what is on the branch before it. The files of the
 * first stand in `boot/`, those of the second in `boot/update/`; `boot/plan.json` tells both plans.
 */
export async function bootFiles(
  session: ReleaseSession,
  commit: Checksum,
  parent: ReleaseEntry | undefined,
  content: Pick<ReleaseContent, 'kargs' | 'source'>,
): Promise<BootFiles> {
  const { config, repo, events } = session;
  const { loader } = config.boot;
  if (loader === 'none') return { files: [], cost: { one: 0, two: 0 } };
  events({ type: 'stage', stage: 'boot', title: 'Planning the deployment' });
  const plan = (previous?: EarlierDeployment): Promise<BootPlan> =>
    planRelease(config, openStore(repo), commit, { ...content, loader }, previous);
  const first = await plan();
  const update = parent === undefined ? undefined : await plan({ commit: parent.commit });
  const rendered = await renderBoot(first);
  tellAll(
    [
      ...first.diagnostics,
      ...(update?.diagnostics ?? []),
      ...bootPartitionFindings(config.image.bootPartition, update, first),
      ...(await scriptFindings(session.output, parent, rendered.get('boot.cmd'))),
    ],
    events,
    'devices could not start this release',
  );

  const plans = {
    first: describePlan(first),
    ...(update === undefined ? {} : { update: describePlan(update) }),
  };
  const files: ReleaseFile[] = [...rendered].map(([path, bytes]) => [`boot/${path}`, bytes]);
  if (update !== undefined) {
    for (const [path, bytes] of renderLoader(update)) files.push([`boot/update/${path}`, bytes]);
  }
  files.push(['boot/plan.json', utf8(`${JSON.stringify(plans, null, 2)}\n`)]);
  const bootcsum = first.deployments[0]?.layout.bootcsum ?? commit;
  return {
    files,
    cost: { one: first.bootBytes, two: update?.bootBytes ?? first.bootBytes, bootcsum },
    manifest: {
      loader,
      bootcsum,
      kargs: [...content.kargs],
      files: files.map(([path, bytes]) => ({ path, size: bytes.length, sha256: sha256(bytes) })),
    },
  };
}

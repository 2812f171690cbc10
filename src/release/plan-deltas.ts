/** The deltas that a release could have, what each would be worth, and which are chosen. */
import { join } from 'node:path';
import type { Config } from '../config/types.ts';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError, isTreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import type { CompressionCost } from '../delta/advice.ts';
import { compressionCosts } from '../delta/advice.ts';
import type { DeltaDecision } from '../delta/choose.ts';
import { chooseDeltas } from '../delta/choose.ts';
import type { DeltaEstimate } from '../delta/estimate.ts';
import { estimateDelta } from '../delta/estimate.ts';
import type { DeltaWork } from '../delta/gather.ts';
import { gatherWork } from '../delta/gather.ts';
import { readFileIfThere } from '../platform/files.ts';
import { openStore } from '../platform/store.ts';
import type { WorkerPool } from '../platform/workers.ts';
import { createWorkerPool } from '../platform/workers.ts';
import { readMetadata } from '../repo/read.ts';
import { readTufState } from '../trust/tuf-verify.ts';
import type { ReleaseEntry } from './catalog.ts';
import { listReleases } from './catalog.ts';
import { compressionNotes } from './compression-advice.ts';
import type { Fleet } from './fleet.ts';
import { readFleet } from './fleet.ts';
import { TRUSTED_ROOT } from './session.ts';

/** One delta that could be made, with its estimate. */
export interface PlannedDelta {
  /** Absent for the delta from nothing. */
  readonly version?: string;
  readonly from?: Checksum;
  /** Devices that would use it: of the census, else 1. */
  readonly devices: number;
  readonly looseBytes: number;
  readonly expectedBytes: number;
  readonly mustSave: boolean;
  readonly decision: DeltaDecision;
  readonly estimate: DeltaEstimate;
  readonly work: DeltaWork;
}

export interface DeltaPlan {
  readonly version: string;
  readonly to: Checksum;
  readonly maxRatio: number;
  readonly budget?: number;
  /** Newest version first, the delta from nothing last. */
  readonly deltas: readonly PlannedDelta[];
  /** Versions of the census or the configuration that no release here has, or whose commit is gone. */
  readonly unknown: readonly { readonly version: string; readonly devices: number }[];
  /** What a device without any object downloads: objects one by one, and through the delta from nothing. */
  readonly fromNothing: { readonly bytes: number; readonly requests: number; readonly expectedBytes: number };
  /** What is lost to compression inside of files, in the update that most devices make. */
  readonly compressed: readonly CompressionCost[];
}

export interface PlanDeltas {
  readonly config: Config;
  readonly repo: string;
  readonly pool: WorkerPool;
  readonly events: EventSink;
  /** Published releases, oldest first; `to` need not be among them. */
  readonly releases: readonly ReleaseEntry[];
  readonly version: string;
  readonly to: Checksum;
}

async function isStored(repo: string, commit: Checksum): Promise<boolean> {
  try {
    await readMetadata(openStore(repo), commit, 'commit');
    return true;
  } catch (error) {
    if (isTreewrightError(error)) return false;
    throw error;
  }
}

/** The releases that the configuration names, newest first, and versions that it names in vain. */
export function candidateReleases(
  { from }: Config['deltas'],
  earlier: readonly ReleaseEntry[],
  fleet: Fleet,
): { readonly releases: readonly ReleaseEntry[]; readonly unknown: readonly string[] } {
  const last = from.last === 0 ? [] : earlier.slice(-from.last);
  const named = new Set([...from.versions, ...fleet.keys()]);
  const wanted = new Set([...last.map(({ version }) => version), ...named]);
  const known = new Set(earlier.map(({ version }) => version));
  return {
    releases: earlier.filter(({ version }) => wanted.has(version)).reverse(),
    unknown: [...named].filter((version) => !known.has(version)),
  };
}

/** Estimates every candidate and chooses. Nothing is made or written; what is in vain is told as a warning. */
export async function planDeltas(options: PlanDeltas): Promise<DeltaPlan> {
  const { config, repo, pool, events, to, version } = options;
  const { from, fromNothing, maxRatio, budget } = config.deltas;
  const fleet = from.fleet === undefined ? new Map<string, number>() : await readFleet(from.fleet);
  const earlier = options.releases.filter(
    (release) => release.branch === config.ostree.branch && release.commit !== to,
  );
  const candidates = candidateReleases(config.deltas, earlier, fleet);
  const devicesOf = (name: string): number => Math.max(1, fleet.get(name) ?? 1);

  const scratchWork = await gatherWork(repo, { to }, pool);
  const scratch = await estimateDelta({ repo, to, pool, work: scratchWork });
  const whole = {
    bytes: scratch.looseBytes,
    requests: scratch.looseRequests,
    expectedBytes: scratch.expectedBytes,
  };
  const found: Omit<PlannedDelta, 'decision'>[] = [];
  const unknown = candidates.unknown
    // Devices with the new release itself need nothing.
    .filter((name) => name !== version)
    .map((name) => ({ version: name, devices: fleet.get(name) ?? 0 }));
  for (const release of candidates.releases) {
    if (!(await isStored(repo, release.commit))) {
      unknown.push({ version: release.version, devices: fleet.get(release.version) ?? 0 });
      continue;
    }
    const ends = { from: release.commit, to };
    const work = await gatherWork(repo, ends, pool);
    const estimate = await estimateDelta({ repo, ...ends, pool, events, work });
    found.push({
      version: release.version,
      from: release.commit,
      devices: devicesOf(release.version),
      looseBytes: estimate.looseBytes,
      expectedBytes: estimate.expectedBytes,
      mustSave: true,
      estimate,
      work,
    });
  }
  if (fromNothing) {
    const { looseBytes, expectedBytes } = scratch;
    found.push({
      devices: 1,
      looseBytes,
      expectedBytes,
      mustSave: false,
      estimate: scratch,
      work: scratchWork,
    });
  }
  for (const { version: name, devices } of unknown) warnOfUnknown(events, name, devices, whole, options);
  const served = [...found]
    .sort((a, b) => b.devices - a.devices)
    .find((delta) => delta.version !== undefined);
  const costs = served === undefined ? [] : await compressionCosts(repo, served.estimate, pool);
  for (const diagnostic of compressionNotes(served?.version ?? '', costs)) {
    events({ type: 'diagnostic', diagnostic });
  }
  return {
    version,
    to,
    maxRatio,
    ...(budget === undefined ? {} : { budget }),
    deltas: chooseDeltas(found, { maxRatio, budget }),
    unknown,
    fromNothing: whole,
    compressed: costs,
  };
}

function warnOfUnknown(
  events: EventSink,
  version: string,
  devices: number,
  whole: DeltaPlan['fromNothing'],
  { config, releases, repo }: PlanDeltas,
): void {
  const gone = releases.find((release) => release.version === version);
  const why =
    gone === undefined
      ? `no release of ${config.ostree.branch} has that version`
      : `its commit ${gone.commit} is no longer in ${repo}`;
  const who = devices === 0 ? '' : `; ${devices} device${devices === 1 ? '' : 's'} with it`;
  // libostree takes a delta from nothing only when it does not know the branch yet (initiate_delta_request).
  const scratch = config.deltas.fromNothing
    ? `; one that does not know the branch takes the delta from nothing, about ${whole.expectedBytes} bytes`
    : '';
  events({
    type: 'diagnostic',
    diagnostic: {
      severity: 'warning',
      code: 'input/missing-commit',
      message:
        `no delta from ${version}: ${why}${who === '' ? '; devices with it' : who} download the objects they lack, at most ` +
        `${whole.bytes} bytes in ${whole.requests} requests${scratch}`,
    },
  });
}

export interface PlanReleaseDeltas {
  readonly config: Config;
  /** Overrides the configuration's output. */
  readonly output?: string;
  readonly events: EventSink;
}

/** The plan for the newest release of the configuration's branch, as it would be made now. Writes nothing. */
export async function planReleaseDeltas(options: PlanReleaseDeltas): Promise<DeltaPlan> {
  const { config, events } = options;
  const output = options.output ?? config.output;
  const trustedRoot = await readFileIfThere(join(config.signing.keys, TRUSTED_ROOT));
  const state = await readTufState(
    openStore(join(output, 'tuf')),
    trustedRoot === undefined ? {} : { trustedRoot },
  );
  const releases = listReleases(state?.published?.targets.signed.targets ?? new Map());
  const newest = releases.filter(({ branch }) => branch === config.ostree.branch).at(-1);
  if (newest === undefined) {
    throw new TreewrightError(
      'usage/no-such-version',
      `${output} has no release of ${config.ostree.branch} yet; make one with \`treewright release\``,
    );
  }
  events({ type: 'stage', stage: 'delta', title: `Estimating deltas to ${newest.version}` });
  const pool = createWorkerPool();
  try {
    const repo = join(output, 'ostree');
    const { version, commit: to } = newest;
    return await planDeltas({ config, repo, pool, events, releases, version, to });
  } finally {
    await pool.close();
  }
}

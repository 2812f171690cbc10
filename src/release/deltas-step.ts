/** Makes the deltas that a release's plan has chosen, and publishes those that keep what their estimates promised. */
import type { Checksum } from '../core/checksum.ts';
import { rankDeltas } from '../delta/choose.ts';
import type { PartMemory } from '../delta/explain.ts';
import { deviceMemory, partSizeFor } from '../delta/device-memory.ts';
import type { DeltaInfo } from '../delta/generate.ts';
import { DEFAULT_PART_SIZE, DEFAULT_PATCH_SIZE, generateDelta } from '../delta/generate.ts';
import { removeDelta } from '../delta/list.ts';
import type { ManifestDelta } from './manifest.ts';
import type { DeltaPlan, PlannedDelta } from './plan-deltas.ts';
import { planDeltas } from './plan-deltas.ts';
import type { ReleaseSession } from './session.ts';

/** A delta that goes into the release. */
export interface MadeDelta {
  readonly info: DeltaInfo;
  readonly memory: PartMemory;
  /** Absent for the delta from nothing. */
  readonly version?: string;
}

export interface BuiltDeltas {
  readonly plan: DeltaPlan;
  /** In the order of the plan. */
  readonly made: readonly MadeDelta[];
}

/** Why a finished delta is not published; undefined when it is. */
function refusal(
  info: DeltaInfo,
  memory: PartMemory,
  { mustSave }: PlannedDelta,
  left: number,
  { maxRatio, maxDeviceMemory = Infinity }: ReleaseSession['config']['deltas'],
): string | undefined {
  const size = `it would have ${info.bytes} bytes`;
  if (mustSave && info.bytes > info.looseBytes * maxRatio) {
    return `${size} where the objects have ${info.looseBytes}, more than the ratio of ${maxRatio} allowed by deltas.max-ratio`;
  }
  if (info.bytes > left) return `${size}, of deltas.budget ${left} are left`;
  if (memory.total > maxDeviceMemory) {
    return (
      `a device needs ${memory.total} bytes of memory for its largest part (one file of the release is sent as a whole), ` +
      `deltas.max-device-memory allows ${maxDeviceMemory}`
    );
  }
  return undefined;
}

/** Makes deltas to `commit`, those that save most per byte first; what is not published is removed and told. */
export async function buildDeltas(
  session: ReleaseSession,
  version: string,
  commit: Checksum,
): Promise<BuiltDeltas> {
  const { config, repo, pool, events, releases } = session;
  const { maxRatio, budget = Infinity, maxDeviceMemory = Infinity } = config.deltas;
  events({ type: 'stage', stage: 'delta', title: 'Building static deltas' });
  const plan = await planDeltas({ config, repo, pool, events, releases, version, to: commit });
  const tell = (delta: PlannedDelta, why: string): void => {
    events({
      type: 'diagnostic',
      diagnostic: {
        severity: 'note',
        code: 'input/delta-too-large',
        message: `no delta from ${delta.version ?? 'nothing'}: ${why}`,
      },
    });
  };
  const limit = partSizeFor(maxDeviceMemory);
  const made = new Map<PlannedDelta, MadeDelta>();
  let left = budget;
  for (const delta of rankDeltas(plan.deltas)) {
    if (delta.decision === 'too-large') {
      tell(
        delta,
        `it is expected to have ${delta.expectedBytes} bytes where the objects have ${delta.looseBytes}, more than the ` +
          `ratio of ${maxRatio} allowed by deltas.max-ratio`,
      );
      continue;
    }
    // Real sizes decide: what the ones before it needed less is left for those that were not chosen.
    if (delta.expectedBytes > left) {
      tell(delta, `it is expected to have ${delta.expectedBytes} bytes, of deltas.budget ${left} are left`);
      continue;
    }
    const ends = { ...(delta.from === undefined ? {} : { from: delta.from }), to: commit };
    const info = await generateDelta({
      repo,
      ...ends,
      pool,
      events,
      work: delta.work,
      maxPartSize: Math.min(DEFAULT_PART_SIZE, limit),
      maxPatchSize: Math.min(DEFAULT_PATCH_SIZE, limit),
    });
    const memory = await deviceMemory(repo, ends);
    const why = refusal(info, memory, delta, left, config.deltas);
    if (why === undefined) {
      left -= info.bytes;
      made.set(delta, { info, memory, ...(delta.version === undefined ? {} : { version: delta.version }) });
    } else {
      await removeDelta(repo, info.path);
      tell(delta, why);
    }
  }
  events({
    type: 'done',
    stage: 'delta',
    summary: `${made.size} delta${made.size === 1 ? '' : 's'} built`,
  });
  return {
    plan,
    made: plan.deltas.flatMap((delta) => {
      const done = made.get(delta);
      return done === undefined ? [] : [done];
    }),
  };
}

export function manifestDelta({ info, version }: MadeDelta): ManifestDelta {
  return {
    ...(info.from === undefined ? {} : { from: info.from }),
    ...(version === undefined ? {} : { fromVersion: version }),
    path: info.path,
    superblock: { size: info.superblock.size, sha256: info.superblock.sha256 },
    parts: info.parts.map(({ size, sha256 }) => ({ size, sha256 })),
    fallbacks: info.fallbacks.map(({ checksum, size }) => ({ checksum, size })),
    bytes: info.bytes,
    looseBytes: info.looseBytes,
  };
}

/** What an update to a release costs a device, from each version that was looked at, and the server. */
import type { Checksum } from '../core/checksum.ts';
import type { PartMemory } from '../delta/explain.ts';
import type { FileEstimate, LooseUpdate } from '../delta/estimate.ts';
import { isCompressed } from '../delta/similarity.ts';
import type { MadeDelta } from './deltas-step.ts';
import type { DeltaPlan, PlannedDelta } from './plan-deltas.ts';

/** A download: bytes of bodies and the number of requests, those for metadata included. */
export interface Download {
  readonly bytes: number;
  readonly requests: number;
}

export interface UpdateCost {
  /** Both absent for a device that has nothing. */
  readonly version?: string;
  readonly from?: Checksum;
  /** Devices of the census; 1 without one. */
  readonly devices: number;
  /** Absent when no delta is published. */
  readonly delta?: Download & { readonly memory: PartMemory };
  readonly loose: Download;
  /** Bytes the device writes: new objects in blocks of 4 KiB, and what it copies to /boot. */
  readonly deviceWrites: { readonly objects: number; readonly boot: number };
}

/** `update-cost.json`. All sizes in bytes. */
export interface UpdateCosts {
  readonly version: string;
  readonly commit: Checksum;
  /** What every update fetches besides objects or delta. */
  readonly metadata: Download;
  /** Kernels, initramfs and device trees in /boot: of this release alone, and with the one before it. */
  readonly boot: { readonly one: number; readonly two: number };
  /** What the repository grows by: new objects beside the previous release, and deltas. */
  readonly server: { readonly objects: number; readonly deltas: number };
  readonly updates: readonly UpdateCost[];
}

/** How much of /boot changes. */
export interface BootCost {
  readonly one: number;
  readonly two: number;
  /** Absent without a boot loader: nothing is known of /boot then. */
  readonly bootcsum?: Checksum;
}

export interface CostInputs {
  readonly plan: DeltaPlan;
  readonly made: readonly MadeDelta[];
  /** The previous release, when the plan has no candidates at all. */
  readonly parent?: { readonly version: string; readonly update: LooseUpdate };
  /** Sizes of the repository's files of these names. */
  readonly config: number;
  readonly summary: number;
  readonly signature: number;
  readonly commitMeta: number;
  /** Absent when no delta leads to the release. */
  readonly index?: number;
  readonly boot: BootCost;
  /** bootcsum of earlier releases, by version. */
  readonly bootcsums: ReadonlyMap<string, Checksum>;
  readonly newObjects: number;
}

/**
 * Requests of a pull besides objects or delta (ostree-repo-pull.c): summary.sig, summary, config, the commit's detached
 * metadata, which is asked for although a superblock carries it too, and the delta index where there is one.
 */
const METADATA_REQUESTS = 4;

/** Pure: everything that is needed is in the inputs. */
export function updateCosts(inputs: CostInputs): UpdateCosts {
  const { plan, made, config, summary, signature, commitMeta, index, boot, bootcsums } = inputs;
  const metadata: Download = {
    bytes: config + summary + signature + commitMeta + (index ?? 0),
    requests: METADATA_REQUESTS + (index === undefined ? 0 : 1),
  };
  const loose = ({ looseBytes, looseRequests }: LooseUpdate): Download => ({
    bytes: metadata.bytes + looseBytes,
    requests: metadata.requests + looseRequests,
  });
  const writes = (update: LooseUpdate, version?: string): UpdateCost['deviceWrites'] => {
    const before = version === undefined ? undefined : bootcsums.get(version);
    return {
      objects: update.deviceBytes,
      boot: boot.bootcsum !== undefined && before === boot.bootcsum ? 0 : boot.one,
    };
  };
  const cost = ({ version, from, devices, estimate }: PlannedDelta): UpdateCost => {
    const delta = made.find((one) => one.info.from === from);
    return {
      ...(version === undefined ? {} : { version }),
      ...(from === undefined ? {} : { from }),
      devices,
      ...(delta === undefined
        ? {}
        : {
            delta: {
              bytes: metadata.bytes + delta.info.bytes,
              requests: metadata.requests + 1 + delta.info.parts.length,
              memory: delta.memory,
            },
          }),
      loose: loose(estimate),
      deviceWrites: writes(estimate, version),
    };
  };
  const { parent } = inputs;
  return {
    version: plan.version,
    commit: plan.to,
    metadata,
    boot: { one: boot.one, two: boot.two },
    server: {
      objects: inputs.newObjects,
      deltas: made.reduce((sum, { info }) => sum + info.bytes, 0),
    },
    updates: [
      ...(parent === undefined
        ? []
        : [
            {
              version: parent.version,
              ...(parent.update.from === undefined ? {} : { from: parent.update.from }),
              devices: 1,
              loose: loose(parent.update),
              deviceWrites: writes(parent.update, parent.version),
            },
          ]),
      ...plan.deltas.map(cost),
    ],
  };
}

/** What a device fetches: the delta when there is one. */
export function downloadOf({ delta, loose }: UpdateCost): Download {
  return delta ?? loose;
}

/** Why a file costs what it costs. */
export function whyFileCosts(file: FileEstimate): string {
  if (isCompressed(file)) return 'compressed content';
  if (file.predecessor === undefined) return 'new';
  return file.source === undefined ? 'changed beyond recognition' : 'changed';
}

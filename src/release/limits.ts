/** The limits of an update: what is beyond them stops the release before anything is published. */
import type { LimitsConfig } from '../config/types.ts';
import { TreewrightError } from '../core/errors.ts';
import type { DeltaPlan } from './plan-deltas.ts';
import type { UpdateCost, UpdateCosts } from './update-cost.ts';
import { downloadOf, whyFileCosts } from './update-cost.ts';

/** Files named for each limit that is exceeded. */
const NAMED_FILES = 5;

type Exceeded = 'download' | 'requests' | 'deviceWrites';

interface Breach {
  readonly limit: keyof LimitsConfig;
  readonly version: string;
  readonly needs: number;
  readonly allowed: number;
}

const TEXT: Readonly<Record<keyof LimitsConfig, readonly [key: string, unit: string, what: string]>> = {
  download: ['max-download', 'bytes', 'downloads'],
  requests: ['max-requests', 'requests', 'needs'],
  deviceWrites: ['max-device-writes', 'bytes', 'writes'],
  boot: ['max-boot', 'bytes', 'needs'],
};

function measures(cost: UpdateCost): Readonly<Record<Exceeded, number>> {
  const { bytes, requests } = downloadOf(cost);
  return { download: bytes, requests, deviceWrites: cost.deviceWrites.objects + cost.deviceWrites.boot };
}

/** Every limit that an update from a release exceeds; a first installation is none. */
function breaches(costs: UpdateCosts, limits: LimitsConfig): Breach[] {
  const found: Breach[] = [];
  for (const cost of costs.updates) {
    if (cost.version === undefined) continue;
    const needed = measures(cost);
    for (const limit of ['download', 'requests', 'deviceWrites'] as const) {
      const allowed = limits[limit];
      if (allowed !== undefined && needed[limit] > allowed) {
        found.push({ limit, version: cost.version, needs: needed[limit], allowed });
      }
    }
  }
  if (limits.boot !== undefined && costs.boot.two > limits.boot) {
    found.push({ limit: 'boot', version: costs.version, needs: costs.boot.two, allowed: limits.boot });
  }
  return found;
}

/** The dearest files of the update from `version`: what they cost by the measure of `limit`, and why. */
function dearest(plan: DeltaPlan, { version, limit }: Breach): string[] {
  const files = plan.deltas.find((delta) => delta.version === version)?.estimate.files ?? [];
  if (limit === 'requests' || limit === 'boot') return [];
  const priced = files.map((file) => ({
    file,
    bytes: limit === 'download' ? file.expectedBytes : file.size,
  }));
  return priced
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, NAMED_FILES)
    .map(
      ({ file, bytes }) => `${file.paths[0] ?? file.checksum}: about ${bytes} bytes, ${whyFileCosts(file)}`,
    );
}

/** Throws `input/over-limit` with every reason, each with the files that cost most. */
export function checkLimits(costs: UpdateCosts, plan: DeltaPlan, limits: LimitsConfig): void {
  const found = breaches(costs, limits);
  if (found.length === 0) return;
  const reasons = found.flatMap((breach) => {
    const [key, unit, what] = TEXT[breach.limit];
    const subject =
      breach.limit === 'boot' ? '/boot with two deployments' : `the update from ${breach.version}`;
    return [
      `${subject} ${what} ${breach.needs} ${unit}, limits.${key} allows ${breach.allowed}`,
      ...dearest(plan, breach).map((line) => `  ${line}`),
    ];
  });
  throw new TreewrightError(
    'input/over-limit',
    `release ${costs.version} is not published: an update to it would be dearer than the configuration allows\n` +
      reasons.join('\n'),
    {
      data: {
        reasons,
        hint: 'make the files named here smaller or diffable (docs/update-cost.md), or raise the limit; the previous release stays as it is',
      },
    },
  );
}

/**
 * `treewright refresh`: the TUF metadata signed anew for a later expiry, by the keys that are at hand. Nothing but the
 * directory tuf/ is read or written, so a machine that only renews needs neither the build nor the repository.
 */
import { join } from 'node:path';
import type { Config } from '../config/types.ts';
import { isTreewrightError, TreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import { parseTufTime } from '../formats/tuf.ts';
import { removeStaleTemporaries } from '../platform/files.ts';
import { acquireLock } from '../platform/lock.ts';
import type { Signer } from '../trust/ed25519.ts';
import { loadSigners } from '../trust/keys.ts';
import type { TufPlan } from '../trust/tuf-update.ts';
import { planTufUpdate, writeTufUpdate } from '../trust/tuf-update.ts';
import { waitForLock } from './events.ts';
import { readPublished, TRUSTED_ROOT } from './session.ts';

const ROLES = ['targets', 'snapshot', 'timestamp'] as const;
type RefreshedRole = (typeof ROLES)[number];

export interface RefreshOptions {
  readonly config: Config;
  /** Overrides the configuration's output. */
  readonly output?: string;
  readonly events: EventSink;
  readonly now: Date;
  /** Called before anything is written; what it throws stops the work. */
  readonly checkpoint?: () => void;
}

export interface RefreshedMetadata {
  readonly role: RefreshedRole;
  readonly version: number;
  readonly expires: string;
  /** False: its key is not here, and the file stays as it is. */
  readonly renewed: boolean;
}

export interface RefreshReport {
  readonly output: string;
  readonly roles: readonly RefreshedMetadata[];
}

/**
 * Needs the key of the timestamp; those of snapshot and targets are used when they are there. Throws
 * `input/no-release`, `trust/missing-key`, `trust/expired` when a file whose key is elsewhere has expired, and
 * whatever else is wrong with keys or metadata.
 */
export async function refreshRelease(options: RefreshOptions): Promise<RefreshReport> {
  const { config, events, now, checkpoint = () => undefined } = options;
  const output = options.output ?? config.output;
  const directory = join(output, 'tuf');
  const lock = await acquireLock(join(output, '.treewright.lock'), waitForLock(events, 'release'));
  try {
    const { tuf } = await readPublished(directory, join(config.signing.keys, TRUSTED_ROOT), events);
    if (tuf?.published === undefined) {
      throw new TreewrightError(
        'input/no-release',
        `${directory} has no metadata that could be renewed; make a release first, or fetch what is published`,
        { data: { directory } },
      );
    }
    const signers = await presentSigners(config.signing.keys);
    const plan = await planTufUpdate(tuf, {
      signers,
      validity: config.signing.expires,
      now: Math.floor(now.getTime() / 1000),
    });
    for (const diagnostic of plan.diagnostics) events({ type: 'diagnostic', diagnostic });
    warnOfWhatEndsFirst(plan, signers, events);
    checkpoint();
    await removeStaleTemporaries(directory);
    await writeTufUpdate(directory, plan);
    return {
      output,
      roles: ROLES.map((role) => {
        const { version, expires } = plan.state.published[role].signed;
        return { role, version, expires, renewed: role in signers };
      }),
    };
  } finally {
    await lock.release();
  }
}

type PresentSigners = Partial<Record<RefreshedRole, readonly Signer[]>>;

async function presentSigners(keys: string): Promise<PresentSigners> {
  const present: PresentSigners = { ...(await loadSigners(keys, ['timestamp'])) };
  for (const role of ['targets', 'snapshot'] as const) {
    try {
      Object.assign(present, await loadSigners(keys, [role]));
    } catch (error) {
      if (!isTreewrightError(error) || error.code !== 'trust/missing-key') throw error;
    }
  }
  return present;
}

/** A fresh timestamp is of no use once the file it leads to has expired. */
function warnOfWhatEndsFirst({ state }: TufPlan, signers: PresentSigners, events: EventSink): void {
  const { timestamp, ...others } = state.published;
  const end = parseTufTime(timestamp.signed.expires) ?? 0;
  for (const { signed } of Object.values(others)) {
    if (signed.role in signers || (parseTufTime(signed.expires) ?? 0) >= end) continue;
    events({
      type: 'diagnostic',
      diagnostic: {
        severity: 'warning',
        code: 'trust/expires-first',
        message:
          `the ${signed.role} metadata expires on ${signed.expires}, before the new timestamp does; bring its key ` +
          'here, or make a release',
      },
    });
  }
}

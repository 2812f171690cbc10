/** A published release, opened to make something of it: its metadata verified, its objects verified as they are read. */
import { join } from 'node:path';
import type { Config } from '../config/types.ts';
import { TreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import { readFileIfThere } from '../platform/files.ts';
import type { ByteStore } from '../platform/store.ts';
import { openStore, subStore } from '../platform/store.ts';
import { verifyTufRepository } from '../trust/tuf-verify.ts';
import { listReleases } from './catalog.ts';
import type { ReleaseManifest } from './manifest.ts';
import { readManifest } from './read-manifest.ts';
import { TRUSTED_ROOT } from './session.ts';

export interface OpenedRelease {
  readonly manifest: ReleaseManifest;
  /** The OSTree repository. */
  readonly repo: ByteStore;
}

export interface OpenReleaseOptions {
  readonly config: Config;
  /** The release directory; the configuration's when absent. */
  readonly release?: string;
  /** The newest of the configuration's branch when absent. */
  readonly version?: string;
  readonly events: EventSink;
  readonly now: Date;
}

/** Throws `trust/...` when anything about the release is not as it was signed, `usage/no-such-version`. */
export async function openRelease(options: OpenReleaseOptions): Promise<OpenedRelease> {
  const { config, events, now } = options;
  const location = options.release ?? config.output;
  const store = openStore(location);
  events({ type: 'stage', stage: 'trust', title: 'Checking the TUF metadata' });
  const trustedRoot = await readFileIfThere(join(config.signing.keys, TRUSTED_ROOT));
  const tuf = await verifyTufRepository(subStore(store, 'tuf'), {
    ...(trustedRoot === undefined ? {} : { trustedRoot }),
    now: Math.floor(now.getTime() / 1000),
  });
  for (const diagnostic of tuf.warnings) events({ type: 'diagnostic', diagnostic });
  const { targets } = tuf.targets.signed;
  const releases = listReleases(targets).filter(({ branch }) => branch === config.ostree.branch);
  const entry =
    options.version === undefined
      ? releases.at(-1)
      : releases.find(({ version }) => version === options.version);
  if (entry === undefined) {
    const known = releases.map(({ version }) => version);
    throw new TreewrightError(
      'usage/no-such-version',
      `${options.version ?? 'any release'} of ${config.ostree.branch} is not in ${location}; ` +
        (known.length === 0 ? 'there are none' : `there are: ${known.join(', ')}`),
      { data: { known } },
    );
  }
  return { manifest: await readManifest(store, targets, entry), repo: subStore(store, 'ostree') };
}

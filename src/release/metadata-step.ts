/** The TUF metadata of a release directory: what makes a release the one that devices see. */
import { join } from 'node:path';
import type { TufDocument, TufRole, TufRoot } from '../formats/tuf.ts';
import { writeFileAtomic } from '../platform/files.ts';
import type { RootRole } from '../trust/tuf-root.ts';
import { createRoot } from '../trust/tuf-root.ts';
import { planTufUpdate, writeTufUpdate } from '../trust/tuf-update.ts';
import { withRelease } from './catalog.ts';
import type { DeltaStats } from './delta-stats.ts';
import type { ReleaseManifest } from './manifest.ts';
import { sha256 } from './release-files.ts';
import type { ReleaseSession } from './session.ts';
import { TRUSTED_ROOT } from './session.ts';

/** A manifest as it stands on disk. */
export interface StoredManifest {
  readonly manifest: ReleaseManifest;
  readonly bytes: Uint8Array;
  /** The document beside the repository that tells what its deltas cost. */
  readonly deltaStats?: DeltaStats;
}

/**
 * Adds a release to the targets and signs the metadata; the rename of timestamp.json is the switch. Without a
 * release everything is signed again for a new expiry.
 */
export async function publishMetadata(session: ReleaseSession, release?: StoredManifest): Promise<void> {
  const { config, signers, tuf, targets, now, output, events } = session;
  const time = Math.floor(now.getTime() / 1000);
  const root = tuf === undefined ? (session.trustedRoot ?? (await makeRoot(session, time))) : undefined;
  const plan = await planTufUpdate(tuf, {
    ...(root === undefined ? {} : { root }),
    ...(release === undefined
      ? {}
      : {
          targets: withRelease(
            targets,
            release.manifest,
            { length: release.bytes.length, sha256: sha256(release.bytes) },
            release.deltaStats,
          ),
        }),
    signers: {
      ...(signers.targets === undefined ? {} : { targets: signers.targets }),
      ...(signers.snapshot === undefined ? {} : { snapshot: signers.snapshot }),
      ...(signers.timestamp === undefined ? {} : { timestamp: signers.timestamp }),
    },
    validity: config.signing.expires,
    now: time,
  });
  for (const diagnostic of plan.diagnostics) events({ type: 'diagnostic', diagnostic });
  await writeTufUpdate(join(output, 'tuf'), plan);
}

/** The first root, kept beside the keys before anything is published under it. */
async function makeRoot({ config, signers }: ReleaseSession, now: number): Promise<TufDocument<TufRoot>> {
  const keysOf = (role: TufRole): RootRole => ({
    keys: (signers[role] ?? []).map((signer) => signer.public),
  });
  const root = await createRoot({
    keys: {
      root: keysOf('root'),
      targets: keysOf('targets'),
      snapshot: keysOf('snapshot'),
      timestamp: keysOf('timestamp'),
    },
    signers: signers.root ?? [],
    validity: config.signing.expires.root,
    now,
  });
  await writeFileAtomic(join(config.signing.keys, TRUSTED_ROOT), root.bytes);
  return root;
}

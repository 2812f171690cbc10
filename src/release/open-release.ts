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
import { releaseDirectory } from './manifest.ts';
import { readManifest } from './read-manifest.ts';
import { sha256 } from './release-files.ts';
import { TRUSTED_ROOT } from './session.ts';

export interface OpenedRelease {
  readonly manifest: ReleaseManifest;
  /** The OSTree repository. */
  readonly repo: ByteStore;
  /** A boot file of the release by its path, such as `boot/boot.scr`, as the manifest vouches for it; undefined when it has none. */
  readonly bootFile: (path: string) => Promise<Uint8Array | undefined>;
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
  const manifest = await readManifest(store, targets, entry);
  return {
    manifest,
    repo: subStore(store, 'ostree'),
    bootFile: (path) => readBootFile(store, manifest, path),
  };
}

async function readBootFile(
  store: ByteStore,
  { boot, version }: ReleaseManifest,
  path: string,
): Promise<Uint8Array | undefined> {
  const file = boot?.files.find((each) => each.path === path);
  if (file === undefined) return undefined;
  const name = `${releaseDirectory(version)}/${path}`;
  const bytes = await store.read(name, file.size);
  if (bytes !== undefined && sha256(bytes) === file.sha256) return bytes;
  throw new TreewrightError(
    bytes === undefined ? 'trust/missing-file' : 'trust/corrupt-file',
    `${name} in ${store.location} is ${bytes === undefined ? 'missing' : 'not the file that the manifest names'}`,
    { data: { path: name } },
  );
}

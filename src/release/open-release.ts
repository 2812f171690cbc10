/** A published release, opened to make something of it: its metadata verified, its objects verified as they are read. */
import { join } from 'node:path';
import type { Config } from '../config/types.ts';
import { TreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import { readFileIfThere } from '../platform/files.ts';
import type { ByteStore } from '../platform/store.ts';
import { openStore, subStore } from '../platform/store.ts';
import { verifyTufRepository } from '../trust/tuf-verify.ts';
import type { ReleaseEntry, Targets } from './catalog.ts';
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

/** The releases of the configuration's branch in a release directory. */
export interface OpenedCatalog {
  readonly store: ByteStore;
  readonly targets: Targets;
  /** Oldest first. */
  readonly releases: readonly ReleaseEntry[];
  /** The release of a version, or the newest. Throws `usage/no-such-version`. */
  readonly find: (version?: string) => ReleaseEntry;
}

/** Throws `trust/...` when the metadata is not as it was signed. */
export async function openCatalog(options: Omit<OpenReleaseOptions, 'version'>): Promise<OpenedCatalog> {
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
  const find = (wanted?: string): ReleaseEntry => {
    const entry = wanted === undefined ? releases.at(-1) : releases.find(({ version }) => version === wanted);
    if (entry !== undefined) return entry;
    const known = releases.map(({ version }) => version);
    throw new TreewrightError(
      'usage/no-such-version',
      `${wanted ?? 'any release'} of ${config.ostree.branch} is not in ${location}; ` +
        (known.length === 0 ? 'there are none' : `there are: ${known.join(', ')}`),
      { data: { known } },
    );
  };
  return { store, targets, releases, find };
}

/** Throws `trust/...` when anything about the release is not as it was signed, `usage/no-such-version`. */
export async function openRelease(options: OpenReleaseOptions): Promise<OpenedRelease> {
  const { store, targets, find } = await openCatalog(options);
  const manifest = await readManifest(store, targets, find(options.version));
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

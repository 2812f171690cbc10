/** Reading one release back: every object, delta, boot file and app blob against what its manifest says. */
import type { Checksum } from '../core/checksum.ts';
import { forEachConcurrent } from '../core/concurrency.ts';
import { TreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import { verifyApp } from '../apps/verify.ts';
import { verifyDelta } from '../delta/verify.ts';
import { superblockPath } from '../formats/ostree-delta-index.ts';
import type { ByteStore } from '../platform/store.ts';
import { subStore } from '../platform/store.ts';
import { commitMetaPath } from '../repo/paths.ts';
import type { KnownTrees } from '../repo/read.ts';
import { listObjects, readCommit, readContent, readDirMeta, readMetadata } from '../repo/read.ts';
import { metadataString } from '../repo/refs.ts';
import { verifyCommitSignature } from '../trust/ostree-sign.ts';
import { MAX_DOCUMENT_SIZE } from './documents.ts';
import type { ManifestFile, ReleaseManifest } from './manifest.ts';
import { releaseDirectory } from './manifest.ts';
import { PACKAGES_KEY } from './provenance.ts';
import { sha256 } from './release-files.ts';

/** Detached metadata holds signatures; this many bytes hold thousands. */
const MAX_COMMITMETA_SIZE = 1024 * 1024;
/** A boot file held in memory at most, in bytes: scripts and environments, never a kernel. */
const MAX_BOOT_FILE_SIZE = 16 * 1024 * 1024;
/** Requests at once: hides the latency of a web server without troubling it. */
const CONCURRENCY = 8;

export interface VerifyContentOptions {
  readonly events: EventSink;
  /** Commits whose objects were checked before and need not be read again. */
  readonly known?: readonly Checksum[];
  /** Objects checked before; what is checked now is added. */
  readonly checked?: Set<Checksum>;
  /** True for a release whose deltas may have been removed, because newer ones came after it. */
  readonly deltasMayBeGone?: boolean;
}

/** What was read and found right. */
export interface VerifiedContent {
  readonly objects: number;
  readonly bytes: number;
  readonly deltas: number;
  readonly apps: number;
}

/** Throws the first thing found broken, as a `trust/` error. `store` is rooted at the release directory. */
export async function verifyReleaseContent(
  store: ByteStore,
  manifest: ReleaseManifest,
  options: VerifyContentOptions,
): Promise<VerifiedContent> {
  const repo = subStore(store, 'ostree');
  await verifyCommit(repo, manifest);
  const objects = await verifyObjects(repo, manifest, options);
  let deltas = 0;
  for (const delta of manifest.deltas) {
    const ends = {
      to: manifest.ostree.commit,
      ...(delta.from === undefined ? {} : { from: delta.from }),
    };
    if (options.deltasMayBeGone === true && (await isGone(repo, superblockPath(ends)))) continue;
    await verifyDelta(repo, { ...ends, superblock: delta.superblock.sha256 });
    deltas++;
  }
  const { boot, updateCost, sbom, packages, sizeDifference, documents = [] } = manifest;
  const check = async (files: readonly (ManifestFile | undefined)[], limit: number): Promise<void> => {
    for (const file of files) {
      if (file === undefined) continue;
      await verifyFile(store, `${releaseDirectory(manifest.version)}/${file.path}`, file, limit);
    }
  };
  await check([...(boot?.files ?? []), updateCost], MAX_BOOT_FILE_SIZE);
  await check([sbom, packages, sizeDifference, ...documents], MAX_DOCUMENT_SIZE);
  for (const app of manifest.apps) await verifyApp(subStore(store, 'apps'), app);
  return { ...objects, deltas, apps: manifest.apps.length };
}

async function isGone(repo: ByteStore, path: string): Promise<boolean> {
  return (await repo.head(path, 1)) === undefined;
}

/** Throws unless the commit is there and carries a signature by one of `keys`. */
export async function verifySignedCommit(
  repo: ByteStore,
  commit: Checksum,
  keys: readonly Uint8Array[],
): Promise<void> {
  const bytes = await readMetadata(repo, commit, 'commit');
  const signatures = await repo.read(commitMetaPath(commit), MAX_COMMITMETA_SIZE);
  verifyCommitSignature(bytes, signatures, keys, commit);
}

async function verifyCommit(repo: ByteStore, { ostree, version, packages }: ReleaseManifest): Promise<void> {
  await verifySignedCommit(
    repo,
    ostree.commit,
    ostree.publicKeys.map((key) => Buffer.from(key, 'base64')),
  );
  const commit = await readCommit(repo, ostree.commit);
  const claims = [
    ['root dirtree', commit.rootTree, ostree.rootTree],
    ['root dirmeta', commit.rootMeta, ostree.rootMeta],
    ['parent', commit.parent ?? 'none', ostree.parent ?? 'none'],
    ['timestamp', String(commit.timestamp), String(ostree.timestamp)],
    ['version', metadataString(commit.metadata, 'version') ?? 'none', version],
    ['packages.json', metadataString(commit.metadata, PACKAGES_KEY) ?? 'none', packages?.sha256 ?? 'none'],
  ] as const;
  for (const [what, found, expected] of claims) {
    if (found === expected) continue;
    throw new TreewrightError(
      'trust/bad-manifest',
      `commit ${ostree.commit} has the ${what} ${found}, its release manifest says ${expected}`,
      { data: { what, found, expected } },
    );
  }
}

async function verifyObjects(
  repo: ByteStore,
  { ostree }: ReleaseManifest,
  { events, known = [], checked = new Set() }: VerifyContentOptions,
): Promise<Pick<VerifiedContent, 'objects' | 'bytes'>> {
  const trees: KnownTrees = new Map();
  for (const commit of known) {
    const reachable = await listObjects(repo, commit, trees);
    for (const checksum of [...reachable.files.keys(), ...reachable.dirmetas]) checked.add(checksum);
  }
  // Walking reads and checks every dirtree.
  const { files, dirmetas, dirtrees } = await listObjects(repo, ostree.commit, trees);
  await forEachConcurrent(dirmetas, CONCURRENCY, async (checksum) => {
    if (!checked.has(checksum)) await readDirMeta(repo, checksum);
    checked.add(checksum);
  });
  let bytes = 0;
  let done = 0;
  await forEachConcurrent(files.keys(), CONCURRENCY, async (checksum) => {
    if (!checked.has(checksum)) {
      for await (const chunk of (await readContent(repo, checksum)).chunks) bytes += chunk.length;
      checked.add(checksum);
    }
    done++;
    events({ type: 'progress', stage: 'verify', what: 'objects', done, total: files.size, unit: 'items' });
  });
  const total = files.size + dirmetas.size + dirtrees.size + 1;
  if (total !== ostree.objects) {
    throw new TreewrightError(
      'trust/bad-manifest',
      `commit ${ostree.commit} reaches ${total} objects, its release manifest says ${ostree.objects}`,
    );
  }
  return { objects: total, bytes };
}

async function verifyFile(
  store: ByteStore,
  path: string,
  expected: { readonly size: number; readonly sha256: Checksum },
  limit: number,
): Promise<void> {
  const bytes = await store.read(path, limit);
  if (bytes === undefined) {
    throw new TreewrightError('trust/missing-file', `${path} is missing from ${store.location}`, {
      data: { path },
    });
  }
  if (bytes.length === expected.size && sha256(bytes) === expected.sha256) return;
  throw new TreewrightError(
    'trust/corrupt-file',
    `${path} in ${store.location} is not the file its release manifest names: ` +
      `${bytes.length} bytes with SHA-256 ${sha256(bytes)}, expected ${expected.size} with ${expected.sha256}`,
    { data: { path } },
  );
}

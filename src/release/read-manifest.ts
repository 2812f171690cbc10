import { TreewrightError } from '../core/errors.ts';
import { hashedTargetPath } from '../formats/tuf.ts';
import type { ByteStore } from '../platform/store.ts';
import { verifyTargetBytes } from '../trust/tuf-verify.ts';
import type { ReleaseEntry, Targets } from './catalog.ts';
import { targetCommit } from './catalog.ts';
import type { ReleaseManifest } from './manifest.ts';
import { MAX_MANIFEST_SIZE, decodeManifest, manifestTarget } from './manifest.ts';

/** Reads a release's manifest, checked against the TUF target that vouches for it, under both of its names. */
export async function readManifest(
  store: ByteStore,
  targets: Targets,
  entry: ReleaseEntry,
): Promise<ReleaseManifest> {
  const name = manifestTarget(entry.version);
  const target = targets.get(name);
  const digest = target?.hashes['sha256'];
  if (target === undefined || digest === undefined) {
    throw new TreewrightError('trust/bad-target', `the TUF targets have no SHA-256 of ${name}`, {
      data: { name },
    });
  }
  let manifest: ReleaseManifest | undefined;
  for (const path of [name, hashedTargetPath(name, digest)]) {
    const bytes = await store.read(path, MAX_MANIFEST_SIZE);
    if (bytes === undefined) {
      throw new TreewrightError('trust/missing-file', `${path} is missing from ${store.location}`, {
        data: { path },
      });
    }
    verifyTargetBytes(path, target, bytes);
    manifest ??= decodeManifest(bytes, name);
  }
  if (manifest === undefined) throw new TreewrightError('internal/no-manifest', `${name} was not read`);
  checkAgreement(manifest, targets, entry);
  return manifest;
}

/** What the targets say of a release twice must be the same. */
function checkAgreement(manifest: ReleaseManifest, targets: Targets, entry: ReleaseEntry): void {
  const claims = [
    ['version', manifest.version, entry.version],
    ['product', manifest.product, entry.product],
    ['machine', manifest.machine, entry.machine],
    ['branch', manifest.ostree.branch, entry.branch],
    ['commit', manifest.ostree.commit, entry.commit],
    ['commit', manifest.ostree.commit, targetCommit(targets, entry)],
  ] as const;
  for (const [what, found, expected] of claims) {
    if (found === expected) continue;
    throw new TreewrightError(
      'trust/bad-manifest',
      `${manifestTarget(entry.version)} names the ${what} ${found}, the TUF targets name ${expected}`,
      { data: { what, found, expected } },
    );
  }
}

/** The releases of a directory, as its TUF targets list them: nothing else is a source of truth about them. */
import { isChecksum, parseChecksum } from '../core/checksum.ts';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import type { JsonObject } from '../formats/canonical-json.ts';
import type { TufTarget } from '../formats/tuf.ts';
import type { DeltaStats } from './delta-stats.ts';
import type { ReleaseManifest } from './manifest.ts';
import { manifestTarget } from './manifest.ts';

export type Targets = ReadonlyMap<string, TufTarget>;

/** One published release. */
export interface ReleaseEntry {
  readonly product: string;
  readonly machine: string;
  readonly version: string;
  readonly sequence: number;
  readonly branch: string;
  readonly commit: Checksum;
}

const MANIFEST_NAME = /^releases\/[^/]+\/release\.json$/;

function textMember(custom: JsonObject, name: string, target: string): string {
  const value = custom[name];
  if (typeof value === 'string' && value !== '') return value;
  throw new TreewrightError('trust/bad-target', `the TUF target ${target} says nothing usable as ${name}`, {
    data: { target },
  });
}

/** Every release that the targets list, oldest first. */
export function listReleases(targets: Targets): ReleaseEntry[] {
  const entries: ReleaseEntry[] = [];
  for (const [name, { custom = {} }] of targets) {
    if (!MANIFEST_NAME.test(name)) continue;
    const { sequence } = custom;
    if (typeof sequence !== 'number') {
      throw new TreewrightError('trust/bad-target', `the TUF target ${name} has no sequence number`);
    }
    const version = textMember(custom, 'version', name);
    if (manifestTarget(version) !== name) {
      throw new TreewrightError('trust/bad-target', `the TUF target ${name} claims to be version ${version}`);
    }
    entries.push({
      product: textMember(custom, 'product', name),
      machine: textMember(custom, 'machine', name),
      version,
      sequence,
      branch: textMember(custom, 'branch', name),
      commit: parseChecksum(textMember(custom, 'commit', name), `commit of ${name}`),
    });
  }
  return entries.sort((a, b) => a.sequence - b.sequence);
}

/** The name under which aktualizr and its kin find the commit. */
export function ostreeTarget({ product, version }: Pick<ReleaseEntry, 'product' | 'version'>): string {
  return `${product}-${version}`;
}

/** The earlier targets and the two of a new release: its manifest and its commit. */
export function withRelease(
  targets: Targets,
  manifest: ReleaseManifest,
  manifestBytes: { readonly length: number; readonly sha256: Checksum },
  deltaStats?: DeltaStats,
): Map<string, TufTarget> {
  const { product, machine, version, sequence, created, ostree } = manifest;
  return new Map([
    ...targets,
    [
      manifestTarget(version),
      {
        length: manifestBytes.length,
        hashes: { sha256: manifestBytes.sha256 },
        custom: { product, machine, version, sequence, branch: ostree.branch, commit: ostree.commit },
      },
    ],
    [
      ostreeTarget(manifest),
      {
        // aktualizr's way of naming a commit: no file, and the commit's checksum as its digest.
        length: 0,
        hashes: { sha256: ostree.commit },
        custom: {
          name: product,
          version,
          hardwareIds: [machine],
          targetFormat: 'OSTREE',
          uri: null,
          createdAt: created,
          updatedAt: created,
          ...(deltaStats === undefined ? {} : { 'delta-stats': { ...deltaStats } }),
        },
      },
    ],
  ]);
}

/** The commit that the OSTree target of a release names. */
export function targetCommit(targets: Targets, entry: ReleaseEntry): Checksum {
  const name = ostreeTarget(entry);
  const digest = targets.get(name)?.hashes['sha256'];
  if (digest === undefined || !isChecksum(digest)) {
    throw new TreewrightError('trust/bad-target', `the TUF targets do not name the commit of ${name}`, {
      data: { target: name },
    });
  }
  return digest;
}

/** `treewright verify`: everything a release directory claims, from disk or a web server, believing nothing. */
import { readFile, stat } from 'node:fs/promises';
import type { Checksum } from '../core/checksum.ts';
import type { Diagnostic } from '../core/diagnostics.ts';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import { parseDeltaName, superblockPath } from '../formats/ostree-delta-index.ts';
import { MAX_SUMMARY_SIZE, decodeSummary } from '../formats/ostree-summary.ts';
import { decodeTufFile } from '../formats/tuf.ts';
import type { ByteStore } from '../platform/store.ts';
import { openStore, subStore } from '../platform/store.ts';
import { readRef } from '../repo/read.ts';
import { verifySummarySignature } from '../trust/ostree-sign.ts';
import { verifyTufRepository } from '../trust/tuf-verify.ts';
import type { ReleaseEntry } from './catalog.ts';
import { listReleases } from './catalog.ts';
import type { ReleaseManifest } from './manifest.ts';
import { verifyDeltaStats } from './delta-stats.ts';
import { readManifest } from './read-manifest.ts';
import { verifyReleaseContent, verifySignedCommit } from './verify-content.ts';

export interface VerifyOptions {
  /** A release directory, or the URL that serves one. */
  readonly location: string;
  /** A trusted root.json; without it the directory's own first root is believed, with a warning. */
  readonly root?: string;
  readonly events: EventSink;
  readonly now: Date;
}

export interface VerifiedRelease {
  readonly version: string;
  readonly commit: Checksum;
  readonly objects: number;
  readonly deltas: number;
  readonly apps: number;
}

export interface VerifyReport {
  readonly location: string;
  readonly product: string;
  readonly machine: string;
  /** Oldest first. */
  readonly releases: readonly VerifiedRelease[];
  readonly root: { readonly version: number; readonly trusted: boolean };
  /** When the first of the roles' metadata expires. */
  readonly expires: string;
  readonly warnings: readonly Diagnostic[];
}

/** Throws the first broken thing as an error of domain `trust`. */
export async function verifyRelease(options: VerifyOptions): Promise<VerifyReport> {
  const { location, events, now } = options;
  await checkLocation(location);
  const store = openStore(location);
  const warnings: Diagnostic[] = [];
  const warn = (diagnostic: Diagnostic): void => {
    warnings.push(diagnostic);
    events({ type: 'diagnostic', diagnostic });
  };

  events({ type: 'stage', stage: 'trust', title: 'Checking the TUF metadata' });
  const tuf = await verifyTufRepository(subStore(store, 'tuf'), {
    ...(options.root === undefined ? {} : { trustedRoot: await readRoot(options.root) }),
    now: Math.floor(now.getTime() / 1000),
  });
  tuf.warnings.forEach(warn);
  const { targets } = tuf.targets.signed;
  const entries = listReleases(targets);
  const newest = entries.at(-1);
  if (newest === undefined) {
    throw new TreewrightError('trust/no-release', `the TUF targets of ${location} name no release`);
  }

  const newestOnBranch = new Set(new Map(entries.map((entry) => [entry.branch, entry])).values());
  const checked = new Set<Checksum>();
  const releases: VerifiedRelease[] = [];
  let manifest: ReleaseManifest | undefined;
  for (const entry of entries) {
    events({ type: 'stage', stage: 'verify', title: `Checking release ${entry.version}` });
    manifest = await readManifest(store, targets, entry);
    const { objects, deltas, apps } = await verifyReleaseContent(store, manifest, {
      events,
      checked,
      deltasMayBeGone: !newestOnBranch.has(entry),
    });
    await verifyDeltaStats(subStore(store, 'ostree'), targets, entry);
    releases.push({ version: entry.version, commit: entry.commit, objects, deltas, apps });
    events({
      type: 'done',
      stage: 'verify',
      summary: `${entry.version}: ${objects} objects, ${deltas} delta${deltas === 1 ? '' : 's'}`,
    });
  }
  if (manifest !== undefined) await verifyPointers(subStore(store, 'ostree'), entries, manifest, warn);
  const expiries = [tuf.root, tuf.targets, tuf.snapshot, tuf.timestamp].map(({ signed }) => signed.expires);
  return {
    location,
    product: newest.product,
    machine: newest.machine,
    releases,
    root: { version: tuf.root.signed.version, trusted: options.root !== undefined },
    expires: expiries.sort()[0] ?? '',
    warnings,
  };
}

async function readRoot(path: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new TreewrightError(
      'input/no-root',
      `the trusted root ${path} cannot be read (${systemErrorCode(error) ?? 'unknown error'})`,
      { cause: error, data: { path } },
    );
  }
  // Whatever is wrong with it is told under its own name.
  decodeTufFile('root', bytes, path);
  return bytes;
}

/** A mistyped place is not a broken release. User and password of an address never get into a message. */
async function checkLocation(location: string): Promise<void> {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(location)?.[1]?.toLowerCase();
  if (scheme === undefined) {
    const about = await stat(location);
    if (about.isDirectory()) return;
    throw new TreewrightError('input/not-a-directory', `${location} is not a release directory, but a file`, {
      data: { path: location },
    });
  }
  const refuse = (reason: string): TreewrightError =>
    new TreewrightError('usage/bad-url', `the address ${reason}; expected a directory or https://host/path`);
  if (scheme !== 'http' && scheme !== 'https') throw refuse(`has the scheme ${scheme}://`);
  const url = URL.canParse(location) ? new URL(location) : undefined;
  if (url === undefined) throw refuse('is not a valid URL');
  if (url.username !== '' || url.password !== '') {
    throw refuse(`of ${url.host} holds a user name or password, which are not sent`);
  }
  if (url.search !== '' || url.hash !== '') throw refuse(`of ${url.host} has a query or fragment`);
}

/**
 * The summary and the branch, which devices follow without TUF. A run killed between them and the TUF timestamp
 * leaves them one release ahead: whole and signed, and therefore a warning.
 */
async function verifyPointers(
  repo: ByteStore,
  entries: readonly ReleaseEntry[],
  newest: ReleaseManifest,
  warn: (diagnostic: Diagnostic) => void,
): Promise<void> {
  const bytes = await repo.read('summary', MAX_SUMMARY_SIZE);
  if (bytes === undefined) {
    throw new TreewrightError('trust/missing-file', `${repo.location} has no summary`, {
      data: { path: 'summary' },
    });
  }
  const keys = newest.ostree.publicKeys.map((key) => Buffer.from(key, 'base64'));
  verifySummarySignature(bytes, await repo.read('summary.sig', MAX_SUMMARY_SIZE), keys);
  const summary = decodeSummary(bytes);
  for (const [name] of summary.deltas) {
    const path = superblockPath(parseDeltaName(name));
    if ((await repo.head(path, 1)) !== undefined) continue;
    throw new TreewrightError(
      'trust/missing-delta',
      `the summary of ${repo.location} lists the static delta ${name}, but ${path} is missing`,
      { data: { delta: name, path } },
    );
  }
  const last = new Map(entries.map((entry) => [entry.branch, entry.commit]));
  for (const [branch, commit] of last) {
    const pointers = [
      ['the summary', summary.refs.find(({ ref }) => ref === branch)?.commit],
      ['the ref', await readRef(repo, branch)],
    ] as const;
    for (const [what, found] of pointers) {
      if (found === commit) continue;
      if (found !== undefined) await verifySignedCommit(repo, found, keys);
      warn({
        severity: 'warning',
        code: 'trust/branch-differs',
        message:
          `${what} of branch ${branch} names ${found ?? 'no commit'}, the newest published release is ${commit}; ` +
          'if a release was interrupted, run it again',
      });
    }
  }
}

/** The OSTree side of a release: commit, signature, deltas, summary, ref, in the order in which they may appear. */
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import type { Vardict } from '../formats/gvariant.ts';
import type { Commit } from '../formats/ostree-objects.ts';
import { decodeCommit, encodeCommit } from '../formats/ostree-objects.ts';
import { readFileIfThere, writeFileAtomic } from '../platform/files.ts';
import { openStore } from '../platform/store.ts';
import { writeCommit } from '../repo/commit.ts';
import { commitMetaPath } from '../repo/paths.ts';
import { readMetadata, readRef } from '../repo/read.ts';
import { buildSummary, writeRef } from '../repo/refs.ts';
import type { Transaction } from '../repo/transaction.ts';
import type { Signer } from '../trust/ed25519.ts';
import { signCommit } from '../trust/ostree-sign.ts';
import type { DeltaFilter } from '../delta/list.ts';
import { deltaDigests } from '../delta/list.ts';
import { replaceSummary } from './summary.ts';

/**
 * The commit a killed run left on the branch when it is the one this run would make at another time: same parent,
 * tree, metadata. Taking it up again keeps devices that have pulled it already on the branch.
 */
async function unpublishedTwin(repo: string, branch: string, wanted: Commit): Promise<Checksum | undefined> {
  const store = openStore(repo);
  const head = await readRef(store, branch);
  if (head === undefined || head === wanted.parent) return undefined;
  const bytes = await readMetadata(store, head, 'commit');
  const twin = encodeCommit({ ...wanted, timestamp: decodeCommit(bytes).timestamp });
  return Buffer.compare(bytes, twin) === 0 ? head : undefined;
}

/** Stores the commit in the transaction, unless a killed run has stored the same one already. */
export async function storeCommit(
  repo: string,
  transaction: Transaction,
  branch: string,
  commit: Commit & { readonly metadata: Vardict },
): Promise<Checksum> {
  return (await unpublishedTwin(repo, branch, commit)) ?? (await writeCommit(transaction, commit));
}

/** Adds our signature to the commit's detached metadata. */
export async function signStoredCommit(
  repo: string,
  commit: Checksum,
  signers: readonly Signer[],
): Promise<void> {
  const path = join(repo, commitMetaPath(commit));
  const bytes = await readMetadata(openStore(repo), commit, 'commit');
  await writeFileAtomic(path, await signCommit(bytes, signers, await readFileIfThere(path)));
}

export interface BranchUpdate {
  readonly repo: string;
  readonly branch: string;
  readonly commit: Checksum;
  readonly signers: readonly Signer[];
  /** Seconds since 1970. */
  readonly lastModified: number;
  /** The deltas that the summary lists. */
  readonly listed: DeltaFilter;
}

/** The summary as it will be once the branch has moved. */
export async function branchSummary(update: BranchUpdate): Promise<Uint8Array> {
  const { repo, branch, commit, lastModified, listed } = update;
  return buildSummary({
    repo,
    deltas: await deltaDigests(repo, listed),
    lastModified,
    pending: new Map([[branch, commit]]),
  });
}

/** Replaces the signed summary, then moves the branch. */
export async function publishBranch(update: BranchUpdate): Promise<void> {
  const { repo, branch, commit, signers } = update;
  await replaceSummary(repo, await branchSummary(update), signers);
  await writeRef(repo, branch, commit);
}

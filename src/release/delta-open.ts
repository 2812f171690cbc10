/** Finding the delta that a command is about, and who vouches for it. */
import { TreewrightError } from '../core/errors.ts';
import { deltaCommitMeta } from '../delta/apply.ts';
import type { OpenedDelta } from '../delta/read.ts';
import { deltaAt, deltaInRepository, openDelta } from '../delta/read.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaName } from '../formats/ostree-delta-index.ts';
import { encodeDetachedMetadata } from '../formats/ostree-signatures.ts';
import { openStore } from '../platform/store.ts';
import { loadPublicKeyFile } from '../trust/keys.ts';
import { verifyCommitSignature, verifyDeltaSignature } from '../trust/ostree-sign.ts';
import { resolveRevision } from './revision.ts';

/** A delta by itself, or the one between two commits in a repository. */
export interface DeltaChoice {
  /** A directory or file that is a delta. */
  readonly delta?: string;
  /** A repository, on disk or behind a URL, that holds the delta. */
  readonly source?: string;
  /** Branches or commits of `source`. */
  readonly from?: string;
  readonly to?: string;
}

/** Throws `usage/which-delta` unless it names exactly one. */
export async function openChosen({ delta, source, from, to }: DeltaChoice): Promise<OpenedDelta> {
  if (delta !== undefined) {
    if (from !== undefined || to !== undefined) {
      throw new TreewrightError(
        'usage/which-delta',
        'a delta by itself knows its two commits: leave --from and --to away',
      );
    }
    return openDelta(await deltaAt(delta));
  }
  if (source === undefined || to === undefined) {
    throw new TreewrightError(
      'usage/which-delta',
      'say which delta: its file or directory, or a repository and --to, and --from unless it is from nothing',
    );
  }
  const store = openStore(source);
  const commit = await resolveRevision(store, to);
  const ends: DeltaEnds =
    from === undefined ? { to: commit } : { from: await resolveRevision(store, from), to: commit };
  return openDelta(deltaInRepository(store, ends), ends);
}

/**
 * What the keys of a file vouch for: the superblock, or the commit inside, whose checksum covers everything that it
 * reaches. A signature of the superblock that is there must be right. Throws `trust/...`.
 */
export async function checkDeltaSignature(
  { superblock, bytes, signatures }: OpenedDelta,
  publicKey: string,
): Promise<'superblock' | 'commit'> {
  const keys = await loadPublicKeyFile(publicKey);
  if (signatures !== undefined) {
    verifyDeltaSignature(bytes, signatures, keys, deltaName(superblock));
    return 'superblock';
  }
  const commitMeta = deltaCommitMeta(superblock);
  if (commitMeta === undefined) {
    throw new TreewrightError(
      'trust/unsigned',
      `neither the superblock of static delta ${deltaName(superblock)} nor the commit in it is signed`,
      { data: { delta: deltaName(superblock) } },
    );
  }
  verifyCommitSignature(superblock.commit, encodeDetachedMetadata(commitMeta), keys, superblock.to);
  return 'commit';
}

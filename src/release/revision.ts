/** Naming a commit on the command line. */
import type { Checksum } from '../core/checksum.ts';
import { isChecksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import type { ByteStore } from '../platform/store.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { requireWhole } from '../repo/partial.ts';
import { readCommit, readRef } from '../repo/read.ts';

/**
 * The commit that `revision` names, as for ostree: 64 hexadecimal digits or a branch, and a `^` for each step to
 * the parent. Throws `usage/unknown-revision`; whether a commit named by its checksum is there is not looked at.
 */
export async function resolveRevision(store: ByteStore, revision: string): Promise<Checksum> {
  const unknown = (why: string): TreewrightError =>
    new TreewrightError('usage/unknown-revision', `${JSON.stringify(revision)} ${why}`, {
      data: { revision, location: store.location },
    });
  const name = revision.replace(/\^+$/, '');
  let commit = isChecksum(name) ? name : await readRef(store, name);
  if (commit === undefined) {
    throw unknown(
      /^[0-9a-f]{6,63}$/.test(name)
        ? `is neither a branch of ${store.location} nor a whole commit checksum of 64 digits`
        : `is neither a branch of ${store.location} nor a commit checksum`,
    );
  }
  for (let step = name.length; step < revision.length; step++) {
    const { parent } = await readCommit(store, commit);
    if (parent === undefined) throw unknown(`goes beyond ${commit}, which has no parent`);
    commit = parent;
  }
  return commit;
}

/**
 * The two ends of a delta that is to be made in the repository the store is rooted at, on disk. Throws
 * `usage/same-commit`, and what `resolveRevision` and `requireWhole` throw.
 */
export async function resolveEnds(
  store: ByteStore,
  { from, to }: { readonly from?: string; readonly to: string },
): Promise<DeltaEnds> {
  const target = await resolveRevision(store, to);
  const source = from === undefined ? undefined : await resolveRevision(store, from);
  if (source === target) {
    throw new TreewrightError('usage/same-commit', `a delta needs two different commits, both are ${target}`);
  }
  await requireWhole(store.location, target);
  if (source === undefined) return { to: target };
  await requireWhole(store.location, source);
  return { from: source, to: target };
}

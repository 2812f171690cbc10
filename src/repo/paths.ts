/** Where things are inside an OSTree archive repository, relative to its root. */
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';

/** `file` is the content object, stored compressed as `.filez` in an archive repository. */
export type ObjectType = 'commit' | 'dirtree' | 'dirmeta' | 'file';

const EXTENSION: Readonly<Record<ObjectType, string>> = {
  commit: 'commit',
  dirtree: 'dirtree',
  dirmeta: 'dirmeta',
  file: 'filez',
};

/** `objects/ab/cdef….filez` and so on. */
export function objectPath(checksum: Checksum, type: ObjectType): string {
  return `objects/${checksum.slice(0, 2)}/${checksum.slice(2)}.${EXTENSION[type]}`;
}

/** Detached metadata of a commit: signatures. */
export function commitMetaPath(commit: Checksum): string {
  return `objects/${commit.slice(0, 2)}/${commit.slice(2)}.commitmeta`;
}

/** One component of a ref: what ostree_validate_rev accepts. */
const REF_NAME = /^[-._\w\d]+(\/[-._\w\d]+)*$/;

/** Refuses what libostree would not accept as a ref, and what would leave refs/heads. */
export function checkRefName(ref: string): string {
  const bad = ref.split('/').some((part) => part.startsWith('.') || part.startsWith('-'));
  if (REF_NAME.test(ref) && !bad) return ref;
  throw new TreewrightError(
    'usage/bad-ref',
    `${JSON.stringify(ref)} is not an OSTree ref: use letters, digits, "-", "_" and "." in parts joined by "/"`,
  );
}

/** `refs/heads/<ref>`. */
export function refPath(ref: string): string {
  return `refs/heads/${checkRefName(ref)}`;
}

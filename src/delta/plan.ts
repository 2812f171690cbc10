/**
 * What a delta has to carry and in which order. Pure: everything is decided from lists of objects and headers.
 *
 * Order matters twice: similar content that lies together compresses better, and the order must not depend on
 * anything but the two commits, so that the same commits give the same bytes.
 */
import { compareUtf8 } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import type { ReachableObjects } from '../repo/read.ts';

/** A content object that the target has and the source lacks. */
export interface NewFile {
  readonly checksum: Checksum;
  /** Every path it stands at in the target, without a leading slash. */
  readonly paths: readonly string[];
}

export interface NewObjects {
  /** In the order of the walk, parents before what they hold. */
  readonly dirtrees: readonly Checksum[];
  readonly dirmetas: readonly Checksum[];
  readonly files: readonly NewFile[];
}

/** What `to` reaches and `from` does not. */
export function newObjects(to: ReachableObjects, from?: ReachableObjects): NewObjects {
  return {
    dirtrees: [...to.dirtrees].filter((checksum) => from?.dirtrees.has(checksum) !== true),
    dirmetas: [...to.dirmetas].filter((checksum) => from?.dirmetas.has(checksum) !== true),
    files: [...to.files]
      .filter(([checksum]) => from?.files.has(checksum) !== true)
      .map(([checksum, paths]) => ({ checksum, paths })),
  };
}

/** Numbers and dotted or dashed rows of them, as in `python3.11`, `libfoo.so.1.2`, `6.1.0-31`. */
const VERSION = /\d+(?:[.+~-]\d+)*/g;

function withoutVersions(text: string): string {
  return text.replace(VERSION, '#');
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** Old files that share a name are all candidates, unless the name says nothing (`__init__.py`, `Makefile`). */
const MAX_NAMESAKES = 64;

/** Candidates for one file; each costs the worker a read. */
export const MAX_CANDIDATES = 4;

/** An old file that a new one may be a later version of. */
export interface Candidate {
  readonly checksum: Checksum;
  /** True when it stands at the same path, which is as good as certain. */
  readonly samePath: boolean;
}

/** Best guess first: same path, same path but for version numbers, same name, same name but for versions. */
export type CandidateFinder = (file: NewFile) => readonly Candidate[];

interface OldFile {
  readonly path: string;
  readonly checksum: Checksum;
}

export function candidateFinder(from: ReachableObjects): CandidateFinder {
  const byPath = new Map<string, OldFile>();
  const byLoosePath = new Map<string, OldFile[]>();
  const byName = new Map<string, OldFile[]>();
  const byLooseName = new Map<string, OldFile[]>();
  const add = (index: Map<string, OldFile[]>, key: string, file: OldFile): void => {
    const list = index.get(key);
    if (list) list.push(file);
    else index.set(key, [file]);
  };
  for (const [checksum, paths] of from.files) {
    for (const path of paths) {
      const file = { path, checksum };
      const name = baseName(path);
      byPath.set(path, file);
      add(byLoosePath, withoutVersions(path), file);
      add(byName, name, file);
      add(byLooseName, withoutVersions(name), file);
    }
  }

  return ({ paths }) => {
    const found = new Map<Checksum, Candidate>();
    for (const path of paths) {
      const same = byPath.get(path);
      if (same) found.set(same.checksum, { checksum: same.checksum, samePath: true });
    }
    const take = (list: readonly OldFile[] | undefined, near: string): void => {
      if (list === undefined || list.length > MAX_NAMESAKES) return;
      const ranked = [...list].sort(
        (a, b) => sharedPath(b.path, near) - sharedPath(a.path, near) || compareUtf8(a.path, b.path),
      );
      for (const { checksum } of ranked) {
        if (found.size >= MAX_CANDIDATES) return;
        if (!found.has(checksum)) found.set(checksum, { checksum, samePath: false });
      }
    };
    for (const path of paths) {
      const name = baseName(path);
      take(byLoosePath.get(withoutVersions(path)), path);
      take(byName.get(name), path);
      take(byLooseName.get(withoutVersions(name)), path);
    }
    return [...found.values()];
  };
}

/** Characters that two paths share at both ends: a rough measure of how near they are. */
function sharedPath(a: string, b: string): number {
  const limit = Math.min(a.length, b.length);
  let start = 0;
  while (start < limit && a[start] === b[start]) start++;
  let end = 0;
  while (end < limit - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  return start + end;
}

/** What must be known about a content object to plan with it. */
export interface FileFacts {
  readonly size: number;
  readonly mode: number;
  readonly isSymlink: boolean;
}

/** A file this small costs less than the checksum of a source and the operations to read it. */
export const MIN_DIFF_SIZE = 128;

/** An old file that is this many times larger or smaller is not a version of the new one. */
export const MAX_SIZE_RATIO = 8;

/**
 * Others must be allowed to read a source: a client without privileges that has it in a parent repository could not
 * open it otherwise (libostree has the same rule).
 */
export function mayBeRead({ mode, isSymlink }: FileFacts): boolean {
  return !isSymlink && (mode & 0o004) !== 0;
}

/** True when `old` may serve as the source of `fresh`. */
function isUsableSource(old: FileFacts, fresh: FileFacts): boolean {
  return (
    mayBeRead(old) &&
    !fresh.isSymlink &&
    old.size > 0 &&
    fresh.size >= MIN_DIFF_SIZE &&
    old.size <= fresh.size * MAX_SIZE_RATIO &&
    fresh.size <= old.size * MAX_SIZE_RATIO
  );
}

/** The candidates a worker shall judge by their content: usable ones, and one alone when it is certain. */
export function chooseSources<Old extends FileFacts & { readonly checksum: Checksum }>(
  candidates: readonly (Candidate & { readonly facts: Old })[],
  fresh: FileFacts,
): Old[] {
  const usable = candidates.filter(({ facts }) => isUsableSource(facts, fresh));
  const [first] = usable;
  return first?.samePath === true ? [first.facts] : usable.map(({ facts }) => facts);
}

/** A new file with its facts and the sources that are left after looking at theirs. */
export interface PlannedFile<Facts extends FileFacts = FileFacts> extends NewFile {
  readonly facts: Facts;
  readonly sources: readonly { readonly checksum: Checksum; readonly size: number }[];
}

/** Sorts files so that alike stand together: symlinks, new files, changed files, each by kind, name and path. */
export function orderFiles<File extends PlannedFile>(files: readonly File[]): File[] {
  const keyed = files.map((file) => {
    const path = file.paths[0] ?? '';
    const rank = file.facts.isSymlink ? 0 : file.sources.length === 0 ? 1 : 2;
    return { file, key: [String(rank), kindOf(path), withoutVersions(baseName(path)), path] };
  });
  keyed.sort((a, b) => {
    for (const [i, part] of a.key.entries()) {
      const order = compareUtf8(part, b.key[i] ?? '');
      if (order !== 0) return order;
    }
    return compareUtf8(a.file.checksum, b.file.checksum);
  });
  return keyed.map(({ file }) => file);
}

/** A name's extension, `so` for versioned libraries, or the directory for names without one. */
function kindOf(path: string): string {
  const name = baseName(path);
  if (/\.so(\.|$)/.test(name)) return '.so';
  const extension = /\.[A-Za-z][A-Za-z0-9_]{0,7}$/.exec(name.slice(1))?.[0];
  return extension ?? path.slice(0, path.lastIndexOf('/') + 1);
}

/** What grew and what shrank from one release to another, by package and by file. Pure. */
import { compareUtf8 } from '../core/bytes.ts';
import type { InstalledPackage, PackageDocument } from './packages.ts';

/** Bytes; `before` is absent for what is new, `after` for what is gone. */
export interface SizeChange {
  readonly before?: number;
  readonly after?: number;
  readonly difference: number;
}

export interface FileSizeChange extends SizeChange {
  /** In the commit, with a leading slash. */
  readonly path: string;
}

export interface PackageSizeChange extends SizeChange {
  /** Absent for the files that no package has. */
  readonly name?: string;
  /** Empty when the build does not tell. */
  readonly versionBefore?: string;
  readonly versionAfter?: string;
  /** Those whose size changed, largest difference first. */
  readonly files: readonly FileSizeChange[];
}

/** `size-difference.json`. */
export interface SizeDifference {
  readonly from: string;
  readonly to: string;
  readonly before: number;
  readonly after: number;
  readonly difference: number;
  /** Those with another version, size or set of files, largest difference first. */
  readonly packages: readonly PackageSizeChange[];
  /** Packages that are in both with the same version and files of the same sizes. */
  readonly unchanged: number;
}

/** With the number of files that changed instead of the files, of which there may be many. */
export type SizeSummary = Omit<SizeDifference, 'packages'> & {
  readonly packages: readonly (Omit<PackageSizeChange, 'files'> & { readonly files: number })[];
};

export function summarizeSizes(difference: SizeDifference): SizeSummary {
  const packages = difference.packages.map((change) => ({ ...change, files: change.files.length }));
  return { ...difference, packages };
}

interface Installed {
  readonly version: string;
  readonly document: PackageDocument;
}

export function compareSizes(from: Installed, to: Installed): SizeDifference {
  const [before, after] = [byName(from.document), byName(to.document)];
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const packages: PackageSizeChange[] = [];
  for (const name of names) {
    const change = packageChange(name, before.get(name), after.get(name));
    if (change !== undefined) packages.push(change);
  }
  const others = filesChange(from.document.others, to.document.others);
  if (others.files.length > 0) packages.push(others);
  return {
    from: from.version,
    to: to.version,
    before: from.document.bytes,
    after: to.document.bytes,
    difference: to.document.bytes - from.document.bytes,
    packages: packages.sort((a, b) => magnitude(b) - magnitude(a) || compareUtf8(a.name ?? '', b.name ?? '')),
    unchanged: names.length - packages.filter(({ name }) => name !== undefined).length,
  };
}

function byName({ packages }: PackageDocument): Map<string, InstalledPackage> {
  return new Map(packages.map((each) => [each.name, each]));
}

function packageChange(
  name: string,
  before: InstalledPackage | undefined,
  after: InstalledPackage | undefined,
): PackageSizeChange | undefined {
  const change = filesChange(before, after);
  const same = before !== undefined && after !== undefined && before.version === after.version;
  if (same && change.files.length === 0) return undefined;
  return {
    name,
    ...(before === undefined ? {} : { versionBefore: before.version }),
    ...(after === undefined ? {} : { versionAfter: after.version }),
    ...change,
  };
}

interface Files {
  readonly bytes: number;
  readonly files: Readonly<Record<string, number>>;
}

function filesChange(
  before: Files | undefined,
  after: Files | undefined,
): SizeChange & { readonly files: FileSizeChange[] } {
  const old = new Map(Object.entries(before?.files ?? {}));
  const files: FileSizeChange[] = [];
  for (const [path, size] of Object.entries(after?.files ?? {})) {
    const known = old.get(path);
    if (known !== size) files.push({ path, ...sizeChange(known, size) });
    old.delete(path);
  }
  for (const [path, size] of old) files.push({ path, ...sizeChange(size, undefined) });
  files.sort((a, b) => magnitude(b) - magnitude(a) || compareUtf8(a.path, b.path));
  return { ...sizeChange(before?.bytes, after?.bytes), files };
}

function sizeChange(before: number | undefined, after: number | undefined): SizeChange {
  return {
    ...(before === undefined ? {} : { before }),
    ...(after === undefined ? {} : { after }),
    difference: (after ?? 0) - (before ?? 0),
  };
}

function magnitude({ difference }: SizeChange): number {
  return Math.abs(difference);
}

/**
 * packages.json of a release: every package with its version and licences, and every file with the package it is from
 * and its size. The commit's metadata has its SHA-256 as `treewright.packages`; the next release is compared with it.
 */
import * as z from 'zod';
import { compareUtf8, fromUtf8, utf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';
import type { ByteStore } from '../platform/store.ts';
import type { PackageFact } from '../sources/types.ts';
import type { FileTree, RegularFile } from '../tree/types.ts';
import { walk } from '../tree/walk.ts';
import { MAX_DOCUMENT_SIZE } from './documents.ts';
import type { ReleaseManifest } from './manifest.ts';
import { releaseDirectory } from './manifest.ts';
import { sha256 } from './release-files.ts';

/** The name within the release's directory. */
export const PACKAGES = 'packages.json';

const size = z.int().nonnegative();
/** Bytes of each file by its path in the commit, which begins with a slash. */
const files = z.record(z.string().startsWith('/'), size);

const packageSchema = z.strictObject({
  name: z.string(),
  /** Empty when the build does not tell. */
  version: z.string(),
  arch: z.string().optional(),
  licenses: z.string().optional(),
  cpe: z.string().optional(),
  licenseFiles: z.array(z.string()).optional(),
  sourceArchive: z.string().optional(),
  sourceSite: z.string().optional(),
  /** Of its files. */
  bytes: size,
  files,
});

const documentSchema = z.strictObject({
  schema: z.literal(1),
  /** Of all files. */
  bytes: size,
  /** By name. */
  packages: z.array(packageSchema),
  /** Files of no package: the kernel, and what is made after the packages. */
  others: z.strictObject({ bytes: size, files }),
});

export type PackageDocument = z.infer<typeof documentSchema>;
export type InstalledPackage = PackageDocument['packages'][number];

interface Share {
  bytes: number;
  readonly files: [string, number][];
}

/**
 * What is installed in a tree that is laid out as it will be committed. Hard links are one file, at the first of their
 * paths. A package that only the list of files names is there without a version.
 */
export function describePackages(
  tree: FileTree,
  packages: readonly PackageFact[],
  owners: ReadonlyMap<RegularFile, string>,
): PackageDocument {
  const shares = new Map<string | undefined, Share>();
  const share = (owner: string | undefined): Share => {
    const found = shares.get(owner) ?? { bytes: 0, files: [] };
    shares.set(owner, found);
    return found;
  };
  const seen = new Set<RegularFile>();
  walk(tree, (path, node) => {
    if (node.kind !== 'file' || seen.has(node)) return;
    seen.add(node);
    const bytes = node.content.kind === 'stored' ? node.content.size : node.content.bytes.length;
    const own = share(owners.get(node));
    own.bytes += bytes;
    own.files.push([`/${path}`, bytes]);
  });
  const described = new Set(packages.map(({ name }) => name));
  const facts: PackageFact[] = [...packages];
  for (const name of shares.keys()) {
    if (name !== undefined && !described.has(name)) facts.push({ name, version: '' });
  }
  const part = (owner: string | undefined): { bytes: number; files: Record<string, number> } => {
    const { bytes, files } = share(owner);
    return { bytes, files: Object.fromEntries(files.sort(([a], [b]) => compareUtf8(a, b))) };
  };
  return {
    schema: 1,
    bytes: [...shares.values()].reduce((sum, { bytes }) => sum + bytes, 0),
    packages: facts
      .sort((a, b) => compareUtf8(a.name, b.name))
      .map(({ licenseFiles, ...fact }) => ({
        ...fact,
        ...(licenseFiles === undefined ? {} : { licenseFiles: [...licenseFiles] }),
        ...part(fact.name),
      })),
    others: part(undefined),
  };
}

/** One line a file, so that any text comparison shows what changed. Throws `input/large-document`. */
export function encodePackages(document: PackageDocument): Uint8Array {
  const bytes = utf8(`${JSON.stringify(documentSchema.parse(document), null, 1)}\n`);
  if (bytes.length <= MAX_DOCUMENT_SIZE) return bytes;
  throw new TreewrightError(
    'input/large-document',
    `the list of files and packages has ${bytes.length} bytes; at most ${MAX_DOCUMENT_SIZE} become part of a release`,
  );
}

/** Throws `trust/bad-packages`. */
export function decodePackages(bytes: Uint8Array, name: string): PackageDocument {
  try {
    return documentSchema.parse(JSON.parse(fromUtf8(bytes) ?? ''));
  } catch (error) {
    throw new TreewrightError('trust/bad-packages', `${name} is not a list of packages of treewright`, {
      cause: error,
      data: { path: name },
    });
  }
}

/** packages.json of a release as its manifest vouches for it; undefined when the release has none. */
export async function readPackages(
  store: ByteStore,
  { version, packages }: ReleaseManifest,
): Promise<PackageDocument | undefined> {
  if (packages === undefined) return undefined;
  const name = `${releaseDirectory(version)}/${packages.path}`;
  const bytes = await store.read(name, MAX_DOCUMENT_SIZE);
  if (bytes !== undefined && bytes.length === packages.size && sha256(bytes) === packages.sha256) {
    return decodePackages(bytes, name);
  }
  throw new TreewrightError(
    bytes === undefined ? 'trust/missing-file' : 'trust/corrupt-file',
    `${name} in ${store.location} is ${bytes === undefined ? 'missing' : 'not the file that the manifest names'}`,
    { data: { path: name } },
  );
}

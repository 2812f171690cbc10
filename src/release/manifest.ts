/**
 * release.json: the one document that binds a release together. It is a TUF target, so every file it names by
 * digest is vouched for by the targets role. Unknown members are refused: a verifier must not pass over
 * what it does not understand.
 */
import * as z from 'zod';
import { isChecksum } from '../core/checksum.ts';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';

/** The most a verifier reads, in bytes. */
export const MAX_MANIFEST_SIZE = 4 * 1024 * 1024;

const checksum = z.custom<Checksum>((value) => typeof value === 'string' && isChecksum(value), {
  error: '64 lower-case hexadecimal digits',
});
const size = z.int().nonnegative();
/** Relative, without empty, `.` and `..` components. */
const relativePath = z
  .string()
  .refine((path) => path.split('/').every((part) => part !== '' && part !== '.' && part !== '..'), {
    error: 'a plain relative path',
  });

const deltaSchema = z.strictObject({
  /** Absent for the delta from nothing. */
  from: checksum.optional(),
  fromVersion: z.string().optional(),
  /** Directory of the delta, relative to the OSTree repository. */
  path: relativePath,
  superblock: z.strictObject({ size, sha256: checksum }),
  parts: z.array(z.strictObject({ size, sha256: checksum })),
  /** Content objects a client fetches besides the parts. */
  fallbacks: z.array(z.strictObject({ checksum, size })),
  /** What a device downloads with the delta, and what it would download without. */
  bytes: size,
  looseBytes: size,
});

const fileSchema = z.strictObject({ path: relativePath, size, sha256: checksum });

const bootSchema = z.strictObject({
  loader: z.enum(['u-boot', 'extlinux']),
  /** SHA-256 over kernel, initramfs and device trees: what changes when a device must copy them to /boot anew. */
  bootcsum: checksum,
  kargs: z.array(z.string()),
  /** Files below the release's directory. */
  files: z.array(fileSchema),
});

const appSchema = z.strictObject({
  name: z.string(),
  /** SHA-256 of the app's OCI manifest. */
  digest: checksum,
  manifestSize: size,
  /** Everything the artifact consists of, without the container images. */
  bytes: size,
  services: z.array(z.strictObject({ name: z.string(), image: z.string() })),
});

const manifestSchema = z.strictObject({
  schema: z.literal(1),
  product: z.string(),
  machine: z.string(),
  version: z.string(),
  /** Counts the releases of this directory, from 1. */
  sequence: z.int().positive(),
  /** RFC 3339, UTC, whole seconds. */
  created: z.string(),
  /** The version whose tree this release brings back. */
  rollbackOf: z.string().optional(),
  source: z.strictObject({
    kind: z.string(),
    /** What made the build, such as `Buildroot 2025.02.16`. */
    tool: z.string().optional(),
    architecture: z.string().optional(),
    init: z.string().optional(),
    os: z.string().optional(),
    kernel: z.string().optional(),
    /** Where the sources of the kernel came from. */
    kernelSource: z
      .strictObject({
        version: z.string().optional(),
        sources: z.array(z.strictObject({ uri: z.string(), revision: z.string().optional() })),
      })
      .optional(),
    /** Layers of a Yocto build. */
    layers: z
      .array(
        z.strictObject({
          name: z.string(),
          branch: z.string().optional(),
          revision: z.string().optional(),
          modified: z.boolean().optional(),
        }),
      )
      .optional(),
    /** Version of libostree in the tree. */
    libostree: z.string().optional(),
    packages: size.optional(),
  }),
  ostree: z.strictObject({
    branch: z.string(),
    osname: z.string(),
    layout: z.string(),
    commit: checksum,
    parent: checksum.optional(),
    /** Seconds since 1970. */
    timestamp: size,
    rootTree: checksum,
    rootMeta: checksum,
    objects: size,
    /** What a device without any object downloads. */
    downloadBytes: size,
    /** ed25519 public keys, base64, one of which has signed the commit. */
    publicKeys: z.array(z.string()),
  }),
  deltas: z.array(deltaSchema),
  boot: bootSchema.optional(),
  apps: z.array(appSchema),
  /** SBOM and other files about the build, below the release's directory. */
  documents: z.array(fileSchema).optional(),
  /** What updates to this release cost; absent in releases of earlier versions of treewright. */
  updateCost: fileSchema.optional(),
  /** The packages, as CycloneDX; absent when the build does not name them. */
  sbom: fileSchema.optional(),
  /** Packages and files with their sizes; absent in releases of earlier versions of treewright. */
  packages: fileSchema.optional(),
  /** What grew since the release before on the branch; absent without one that has `packages`. */
  sizeDifference: fileSchema.optional(),
});

export type ReleaseManifest = z.infer<typeof manifestSchema>;
export type ManifestDelta = ReleaseManifest['deltas'][number];
export type ManifestApp = ReleaseManifest['apps'][number];
export type ManifestFile = z.infer<typeof fileSchema>;
export type ManifestBoot = NonNullable<ReleaseManifest['boot']>;

/** `releases/<version>`, relative to the release directory. */
export function releaseDirectory(version: string): string {
  return `releases/${version}`;
}

/** The TUF target's name, and its path below the release directory. */
export function manifestTarget(version: string): string {
  return `${releaseDirectory(version)}/release.json`;
}

/** Two-space JSON with a final newline: it is read by people, too. */
export function encodeManifest(manifest: ReleaseManifest): Uint8Array {
  return Buffer.from(`${JSON.stringify(manifestSchema.parse(manifest), null, 2)}\n`);
}

/** Throws `trust/bad-manifest` naming the first member that is not as it must be. */
export function decodeManifest(bytes: Uint8Array, name: string): ReleaseManifest {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new TreewrightError('trust/bad-manifest', `${name} is not JSON`, { cause: error });
  }
  const result = manifestSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new TreewrightError(
    'trust/bad-manifest',
    `${name} is not a release manifest: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
    { data: { name } },
  );
}

/**
 * OCI image format: descriptors, manifests, the image layout's index.json and oci-layout file.
 * Source: OCI image-spec 1.1, descriptor.md, manifest.md, image-layout.md.
 */
import { fromUtf8, utf8 } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import { isChecksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';

declare const digestBrand: unique symbol;

/** `sha256:` and 64 lower-case hexadecimal digits; other algorithms are not used here. */
export type Digest = string & { readonly [digestBrand]: true };

export function isDigest(text: string): text is Digest {
  return text.startsWith('sha256:') && isChecksum(text.slice(7));
}

/** The digest of a SHA-256. */
export function digestOf(checksum: Checksum): Digest {
  return `sha256:${checksum}` as Digest;
}

/** The hexadecimal part of a digest, which is the name of its blob. */
export function digestHex(digest: Digest): Checksum {
  return digest.slice(7) as Checksum;
}

/** Where an image layout keeps a blob. */
export function blobPath(digest: Digest): string {
  return `blobs/sha256/${digestHex(digest)}`;
}

export const MEDIA_TYPES = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  empty: 'application/vnd.oci.empty.v1+json',
} as const;

/** The two-byte config of artifacts that have none (image-spec, "Guidance for an Empty Descriptor"). */
export const EMPTY_CONFIG = {
  content: utf8('{}'),
  descriptor: {
    mediaType: MEDIA_TYPES.empty,
    digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a' as Digest,
    size: 2,
  },
} as const;

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Readonly<Record<string, unknown>>;
}

/** An image manifest, also used for artifacts. */
export interface ImageManifest {
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An image index, such as a layout's index.json or the list of an image's architectures. */
export interface ImageIndex {
  readonly manifests: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The content of a layout's `oci-layout` file. */
export const OCI_LAYOUT = '{"imageLayoutVersion":"1.0.0"}';

/** index.json grows with every release; registries refuse manifests beyond 4 MiB, we stop well above. */
export const MAX_INDEX_SIZE = 16 * 1024 * 1024;

const MAX_LAYERS = 1000;
const MAX_MANIFESTS = 100_000;

/** Canonical text: members in the order of the specification, annotations sorted, no spaces. */
export function encodeImageManifest(manifest: ImageManifest): Uint8Array {
  return utf8(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.manifest,
      ...(manifest.artifactType === undefined ? {} : { artifactType: manifest.artifactType }),
      config: orderedDescriptor(manifest.config),
      layers: manifest.layers.map(orderedDescriptor),
      ...annotationsOf(manifest.annotations),
    }),
  );
}

export function encodeImageIndex(index: ImageIndex): Uint8Array {
  return utf8(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.index,
      manifests: index.manifests.map(orderedDescriptor),
      ...annotationsOf(index.annotations),
    }),
  );
}

function orderedDescriptor(descriptor: Descriptor): Record<string, unknown> {
  return {
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: descriptor.size,
    ...(descriptor.platform === undefined ? {} : { platform: descriptor.platform }),
    ...(descriptor.artifactType === undefined ? {} : { artifactType: descriptor.artifactType }),
    ...annotationsOf(descriptor.annotations),
  };
}

function annotationsOf(annotations: Readonly<Record<string, string>> | undefined): Record<string, unknown> {
  if (annotations === undefined || Object.keys(annotations).length === 0) return {};
  const sorted = Object.entries(annotations).sort(([a], [b]) => (a < b ? -1 : 1));
  return { annotations: Object.fromEntries(sorted) };
}

/** Strict reading: every member known, typed and in bounds. `what` names the document in errors. */
export function decodeImageManifest(bytes: Uint8Array, what = 'the manifest'): ImageManifest {
  const json = readObject(bytes, what);
  known(
    json,
    ['schemaVersion', 'mediaType', 'artifactType', 'config', 'layers', 'annotations', 'subject'],
    what,
  );
  expectHead(json, MEDIA_TYPES.manifest, what);
  const artifactType = optionalString(json['artifactType'], `${what}: artifactType`);
  const annotations = decodeAnnotations(json['annotations'], what);
  return {
    ...(artifactType === undefined ? {} : { artifactType }),
    config: decodeDescriptor(json['config'], `${what}: config`),
    layers: list(json['layers'], MAX_LAYERS, `${what}: layers`).map((layer, i) =>
      decodeDescriptor(layer, `${what}: layers[${i}]`),
    ),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

/** An image index; tools may have left out `mediaType`, as the specification of layouts allows. */
export function decodeImageIndex(bytes: Uint8Array, what = 'index.json'): ImageIndex {
  const json = readObject(bytes, what);
  known(json, ['schemaVersion', 'mediaType', 'artifactType', 'manifests', 'annotations', 'subject'], what);
  if (json['mediaType'] !== undefined) expectHead(json, MEDIA_TYPES.index, what);
  const annotations = decodeAnnotations(json['annotations'], what);
  return {
    manifests: list(json['manifests'], MAX_MANIFESTS, `${what}: manifests`).map((entry, i) =>
      decodeDescriptor(entry, `${what}: manifests[${i}]`),
    ),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

/** Checks a layout's `oci-layout` file; only version 1.0.0 exists. */
export function checkOciLayout(bytes: Uint8Array, what = 'oci-layout'): void {
  const json = readObject(bytes, what);
  if (json['imageLayoutVersion'] !== '1.0.0') {
    throw bad(
      `${what}: imageLayoutVersion must be "1.0.0", found ${JSON.stringify(json['imageLayoutVersion'])}`,
    );
  }
}

function bad(message: string): TreewrightError {
  return new TreewrightError('input/bad-oci', message);
}

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readObject(bytes: Uint8Array, what: string): Json {
  const text = fromUtf8(bytes);
  if (text === undefined) throw bad(`${what} is not UTF-8`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw bad(`${what} is not JSON: ${error instanceof Error ? error.message : ''}`);
  }
  if (!isObject(json)) throw bad(`${what} must be a JSON object`);
  return json;
}

function known(json: Json, names: readonly string[], what: string): void {
  const extra = Object.keys(json).find((name) => !names.includes(name));
  if (extra !== undefined)
    throw bad(`${what} has the member ${JSON.stringify(extra)}, which does not belong there`);
}

function expectHead(json: Json, mediaType: string, what: string): void {
  if (json['schemaVersion'] !== 2) throw bad(`${what}: schemaVersion must be 2`);
  if (json['mediaType'] !== mediaType) {
    throw bad(`${what}: mediaType must be ${mediaType}, found ${JSON.stringify(json['mediaType'])}`);
  }
}

function list(value: unknown, most: number, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw bad(`${what} must be a list`);
  if (value.length > most) throw bad(`${what} has ${value.length} entries, more than ${most}`);
  return value;
}

function optionalString(value: unknown, what: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw bad(`${what} must be text`);
}

function decodeAnnotations(value: unknown, what: string): Readonly<Record<string, string>> | undefined {
  if (value === undefined) return undefined;
  if (!isObject(value) || Object.values(value).some((text) => typeof text !== 'string')) {
    throw bad(`${what}: annotations must map texts to texts`);
  }
  return value as Readonly<Record<string, string>>;
}

function decodeDescriptor(value: unknown, what: string): Descriptor {
  if (!isObject(value)) throw bad(`${what} must be a descriptor`);
  known(
    value,
    ['mediaType', 'digest', 'size', 'urls', 'annotations', 'data', 'artifactType', 'platform'],
    what,
  );
  const { mediaType, digest, size, platform } = value;
  if (typeof mediaType !== 'string' || mediaType === '') throw bad(`${what}: mediaType must be text`);
  if (typeof digest !== 'string' || !isDigest(digest)) {
    throw bad(`${what}: digest must be "sha256:" and 64 hexadecimal digits, found ${JSON.stringify(digest)}`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw bad(`${what}: size must be a number of bytes, found ${JSON.stringify(size)}`);
  }
  if (platform !== undefined && !isObject(platform)) throw bad(`${what}: platform must be an object`);
  const annotations = decodeAnnotations(value['annotations'], what);
  const artifactType = optionalString(value['artifactType'], `${what}: artifactType`);
  return {
    mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(platform === undefined ? {} : { platform }),
  };
}

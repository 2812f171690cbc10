/**
 * From a Compose file and its folder to a compose-app artifact in an OCI image layout.
 * Source of the artifact's form: composeapp internal/app_manifest_builder.go and pkg/compose/v1/{publish,app}.go.
 */
import { basename, dirname, join, resolve } from 'node:path';
import { utf8 } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import type { Diagnostic } from '../core/diagnostics.ts';
import { TreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import { noEvents } from '../core/events.ts';
import { isPathComponent, parseImageReference, pinnedName } from '../formats/image-reference.ts';
import type { Descriptor, Digest, ImageManifest } from '../formats/oci.ts';
import { EMPTY_CONFIG, MEDIA_TYPES, digestHex, digestOf, encodeImageManifest } from '../formats/oci.ts';
import { encodeYaml } from '../formats/yaml-text.ts';
import { COMPOSE_NAME, packApp } from './app-archive.ts';
import type { FolderEntry } from './app-folder.ts';
import { listAppFolder } from './app-folder.ts';
import { MAX_TEXT_SIZE, readOptional, readText } from './app-texts.ts';
import type { ComposeFile } from './compose-file.ts';
import { MAX_COMPOSE_SIZE, configError, pinComposeFile, readComposeFile } from './compose-file.ts';
import { IGNORE_FILE, NO_IGNORE_RULES, parseIgnoreRules } from './ignore-rules.ts';
import { addToIndex, writeBlob } from './oci-layout.ts';
import type { AppService } from './pin.ts';
import { pinServices } from './pin.ts';
import type { RegistryClient } from './registry.ts';

export const APP_ARTIFACT_TYPE = 'application/vnd.fio+compose-app';
export const APP_ARCHIVE_TYPE = 'application/octet-stream';
export const APP_ANNOTATIONS = { 'compose-app': 'v1' } as const;

/** aktualizr-lite's limit for an app's manifest, in bytes; composeapp's own is 51,200. */
export const MAX_APP_MANIFEST_SIZE = 16_384;

export interface AppSpec {
  /** One component of a repository path: lower-case letters and digits, with `.`, `_`, `-` inside. Default: the folder's name. */
  readonly name?: string;
  /** The Compose file; its folder is the app. */
  readonly compose: string;
  /** Where a registry will have the app (`host/path`), for `uri`. */
  readonly repository?: string;
  /** Go's name of the device's processor, such as `arm64`; an image that lacks it gets a warning. */
  readonly architecture?: string;
}

export interface AppOptions {
  readonly events?: EventSink;
  /** Values for variables in image names, before the `.env` file. Default: none. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Asked for images that carry no digest. Without it such an image is an error. */
  readonly registry?: RegistryClient;
  /** Directories that must not get into the archive: the signing keys, the release directory itself. */
  readonly keepOut?: readonly string[];
}

export interface AppBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
}

export interface AppDescriptor {
  readonly name: string;
  /** SHA-256 of the manifest. */
  readonly digest: Checksum;
  /** Bytes. */
  readonly manifestSize: number;
  /** `host/path@sha256:…`, when the spec names a repository. */
  readonly uri?: string;
  readonly services: readonly AppService[];
  /** The manifest first, then what it refers to. */
  readonly blobs: readonly AppBlob[];
  /** All blobs together, without the container images. */
  readonly bytes: number;
}

/** Compose files docker compose would take instead of, or besides, `docker-compose.yml`. */
const RIVAL_FILES = [
  'compose.yaml',
  'compose.yml',
  'docker-compose.yaml',
  'docker-compose.yml',
  'compose.override.yaml',
  'compose.override.yml',
  'docker-compose.override.yaml',
  'docker-compose.override.yml',
];

/**
 * Writes the app's blobs into `layout`; `listApps` then names them. The same folder and the same
 * images give the same digest, on any machine. Throws `config/*` for faults of the Compose file,
 * `input/bad-app-file` for files that cannot go along, `network/*` and `trust/*` from the registry.
 */
export async function buildApp(
  spec: AppSpec,
  layout: string,
  options: AppOptions = {},
): Promise<AppDescriptor> {
  const { events = noEvents } = options;
  const diagnostics = (diagnostic: Diagnostic): void => events({ type: 'diagnostic', diagnostic });
  const folder = dirname(resolve(spec.compose));
  const name = appName(spec, folder);
  events({ type: 'stage', stage: 'apps', title: `app ${name}` });

  const compose = readComposeFile(await readText(spec.compose, MAX_COMPOSE_SIZE), spec.compose, diagnostics);
  const entries = await appEntries(folder, basename(spec.compose), options.keepOut);
  checkReferencedFiles(compose, entries);
  const services = await pinServices(compose.services, folder, spec, options, diagnostics);

  const pinned = utf8(
    encodeYaml(
      pinComposeFile(compose.root, new Map(services.map((service) => [service.name, service.image]))),
    ),
  );
  if (pinned.length > MAX_COMPOSE_SIZE) {
    throw new TreewrightError(
      'config/compose-too-large',
      `${spec.compose} has ${pinned.length} bytes once its anchors are written out; composeapp accepts ${MAX_COMPOSE_SIZE}`,
    );
  }
  diagnostics({
    severity: 'note',
    code: 'input/no-layer-sizes',
    message: `app ${name} says nothing about the unpacked size of its images; composectl takes their download size when it checks for free space`,
  });
  const archive = await writeBlob(layout, packApp(folder, entries, pinned));
  await writeBlob(layout, [EMPTY_CONFIG.content]);
  const manifest = encodeAppManifest({ mediaType: APP_ARCHIVE_TYPE, ...archive });
  const stored = await writeBlob(layout, [manifest]);

  const blobs: AppBlob[] = [
    { digest: stored.digest, size: stored.size, mediaType: MEDIA_TYPES.manifest },
    EMPTY_CONFIG.descriptor,
    { digest: archive.digest, size: archive.size, mediaType: APP_ARCHIVE_TYPE },
  ];
  const bytes = blobs.reduce((sum, blob) => sum + blob.size, 0);
  events({
    type: 'done',
    stage: 'apps',
    summary: `app ${name}: ${services.length} services, ${bytes} bytes`,
  });
  return {
    name,
    digest: digestHex(stored.digest),
    manifestSize: stored.size,
    ...(spec.repository === undefined ? {} : { uri: appUri(spec.repository, stored.digest) }),
    services,
    blobs,
    bytes,
  };
}

/** Lists apps that `layout` holds in its index.json, as `<name>:<version>`. Throws `config/bad-version`. */
export async function listApps(
  layout: string,
  version: string,
  apps: readonly Pick<AppDescriptor, 'name' | 'digest' | 'manifestSize'>[],
): Promise<void> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._+~-]*$/.test(version)) {
    throw new TreewrightError(
      'config/bad-version',
      `the version ${JSON.stringify(version)} cannot be part of an app's name in index.json; use letters, digits and ". _ + ~ -"`,
    );
  }
  if (apps.length === 0) return;
  await addToIndex(
    layout,
    apps.map(({ name, digest, manifestSize }) => ({
      name: `${name}:${version}`,
      descriptor: {
        mediaType: MEDIA_TYPES.manifest,
        digest: digestOf(digest),
        size: manifestSize,
        artifactType: APP_ARTIFACT_TYPE,
      },
    })),
  );
}

function encodeAppManifest(archive: Descriptor): Uint8Array {
  const manifest: ImageManifest = {
    artifactType: APP_ARTIFACT_TYPE,
    config: EMPTY_CONFIG.descriptor,
    layers: [archive],
    annotations: APP_ANNOTATIONS,
  };
  const bytes = encodeImageManifest(manifest);
  if (bytes.length > MAX_APP_MANIFEST_SIZE) {
    throw new TreewrightError(
      'internal/manifest-too-large',
      `the app's manifest has ${bytes.length} bytes, more than the ${MAX_APP_MANIFEST_SIZE} devices accept`,
    );
  }
  return bytes;
}

function appName(spec: AppSpec, folder: string): string {
  const name = spec.name ?? basename(folder);
  // composeapp hands the name to Compose as the project's name, which knows no dots.
  if (isPathComponent(name) && !name.includes('.')) return name;
  throw new TreewrightError(
    'config/bad-app-name',
    `${JSON.stringify(name)} cannot name an app: lower-case letters and digits, with "-" or "_" between them${
      spec.name === undefined ? '; it is the name of the folder, set "name" to choose another one' : ''
    }`,
  );
}

function appUri(repository: string, digest: Digest): string {
  const reference = parseImageReference(repository);
  if (reference.tag !== undefined || reference.digest !== undefined) {
    throw new TreewrightError(
      'config/bad-repository',
      `${repository} must be a repository without tag and digest`,
    );
  }
  return pinnedName(reference, digest);
}

/** The folder's content without the Compose file, which is written anew. */
async function appEntries(
  folder: string,
  composeName: string,
  keepOut: readonly string[] = [],
): Promise<FolderEntry[]> {
  const rules = await readOptional(join(folder, IGNORE_FILE), MAX_TEXT_SIZE);
  const entries = await listAppFolder(
    folder,
    rules === undefined ? NO_IGNORE_RULES : parseIgnoreRules(rules),
    keepOut,
  );
  const kept = entries.filter(({ path }) => path !== composeName);
  const rival = kept.find(({ path }) => RIVAL_FILES.includes(path));
  if (rival !== undefined) {
    throw new TreewrightError(
      'input/bad-app-file',
      `${join(folder, rival.path)} would be read on the device besides or instead of ${COMPOSE_NAME}, with images that are not pinned; merge it into ${composeName} or name it in ${IGNORE_FILE}`,
      { data: { path: rival.path } },
    );
  }
  return kept;
}

function checkReferencedFiles(compose: ComposeFile, entries: readonly FolderEntry[]): void {
  const paths = new Set(entries.map(({ path }) => path));
  for (const { path, where } of compose.files) {
    if (paths.has(path)) continue;
    throw configError(
      'config/missing-file',
      where,
      `${path} is not in the app's folder, or ${IGNORE_FILE} leaves it out`,
    );
  }
}

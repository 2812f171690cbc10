/** Reading an app back from a release and trusting nothing but its digest. */
import { createHash } from 'node:crypto';
import { fromUtf8 } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError, isTreewrightError } from '../core/errors.ts';
import { parseImageReference, pinnedName } from '../formats/image-reference.ts';
import type { Descriptor, Digest } from '../formats/oci.ts';
import {
  EMPTY_CONFIG,
  MAX_INDEX_SIZE,
  blobPath,
  checkOciLayout,
  decodeImageIndex,
  decodeImageManifest,
  digestHex,
  digestOf,
} from '../formats/oci.ts';
import type { ByteStore } from '../platform/store.ts';
import { COMPOSE_NAME, readAppArchive } from './app-archive.ts';
import { APP_ANNOTATIONS, APP_ARCHIVE_TYPE, APP_ARTIFACT_TYPE, MAX_APP_MANIFEST_SIZE } from './build.ts';
import { readPinnedServices } from './compose-file.ts';

/** What a release's manifest says of an app. */
export interface ExpectedApp {
  readonly name: string;
  readonly digest: Checksum;
  readonly manifestSize: number;
  readonly bytes: number;
  readonly services: readonly { readonly name: string; readonly image: string }[];
}

const MAX_LAYOUT_FILE = 4096;

/**
 * Checks an app in `store`, which is rooted at the OCI layout: layout and index, the digest of every blob, the form
 * of the manifest, that the archive is harmless, that every image in it is pinned and is the one expected, and every
 * service's hash. Throws `trust/bad-app` naming the first fault.
 */
export async function verifyApp(store: ByteStore, expected: ExpectedApp): Promise<void> {
  const fail = (reason: string, cause?: unknown): TreewrightError =>
    new TreewrightError('trust/bad-app', `app ${expected.name}: ${reason}`, {
      cause,
      data: { app: expected.name },
    });
  try {
    await verify(store, expected, fail);
  } catch (error) {
    // Whatever form the damage takes, to the caller it is one that trust ends at.
    if (isTreewrightError(error) && !/^(?:trust|network)\//.test(error.code))
      throw fail(error.message, error);
    throw error;
  }
}

type Fail = (reason: string, cause?: unknown) => TreewrightError;

async function verify(store: ByteStore, expected: ExpectedApp, fail: Fail): Promise<void> {
  const read = async (path: string, limit: number): Promise<Uint8Array> => {
    const bytes = await store.read(path, limit);
    if (bytes === undefined) throw fail(`${store.location}/${path} is missing`);
    return bytes;
  };
  checkOciLayout(await read('oci-layout', MAX_LAYOUT_FILE), `${store.location}/oci-layout`);
  const digest = digestOf(expected.digest);
  const index = decodeImageIndex(await read('index.json', MAX_INDEX_SIZE), `${store.location}/index.json`);
  const listed = index.manifests.find((entry) => entry.digest === digest);
  if (listed === undefined) throw fail(`${store.location}/index.json does not list ${digest}`);
  if (listed.size !== expected.manifestSize)
    throw fail(`index.json gives ${listed.size} bytes for its manifest`);

  const bytes = await read(blobPath(digest), MAX_APP_MANIFEST_SIZE);
  expectContent(bytes, { digest, size: expected.manifestSize }, fail);
  const manifest = decodeImageManifest(bytes, `manifest ${digest}`);
  const [archive, ...more] = manifest.layers;
  if (manifest.artifactType !== APP_ARTIFACT_TYPE) throw fail(`its artifactType is not ${APP_ARTIFACT_TYPE}`);
  if (manifest.annotations?.['compose-app'] !== APP_ANNOTATIONS['compose-app']) {
    throw fail('its annotation "compose-app" is not "v1"');
  }
  if (
    manifest.config.digest !== EMPTY_CONFIG.descriptor.digest ||
    manifest.config.mediaType !== EMPTY_CONFIG.descriptor.mediaType
  ) {
    throw fail('its config is not the empty one');
  }
  if (archive?.mediaType !== APP_ARCHIVE_TYPE || more.length > 0) {
    throw fail(`it must have exactly one layer, of type ${APP_ARCHIVE_TYPE}`);
  }
  const sum = expected.manifestSize + manifest.config.size + archive.size;
  if (sum !== expected.bytes) throw fail(`its blobs have ${sum} bytes, expected ${expected.bytes}`);
  expectContent(
    await read(blobPath(manifest.config.digest), EMPTY_CONFIG.content.length),
    manifest.config,
    fail,
  );
  await verifyArchive(store, archive, expected, fail);
}

function expectContent(bytes: Uint8Array, blob: { digest: Digest; size: number }, fail: Fail): void {
  const found = createHash('sha256').update(bytes).digest('hex');
  if (bytes.length !== blob.size || found !== digestHex(blob.digest)) {
    throw fail(
      `blob ${blob.digest} has ${bytes.length} bytes with the SHA-256 ${found}, expected ${blob.size} bytes`,
    );
  }
}

async function verifyArchive(
  store: ByteStore,
  archive: Descriptor,
  expected: ExpectedApp,
  fail: Fail,
): Promise<void> {
  // Hashed on its own first: nothing is unpacked that is not what the manifest names.
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of await open(store, archive, fail)) {
    size += chunk.length;
    if (size > archive.size) break;
    hash.update(chunk);
  }
  const found = hash.digest('hex');
  if (size !== archive.size || found !== digestHex(archive.digest)) {
    throw fail(`blob ${archive.digest} does not have the ${archive.size} bytes its name stands for`);
  }
  const { compose } = await readAppArchive(await open(store, archive, fail), `archive ${archive.digest}`);
  const text = fromUtf8(compose);
  if (text === undefined) throw fail(`${COMPOSE_NAME} is not UTF-8`);
  const services = readPinnedServices(text, COMPOSE_NAME);
  for (const { name, image } of services) {
    const reference = parseImageReference(image);
    if (reference.digest === undefined || pinnedName(reference, reference.digest) !== image) {
      throw fail(`service ${name} has the image ${image}, which is not pinned as domain/path@sha256:…`);
    }
    const wanted = expected.services.find((service) => service.name === name);
    if (wanted === undefined) throw fail(`it has the service ${name}, which the release does not name`);
    if (wanted.image !== image)
      throw fail(`service ${name} has the image ${image}, the release names ${wanted.image}`);
  }
  const absent = expected.services.find(({ name }) => !services.some((service) => service.name === name));
  if (absent !== undefined) throw fail(`it lacks the service ${absent.name}`);
}

async function open(store: ByteStore, blob: Descriptor, fail: Fail): Promise<AsyncIterable<Uint8Array>> {
  const chunks = await store.stream(blobPath(blob.digest));
  if (chunks === undefined) throw fail(`${store.location}/${blobPath(blob.digest)} is missing`);
  return chunks;
}

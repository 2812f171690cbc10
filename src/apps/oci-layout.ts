/** Writing an OCI image layout: blobs named by their content, and the index that makes them visible, last. */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseChecksum } from '../core/checksum.ts';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import type { Descriptor, Digest, ImageIndex } from '../formats/oci.ts';
import {
  MAX_INDEX_SIZE,
  OCI_LAYOUT,
  blobPath,
  decodeImageIndex,
  digestOf,
  encodeImageIndex,
} from '../formats/oci.ts';
import { syncDirectory, temporaryName, writeFileAtomic } from '../platform/files.ts';

export const REF_NAME = 'org.opencontainers.image.ref.name';

export interface StoredBlob {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

/** Stores a blob under its digest. What is there already is left alone. */
export async function writeBlob(
  layout: string,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<StoredBlob> {
  const directory = join(layout, 'blobs/sha256');
  await mkdir(directory, { recursive: true });
  const temporary = temporaryName(join(directory, 'blob'));
  const hash = createHash('sha256');
  let size = 0;
  try {
    const handle = await open(temporary, 'wx', 0o644);
    try {
      for await (const chunk of chunks) {
        hash.update(chunk);
        size += chunk.length;
        await handle.writeFile(chunk);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    const digest = digestOf(parseChecksum(hash.digest('hex')));
    const path = join(layout, blobPath(digest));
    if (!(await hasSize(path, size))) {
      await rename(temporary, path);
      await syncDirectory(dirname(path));
    }
    return { digest, size };
  } finally {
    await rm(temporary, { force: true });
  }
}

/** A blob of another size is the rest of a broken disk or copy, and is written again. */
async function hasSize(path: string, size: number): Promise<boolean> {
  try {
    return (await stat(path)).size === size;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Adds entries to index.json, replacing those of the same name; entries of other releases stay. The `oci-layout`
 * file is made when missing. One writer at a time: the caller holds the release's lock.
 */
export async function addToIndex(
  layout: string,
  entries: readonly { name: string; descriptor: Descriptor }[],
): Promise<void> {
  const before = await readIndex(layout);
  const names = new Set(entries.map(({ name }) => name));
  const kept = before.manifests.filter(({ annotations }) => !names.has(annotations?.[REF_NAME] ?? ''));
  const added = entries.map(({ name, descriptor }) => ({
    ...descriptor,
    annotations: { ...descriptor.annotations, [REF_NAME]: name },
  }));
  const after = encodeImageIndex({ ...before, manifests: [...kept, ...added] });
  if (after.length > MAX_INDEX_SIZE) {
    throw new TreewrightError(
      'input/index-too-large',
      `${join(layout, 'index.json')} would grow beyond ${MAX_INDEX_SIZE} bytes; remove old releases`,
    );
  }
  await writeFileAtomic(join(layout, 'oci-layout'), OCI_LAYOUT);
  await writeFileAtomic(join(layout, 'index.json'), after);
}

async function readIndex(layout: string): Promise<ImageIndex> {
  const path = join(layout, 'index.json');
  try {
    return decodeImageIndex(await readFile(path), path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return { manifests: [] };
    throw error;
  }
}

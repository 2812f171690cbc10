/** Reads the SBOM that a Yocto build has put beside its image. */
import { readFile, stat } from 'node:fs/promises';
import { extract } from 'tar-stream';
import { Readable, pipeline } from 'node:stream';
import { collectBytes } from '../core/bytes.ts';
import { isTreewrightError, systemErrorCode } from '../core/errors.ts';
import type { SpdxPackage } from '../formats/spdx.ts';
import { decodeSpdx2, decodeSpdx3 } from '../formats/spdx.ts';
import { openArchive } from './open-archive.ts';

/** A larger SBOM, in bytes, goes into the release and is not looked into: as objects it takes some ten times its size. */
const MAX_SBOM_SIZE = 128 * 1024 * 1024;

/** Packages of `.spdx.json` or `.spdx.tar.zst`; none when it is too large, or not as openembedded-core makes it. */
export async function readSpdx(path: string): Promise<readonly SpdxPackage[]> {
  try {
    if ((await stat(path)).size > MAX_SBOM_SIZE) return [];
    if (path.endsWith('.json')) return decodeSpdx3(JSON.parse(await readFile(path, 'utf8'))) ?? [];
    return decodeSpdx2(await documentsOf(path));
  } catch (error) {
    // tar-stream's errors have no class of their own. A release does not fail because of what is only told about.
    if (systemErrorCode(error) === undefined || isTreewrightError(error)) return [];
    throw error;
  }
}

async function documentsOf(path: string): Promise<unknown[]> {
  const archive = await openArchive(path);
  const entries = extract();
  pipeline(Readable.from(archive.chunks(() => undefined)), entries, () => undefined);
  const documents: unknown[] = [];
  let size = 0;
  for await (const entry of entries) {
    size += entry.header.size;
    if (size > MAX_SBOM_SIZE) return [];
    const text = Buffer.from(await collectBytes(entry as AsyncIterable<Uint8Array>)).toString();
    if (entry.header.name.endsWith('.spdx.json')) documents.push(JSON.parse(text));
  }
  return documents;
}

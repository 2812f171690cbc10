/** Recognises a delta that is finished, so that it need not be made again. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isTreewrightError, systemErrorCode } from '../core/errors.ts';
import type { Vardict } from '../formats/gvariant.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaPartPath, superblockPath } from '../formats/ostree-delta-index.ts';
import type { DeltaPartEntry } from '../formats/ostree-delta.ts';
import { decodeSuperblock, decodeSuperblockFile } from '../formats/ostree-delta.ts';

export interface FinishedDelta {
  /** The superblock, without signatures around it. */
  readonly bytes: Uint8Array;
  /** The metadata entry that names how it was made. */
  readonly encoding: Vardict[number];
  readonly parts: readonly DeltaPartEntry[];
}

/**
 * The delta as it lies in the repository, when its superblock can be read, names how it was made under
 * `encodingKey`, leaves nothing to other fetches, and every part is there with the right size and checksum.
 */
export async function readFinishedDelta(
  repo: string,
  ends: DeltaEnds,
  encodingKey: string,
): Promise<FinishedDelta | undefined> {
  try {
    const { superblock: bytes } = decodeSuperblockFile(await readFile(join(repo, superblockPath(ends))));
    const { from, to, metadata, parts, fallbacks } = decodeSuperblock(bytes);
    const encoding = metadata.find(([key]) => key === encodingKey);
    if (encoding === undefined || from !== ends.from || to !== ends.to || fallbacks.length > 0)
      return undefined;
    for (const [i, part] of parts.entries()) {
      if (!(await isPart(join(repo, deltaPartPath(ends, i)), part))) return undefined;
    }
    return { bytes, encoding, parts };
  } catch (error) {
    // Whatever cannot be read is made anew.
    if (isTreewrightError(error) || systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function isPart(path: string, { size, checksum }: DeltaPartEntry): Promise<boolean> {
  if ((await stat(path)).size !== size) return false;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest('hex') === checksum;
}

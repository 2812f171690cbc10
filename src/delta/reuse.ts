/** Recognises a delta that is finished, so that it need not be made again. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isTreewrightError, systemErrorCode } from '../core/errors.ts';
import type { Vardict } from '../formats/gvariant.ts';
import { lookup } from '../formats/gvariant.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import type { DeltaFallback, DeltaPartEntry } from '../formats/ostree-delta.ts';
import { decodeSuperblock, decodeSuperblockFile } from '../formats/ostree-delta.ts';
import type { DeltaForms } from './info.ts';
import { decodeForms } from './info.ts';
import type { DeltaPlace } from './place.ts';
import { inlinePartBytes, inlinePartKey } from './read.ts';

export interface FinishedDelta {
  /** The superblock's file, with the signatures around it if there are any. */
  readonly file: Uint8Array;
  readonly parts: readonly DeltaPartEntry[];
  /** The entries that hold parts inside the superblock; none when parts are files. */
  readonly inside: Vardict;
  readonly fallbacks: readonly DeltaFallback[];
  readonly forms: DeltaForms;
}

/**
 * The delta as it lies there, when its superblock can be read, names `encoding` as the way it was made, and every
 * part is where it shall be with the right size and checksum.
 */
export async function readFinishedDelta(
  { superblock: path, directory }: DeltaPlace,
  ends: DeltaEnds,
  [key, { signature, value }]: Vardict[number],
): Promise<FinishedDelta | undefined> {
  try {
    const file = await readFile(path);
    const superblock = decodeSuperblock(decodeSuperblockFile(file).superblock);
    const { from, to, metadata, parts, fallbacks } = superblock;
    const forms = decodeForms(metadata);
    if (forms === undefined || lookup(metadata, key, signature) !== value) return undefined;
    if (from !== ends.from || to !== ends.to) return undefined;
    const inside: Vardict[number][] = [];
    for (const [i, part] of parts.entries()) {
      if (directory !== undefined) {
        if (!(await isPart(join(directory, String(i)), part))) return undefined;
        continue;
      }
      const bytes = inlinePartBytes(superblock, i);
      const entry = metadata.find(([name]) => name === inlinePartKey(ends, i));
      if (bytes?.length !== part.size || entry === undefined) return undefined;
      if (createHash('sha256').update(bytes).digest('hex') !== part.checksum) return undefined;
      inside.push(entry);
    }
    return { file, parts, inside, fallbacks, forms };
  } catch (error) {
    // Whatever cannot be read is made anew.
    const code = systemErrorCode(error);
    if (isTreewrightError(error) || code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function isPart(path: string, { size, checksum }: DeltaPartEntry): Promise<boolean> {
  if ((await stat(path)).size !== size) return false;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest('hex') === checksum;
}

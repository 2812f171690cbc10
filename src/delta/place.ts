/** Where a delta is written: in its repository, or elsewhere for transport by hand. */
import { randomBytes } from 'node:crypto';
import { readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import type { Vardict } from '../formats/gvariant.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaPartPath, deltaPath, superblockPath } from '../formats/ostree-delta-index.ts';
import { inlinePart } from '../formats/ostree-delta.ts';
import { makeDirectories, removeStaleTemporaries, syncDirectory } from '../platform/files.ts';
import { inlinePartKey } from './read.ts';

export interface DeltaPlace {
  /** The superblock's file. */
  readonly superblock: string;
  /** The directory that holds part files and nothing else but the superblock; absent when parts are inside it. */
  readonly directory?: string;
  /** A directory that looks like a repository to whoever writes parts: they lie where they stay, or move from there. */
  readonly workshop: string;
}

export interface PlaceOptions extends DeltaEnds {
  readonly repo: string;
  readonly inline: boolean;
  /** With `inline` a file, otherwise a directory. */
  readonly output?: string;
}

/** Refuses an output that is something else already, with `usage/output-exists`. */
export async function deltaPlace({ repo, inline, output, ...ends }: PlaceOptions): Promise<DeltaPlace> {
  if (output === undefined) {
    const superblock = join(repo, superblockPath(ends));
    if (!inline) return { superblock, directory: join(repo, deltaPath(ends)), workshop: repo };
    return { superblock, workshop: join(repo, 'tmp', `treewright-${randomBytes(8).toString('hex')}`) };
  }
  const there = await stat(output).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  const refuse = (why: string): never => {
    throw new TreewrightError('usage/output-exists', `${output} ${why}`, { data: { path: output } });
  };
  const workshop = join(dirname(output), `.treewright-delta-${randomBytes(8).toString('hex')}`);
  if (inline) {
    if (there?.isDirectory() === true) refuse('is a directory; a delta with its parts inside is one file');
    return { superblock: output, workshop };
  }
  if (there !== undefined) {
    if (!there.isDirectory()) refuse('is a file; a delta with its parts beside it needs a directory');
    const names = await readdir(output);
    if (names.length > 0 && !names.includes('superblock')) {
      refuse('holds other things than a delta; name an empty or a new directory');
    }
  }
  return { superblock: join(output, 'superblock'), directory: output, workshop };
}

/** Makes ready for new parts: what is there must not be taken for whole while its parts are replaced. */
export async function preparePlace({ superblock, directory, workshop }: DeltaPlace): Promise<void> {
  await makeDirectories(dirname(superblock));
  await makeDirectories(workshop);
  if (directory === undefined) return;
  await rm(superblock, { force: true });
  await removeStaleTemporaries(directory);
  await syncDirectory(directory);
}

/** Brings parts from where they were written to where they stay; answers those that go into the superblock. */
export async function placeParts(place: DeltaPlace, ends: DeltaEnds, count: number): Promise<Vardict> {
  const inside: Vardict[number][] = [];
  for (let i = 0; i < count; i++) {
    const written = join(place.workshop, deltaPartPath(ends, i));
    if (place.directory === undefined) {
      const value = inlinePart.decode(await readFile(written));
      inside.push([inlinePartKey(ends, i), { signature: inlinePart.signature, value }]);
    } else if (written !== join(place.directory, String(i))) {
      await rename(written, join(place.directory, String(i)));
    }
  }
  if (place.directory !== undefined) await syncDirectory(place.directory);
  return inside;
}

/** Removes parts that an older delta in the same place had beyond these, and what was needed for the work. */
export async function tidyPlace(
  place: DeltaPlace,
  { repo, output, ...ends }: PlaceOptions,
  count: number,
): Promise<void> {
  const directory = place.directory ?? (output === undefined ? join(repo, deltaPath(ends)) : undefined);
  if (directory !== undefined) {
    for (const name of await readdir(directory)) {
      const surplus = place.directory === undefined || Number(name) >= count;
      if (/^\d+$/.test(name) && surplus) await rm(join(directory, name));
    }
  }
  await clearWorkshop(place, repo);
}

export async function clearWorkshop({ workshop }: DeltaPlace, repo: string): Promise<void> {
  if (workshop !== repo) await rm(workshop, { recursive: true, force: true });
}

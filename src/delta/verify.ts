/** Verifies a static delta by doing what a client does with it, and checking what comes out. */
import { drain } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import { deltaName } from '../formats/ostree-delta-index.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import type { DeltaObject, Superblock } from '../formats/ostree-delta.ts';
import type { ByteStore } from '../platform/store.ts';
import type { ReachableObjects } from '../repo/read.ts';
import type { KnownTrees } from '../repo/read.ts';
import { listObjects, readContent } from '../repo/read.ts';
import { executePart } from './execute.ts';
import type { ExpectedDelta, OpenedDelta } from './read.ts';
import { blameDelta, corruptDelta, deltaInRepository, openDelta, openPart } from './read.ts';
import { sourceReader } from './sources.ts';

/**
 * Reads superblock and parts from `store` (rooted at the repository, on disk or behind HTTP), applies them to the
 * objects of `from`, and checks that every object of `to` that `from` lacks comes out with its checksum or is a
 * fallback that the repository has. Signatures are not looked at. Throws `trust/missing-delta` or
 * `trust/corrupt-delta`, and what reading the commits throws.
 */
export async function verifyDelta(store: ByteStore, expected: ExpectedDelta): Promise<void> {
  await verifyOpenedDelta(store, await openDelta(deltaInRepository(store, expected), expected));
}

/** The same for a delta that is opened, against a repository that need not be the one it lies in. */
export async function verifyOpenedDelta(store: ByteStore, delta: OpenedDelta): Promise<void> {
  const { superblock } = delta;
  const { from, to } = superblock;
  const name = deltaName(superblock);
  const trees: KnownTrees = new Map();
  const reachable = await listObjects(store, to, trees);
  const present = from === undefined ? undefined : await listObjects(store, from, trees);
  const wanted = wantedObjects(reachable, present);
  const produced = (object: DeltaObject): void => {
    if (!wanted.delete(objectKey(object))) {
      throw corruptDelta(name, `it makes the ${object.type} object ${object.checksum}, which is not needed`);
    }
  };

  const sources = sourceReader(store, (checksum) => {
    if (present?.files.has(checksum) === true) return;
    throw corruptDelta(
      name,
      `it reads from the object ${checksum}, which a client with ${from ?? 'nothing'} lacks`,
    );
  });
  try {
    for (const [i, entry] of superblock.parts.entries()) {
      await blameDelta(name, `part ${i}`, async () => {
        const part = await openPart(delta, i, entry);
        try {
          for await (const made of executePart({ entry, part, openSource: sources.open })) {
            if (made.kind === 'file') await drain(made.chunks);
            produced(made.object);
          }
        } finally {
          part.close();
        }
      });
    }
  } finally {
    sources.close();
  }
  for (const fallback of superblock.fallbacks) {
    produced(fallback);
    await checkFallback(store, superblock, fallback);
  }
  const [missing] = wanted;
  if (missing !== undefined) {
    throw corruptDelta(name, `it lacks ${wanted.size} objects of the commit, the first is ${missing}`);
  }
}

/** One object among those of a commit. */
export function objectKey({ type, checksum }: DeltaObject): string {
  return `${checksum}.${type}`;
}

function wantedObjects(to: ReachableObjects, from: ReachableObjects | undefined): Set<string> {
  const wanted = new Set<string>();
  const add = (
    type: DeltaObject['type'],
    checksums: Iterable<Checksum>,
    has: (checksum: Checksum) => boolean | undefined,
  ): void => {
    for (const checksum of checksums) if (has(checksum) !== true) wanted.add(objectKey({ type, checksum }));
  };
  add('dirtree', to.dirtrees, (checksum) => from?.dirtrees.has(checksum));
  add('dirmeta', to.dirmetas, (checksum) => from?.dirmetas.has(checksum));
  add('file', to.files.keys(), (checksum) => from?.files.has(checksum));
  return wanted;
}

async function checkFallback(
  store: ByteStore,
  ends: DeltaEnds,
  { type, checksum, uncompressedSize }: Superblock['fallbacks'][number],
): Promise<void> {
  const name = deltaName(ends);
  if (type !== 'file') throw corruptDelta(name, `it leaves the ${type} object ${checksum} to a fetch`);
  const { size, chunks } = await readContent(store, checksum);
  if (size !== uncompressedSize) {
    throw corruptDelta(name, `its fallback ${checksum} has ${size} bytes, not ${uncompressedSize}`);
  }
  await drain(chunks);
}

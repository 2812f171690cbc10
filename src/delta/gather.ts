/** Reads from the repository what a plan needs: the objects to carry, their headers, and what they resemble. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import { mapConcurrent } from '../core/concurrency.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import type { DeltaObject } from '../formats/ostree-delta.ts';
import { openStore } from '../platform/store.ts';
import type { WorkerPool } from '../platform/workers.ts';
import { objectPath } from '../repo/paths.ts';
import type { KnownTrees } from '../repo/read.ts';
import { listObjects } from '../repo/read.ts';
import type { ContentHeader } from './header-task.ts';
import { readContentHeaders } from './header-task.ts';
import type { FileFacts, PlannedFile } from './plan.ts';
import { MIN_DIFF_SIZE, candidateFinder, chooseSources, mayBeRead, newObjects, orderFiles } from './plan.ts';
import type { Member } from './members.ts';
import { containedFiles } from './members.ts';
import { departedFiles, findRenamed } from './renames.ts';

/** What is known about a content object without reading its content. */
export interface ObjectFacts extends FileFacts {
  readonly checksum: Checksum;
  readonly header: ContentHeader;
}

export interface WorkFile extends PlannedFile<ObjectFacts> {
  /** Other files of the same list that lie whole inside of this one. */
  readonly members?: readonly Member[];
}

/** Everything a delta has to carry, in the order in which it goes into the parts. */
export interface DeltaWork {
  /** With their sizes in bytes. */
  readonly metadata: readonly (DeltaObject & {
    readonly type: 'dirtree' | 'dirmeta';
    readonly size: number;
  })[];
  readonly files: readonly WorkFile[];
  /** Bytes of the commit object. */
  readonly commitSize: number;
  /** Bytes of a pull without the delta: the objects above as they are stored, and the commit. */
  readonly looseBytes: number;
}

const S_IFMT = 0o170000;
const S_IFLNK = 0o120000;

/** Files opened at the same time. */
const CONCURRENCY = 32;

/** Everything that is to be decided before content is matched. The pool compares contents whose names tell nothing. */
export async function gatherWork(
  repo: string,
  { from, to }: DeltaEnds,
  pool: WorkerPool,
): Promise<DeltaWork> {
  const store = openStore(repo);
  const trees: KnownTrees = new Map();
  const reachableFrom = from === undefined ? undefined : await listObjects(store, from, trees);
  const reachableTo = await listObjects(store, to, trees);
  const fresh = newObjects(reachableTo, reachableFrom);

  const known = new Map<Checksum, ObjectFacts>();
  const learn = async (checksums: Iterable<Checksum>): Promise<void> => {
    const unknown = [...new Set(checksums)].filter((checksum) => !known.has(checksum));
    const headers = await readContentHeaders(repo, unknown, pool);
    headers.forEach((header, i) => {
      const checksum = unknown[i];
      if (checksum === undefined) return;
      const { mode } = header.stat;
      const isSymlink = (mode & S_IFMT) === S_IFLNK;
      known.set(checksum, { checksum, header, size: header.size, mode, isSymlink });
    });
  };
  const factsOf = (checksum: Checksum): ObjectFacts[] => {
    const facts = known.get(checksum);
    return facts === undefined ? [] : [facts];
  };

  await learn(fresh.files.map(({ checksum }) => checksum));
  const find = reachableFrom === undefined ? undefined : candidateFinder(reachableFrom);
  const proposed = fresh.files.flatMap((file) =>
    factsOf(file.checksum).map((facts) => ({
      ...file,
      facts,
      candidates: facts.isSymlink || facts.size === 0 ? [] : (find?.(file) ?? []),
    })),
  );
  await learn(proposed.flatMap(({ candidates }) => candidates.map(({ checksum }) => checksum)));
  const named = proposed.map(({ candidates, ...file }): WorkFile => {
    const judged = candidates.flatMap((candidate) =>
      factsOf(candidate.checksum).map((facts) => ({ ...candidate, facts })),
    );
    return { ...file, sources: chooseSources(judged, file.facts) };
  });

  const orphans = named.filter(
    ({ facts, sources }) => !facts.isSymlink && facts.size >= MIN_DIFF_SIZE && sources.length === 0,
  );
  const departed =
    reachableFrom === undefined || orphans.length === 0 ? [] : departedFiles(reachableFrom, reachableTo);
  await learn(departed);
  const regular = named.filter(({ facts }) => !facts.isSymlink).map(({ facts }) => facts);
  const [contained, renamed] = await Promise.all([
    containedFiles(repo, regular, pool),
    findRenamed(
      repo,
      orphans.map(({ facts }) => facts),
      departed.flatMap(factsOf).filter((facts) => mayBeRead(facts) && facts.size >= MIN_DIFF_SIZE),
      pool,
    ),
  ]);
  const sourced = named.map((file): WorkFile => {
    const judged = (renamed.get(file.checksum) ?? []).flatMap((checksum) =>
      factsOf(checksum).map((facts) => ({ checksum, samePath: false, facts })),
    );
    return judged.length === 0 ? file : { ...file, sources: chooseSources(judged, file.facts) };
  });

  const files = sourced.map((file): WorkFile => {
    const members = contained.get(file.checksum);
    return members === undefined ? file : { ...file, members };
  });

  const sized = async <Object extends DeltaObject>(object: Object): Promise<Object & { size: number }> => ({
    ...object,
    size: (await stat(join(repo, objectPath(object.checksum, object.type)))).size,
  });
  const metadata = await mapConcurrent(
    [
      ...fresh.dirmetas.map((checksum) => ({ type: 'dirmeta', checksum }) as const),
      ...fresh.dirtrees.map((checksum) => ({ type: 'dirtree', checksum }) as const),
    ],
    CONCURRENCY,
    sized,
  );
  const { size: commitSize } = await sized({ type: 'commit', checksum: to });
  const looseBytes =
    metadata.reduce((sum, { size }) => sum + size, commitSize) +
    files.reduce((sum, { facts }) => sum + facts.header.storedSize, 0);
  return { metadata, files: orderFiles(files), commitSize, looseBytes };
}

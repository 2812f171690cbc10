/** `treewright delta show`: what a delta is and does. */
import type { Checksum } from '../core/checksum.ts';
import { isTreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import type { ExplainedObject, ExplainedPart, PartMemory } from '../delta/explain.ts';
import { explainParts } from '../delta/explain.ts';
import type { DeltaForms } from '../delta/info.ts';
import { createFormCounter } from '../delta/info.ts';
import type { OpenedDelta } from '../delta/read.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaName } from '../formats/ostree-delta-index.ts';
import type { ByteOrder } from '../formats/ostree-delta.ts';
import { decodeCommit } from '../formats/ostree-objects.ts';
import { ed25519Signatures } from '../formats/ostree-signatures.ts';
import { openStore } from '../platform/store.ts';
import { listObjects } from '../repo/read.ts';
import { metadataString } from '../repo/refs.ts';
import { deltaCommitMeta } from '../delta/apply.ts';
import type { DeltaChoice } from './delta-open.ts';
import { openChosen } from './delta-open.ts';

export interface ShowDeltaOptions extends Omit<DeltaChoice, 'source'> {
  /** A repository, on disk or behind a URL: holds the delta unless that is given by itself, and knows the paths. */
  readonly repo?: string;
  readonly events: EventSink;
}

/** An object with the paths at which the new commit has it; none where no repository tells. */
export type ShownObject = ExplainedObject & {
  readonly paths: readonly string[];
  readonly sourcePaths?: readonly string[];
};

export interface ShowDeltaReport extends DeltaEnds {
  readonly name: string;
  /** Of the delta, which for ours is that of its commit; seconds since 1970. */
  readonly timestamp: number;
  readonly byteOrder: ByteOrder;
  readonly superblock: { readonly size: number; readonly sha256: Checksum };
  readonly metadata: readonly { readonly key: string; readonly type: string; readonly value?: string }[];
  readonly signatures: {
    /** Signatures around the superblock, by their kind. */
    readonly superblock: Readonly<Record<string, number>>;
    /** ed25519 signatures of the commit that come with it. */
    readonly commit: number;
  };
  readonly commit: { readonly subject: string; readonly timestamp: number; readonly version?: string };
  readonly fallbacks: readonly {
    readonly checksum: Checksum;
    readonly size: number;
    readonly uncompressed: number;
    readonly paths: readonly string[];
  }[];
  /** Counted from the operations. */
  readonly forms: DeltaForms;
  /** What a device downloads: superblock, parts, fallbacks. */
  readonly bytes: number;
  /** The most that one part needs on a device; the largest of each need not be those of the same part. */
  readonly memory: PartMemory;
  readonly parts: readonly (Omit<ExplainedPart, 'objects'> & { readonly objects: number })[];
  readonly objects: readonly ShownObject[];
}

export async function showDelta(options: ShowDeltaOptions): Promise<ShowDeltaReport> {
  const { repo, events } = options;
  const delta = await openChosen({ ...options, ...(repo === undefined ? {} : { source: repo }) });
  const { superblock } = delta;
  const { from, to, fallbacks } = superblock;
  const paths = await pathsOf(repo, to);
  const oldPaths = from === undefined ? undefined : await pathsOf(repo, from);
  const counter = createFormCounter();
  const parts: ShowDeltaReport['parts'][number][] = [];
  const objects: ShownObject[] = [];
  for await (const { objects: made, ...part } of explainParts(delta)) {
    parts.push({ ...part, objects: made.length });
    for (const object of made) {
      counter.add(object.form, object.size, object.payload);
      const source =
        object.source === undefined ? undefined : (oldPaths?.get(object.source) ?? paths?.get(object.source));
      objects.push({
        ...object,
        paths: paths?.get(object.checksum) ?? [],
        ...(source === undefined ? {} : { sourcePaths: source }),
      });
    }
    const total = superblock.parts.length;
    events({ type: 'progress', stage: 'delta', what: 'parts', done: parts.length, total, unit: 'items' });
  }
  for (const { uncompressedSize } of fallbacks) counter.add('fallback', uncompressedSize, 0);

  const commit = decodeCommit(superblock.commit);
  const version = metadataString(commit.metadata, 'version');
  const beside = [...parts.filter(({ inline }) => !inline), ...fallbacks];
  return {
    ...(from === undefined ? {} : { from }),
    to,
    name: deltaName(superblock),
    timestamp: superblock.timestamp,
    byteOrder: superblock.byteOrder,
    superblock: delta.file,
    metadata: superblock.metadata.map(([key, { signature, value }]) => ({
      key,
      type: signature,
      ...(typeof value === 'string' ? { value } : {}),
    })),
    signatures: signaturesOf(delta),
    commit: {
      subject: commit.subject,
      timestamp: commit.timestamp,
      ...(version === undefined ? {} : { version }),
    },
    fallbacks: fallbacks.map(({ checksum, size, uncompressedSize }) => ({
      checksum,
      size,
      uncompressed: uncompressedSize,
      paths: paths?.get(checksum) ?? [],
    })),
    forms: counter.forms(),
    bytes: beside.reduce((sum, { size }) => sum + size, delta.file.size),
    memory: mostMemory(parts),
    parts,
    objects,
  };
}

function mostMemory(parts: ShowDeltaReport['parts']): PartMemory {
  const most = (what: keyof PartMemory): number => Math.max(0, ...parts.map(({ memory }) => memory[what]));
  return { part: most('part'), window: most('window'), patched: most('patched'), total: most('total') };
}

function signaturesOf({ signatures = [], superblock }: OpenedDelta): ShowDeltaReport['signatures'] {
  return {
    superblock: Object.fromEntries(
      signatures.map(([key, { value }]) => [key, Array.isArray(value) ? value.length : 1]),
    ),
    commit: ed25519Signatures(deltaCommitMeta(superblock) ?? []).length,
  };
}

/** Where a commit's files are, when the repository has its directories. */
async function pathsOf(
  repo: string | undefined,
  commit: Checksum,
): Promise<ReadonlyMap<Checksum, readonly string[]> | undefined> {
  if (repo === undefined) return undefined;
  try {
    return (await listObjects(openStore(repo), commit)).files;
  } catch (error) {
    if (isTreewrightError(error) && error.code === 'trust/missing-object') return undefined;
    throw error;
  }
}

/** Sends files to the workers and hands their encodings back: small ones in batches, large ones each by itself. */
import type { Checksum } from '../core/checksum.ts';
import { utf8 } from '../core/bytes.ts';
import type { ByteStore } from '../platform/store.ts';
import type { WorkerPool } from '../platform/workers.ts';
import { readContent } from '../repo/read.ts';
import type { EncodeItem, EncodedObject } from './encode-task.ts';
import { encodeContent } from './encode-task.ts';
import { encodeContainer } from './container-task.ts';
import type { WorkFile } from './gather.ts';
import { judgeLarge, spliceLarge } from './large-task.ts';
import { MATCH_LIMIT } from './match.ts';
import type { PartContent } from './part-builder.ts';
import type { Effort } from './part-file.ts';
import type { CopyList } from './patch.ts';
import { COPY_STRIDE } from './patch.ts';

/** One object ready for a part. */
export interface ReadyObject {
  readonly content: PartContent;
  /** How the part it goes into is compressed. */
  readonly effort: Effort;
  /** Bytes of literals; `literals` streams them when they are too many to be held. */
  readonly literalSize: number;
  readonly literals: Uint8Array | (() => AsyncIterable<Uint8Array>);
}

export interface HeldObject extends ReadyObject {
  readonly literals: Uint8Array;
}

/** A file that is not matched but no larger than this is still held as a whole. */
const HOLD_LIMIT = 64_000_000;

/** A message to a worker carries about this much content, so that its cost is spread over many small files. */
const BATCH_BYTES = 1 << 20;
const BATCH_ITEMS = 128;

/** Memory that batches under way may need, by the estimate of `memoryOf`. */
const MEMORY_BUDGET = 64 << 20;

/** Batches under way for each worker: one being made, one behind it, and one that waits for an earlier one. */
const BATCHES_PER_WORKER = 3;

/** Of a splice of chunks, at least this share must come from the source. */
const MIN_LARGE_SHARE = 0.05;

function isLarge({ facts, sources }: WorkFile): boolean {
  if (facts.isSymlink) return false;
  const source = Math.max(0, ...sources.map(({ size }) => size));
  return facts.size > HOLD_LIMIT || facts.size + source > MATCH_LIMIT;
}

/** Content, patch and its copy on the way back; source and its index of a word for each position. */
function memoryOf({ facts, sources }: WorkFile): number {
  return 3 * facts.size + 5 * Math.max(0, ...sources.map(({ size }) => size)) + 4096;
}

export interface EncodeOptions {
  readonly pool: WorkerPool;
  /** Objects larger than this, in bytes, are spliced rather than patched. */
  readonly maxPatchSize: number;
}

/** What a worker needs to know of a file: a plain value without the rest of the plan. */
export function encodeItem({ checksum, facts, sources, members }: WorkFile): EncodeItem {
  return {
    checksum,
    size: facts.size,
    sources: sources.map(({ checksum: source, size }) => ({ checksum: source, size })),
    ...(members === undefined ? {} : { members }),
  };
}

interface Batch {
  readonly files: readonly WorkFile[];
  readonly memory: number;
}

function* batches(files: readonly WorkFile[]): Generator<Batch> {
  let open: WorkFile[] = [];
  let bytes = 0;
  let memory = 0;
  for (const file of files) {
    const size = file.facts.size + Math.max(0, ...file.sources.map((source) => source.size));
    if (open.length > 0 && (bytes + size > BATCH_BYTES || open.length >= BATCH_ITEMS)) {
      yield { files: open, memory };
      open = [];
      bytes = 0;
      memory = 0;
    }
    open.push(file);
    bytes += size;
    memory += memoryOf(file);
  }
  if (open.length > 0) yield { files: open, memory };
}

function partContent(
  { facts, checksum }: WorkFile,
  encoded: Pick<EncodedObject, 'form' | 'sources' | 'copies'>,
): PartContent {
  const { stat } = facts.header;
  const { form, sources, copies } = encoded;
  return {
    checksum,
    stat,
    size: facts.size,
    form,
    ...(sources === undefined ? {} : { sources }),
    ...(copies === undefined ? {} : { copies }),
  };
}

/** A symlink's target takes the place of content. */
function encodeSymlink(file: WorkFile): HeldObject {
  const target = utf8(file.facts.header.symlinkTarget);
  const content = partContent(file, { form: 'raw' });
  return {
    content: { ...content, size: target.length },
    effort: 'strong',
    literalSize: target.length,
    literals: target,
  };
}

/** The ranges of `content` that a copy list takes from the payload, in order. */
async function* literalRanges(
  store: ByteStore,
  checksum: Checksum,
  copies: CopyList | undefined,
): AsyncGenerator<Uint8Array> {
  const { chunks } = await readContent(store, checksum);
  let range = 0;
  let left = copies?.[0] ?? Infinity;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) {
      while (left === 0) {
        range += COPY_STRIDE;
        left = copies?.[range] ?? Infinity;
      }
      const length = Math.min(left, chunk.length - at);
      if ((copies?.[range + 1] ?? 0) === 0) yield chunk.subarray(at, at + length);
      at += length;
      left -= length;
    }
  }
}

async function encodeLarge(store: ByteStore, file: WorkFile, pool: WorkerPool): Promise<ReadyObject> {
  const { checksum, facts, sources } = file;
  const source = sources[0]?.checksum;
  let copies: CopyList | undefined;
  let literalSize = facts.size;
  if (source !== undefined) {
    const found = await pool.run(spliceLarge, { repo: store.location, checksum, source });
    let size = 0;
    for (let i = 0; i < found.length; i += COPY_STRIDE) if (found[i + 1] === 0) size += found[i] ?? 0;
    if (size <= (1 - MIN_LARGE_SHARE) * facts.size) {
      copies = found;
      literalSize = size;
    }
  }
  const packed =
    copies === undefined &&
    (await pool.run(judgeLarge, { repo: store.location, checksum, size: facts.size }));
  const encoded =
    copies === undefined || source === undefined
      ? ({ form: 'raw' } as const)
      : ({ form: 'splice', sources: [source], copies } as const);
  return {
    content: partContent(file, encoded),
    effort: packed ? 'fast' : 'strong',
    literalSize,
    literals: () => literalRanges(store, checksum, copies),
  };
}

async function encodeBatch(
  store: ByteStore,
  files: readonly WorkFile[],
  { pool, maxPatchSize }: EncodeOptions,
): Promise<HeldObject[]> {
  const regular = files.filter(({ facts }) => !facts.isSymlink);
  const items = regular.map(encodeItem);
  const { objects, payload } =
    items.length === 0
      ? { objects: [], payload: new Uint8Array(0) }
      : await pool.run(encodeContent, { repo: store.location, items, maxPatchSize });
  let next = 0;
  return files.flatMap((file): HeldObject[] => {
    if (file.facts.isSymlink) return [encodeSymlink(file)];
    const encoded = objects[next++];
    if (encoded === undefined) return [];
    return [
      {
        content: partContent(file, encoded),
        effort: encoded.effort,
        literalSize: encoded.length,
        literals: payload.subarray(encoded.start, encoded.start + encoded.length),
      },
    ];
  });
}

/** Encodes one file by itself, whatever its size. */
export async function encodeAlone(
  store: ByteStore,
  file: WorkFile,
  options: EncodeOptions,
): Promise<ReadyObject> {
  if (isLarge(file)) return encodeLarge(store, file, options.pool);
  const [object] = await encodeBatch(store, [file], options);
  if (object === undefined) throw new Error(`the worker did not encode ${file.checksum}`);
  return object;
}

/** Encodes one file out of its members, which must come before it in the same part. */
export async function encodeOfMembers(
  store: ByteStore,
  file: WorkFile,
  { pool, maxPatchSize }: EncodeOptions,
): Promise<HeldObject> {
  const input = { repo: store.location, item: encodeItem(file), maxPatchSize };
  const { payload, ...encoded } = await pool.run(encodeContainer, input);
  return {
    content: partContent(file, encoded),
    effort: encoded.effort,
    literalSize: payload.length,
    literals: payload,
  };
}

/**
 * Encodes `files`, none of them large, on all workers. Objects come in the order of `files`, whatever the number of
 * workers; only as many batches are under way as keep them busy, so a slow consumer slows the workers down.
 */
export async function* encodeFiles(
  store: ByteStore,
  files: readonly WorkFile[],
  options: EncodeOptions,
): AsyncGenerator<HeldObject> {
  const mostBatches = BATCHES_PER_WORKER * options.pool.size;
  const source = batches(files);
  const underWay: { readonly memory: number; readonly result: Promise<HeldObject[]> }[] = [];
  let memory = 0;
  let next = source.next();
  try {
    while (next.done !== true || underWay.length > 0) {
      while (
        next.done !== true &&
        (underWay.length === 0 ||
          (underWay.length < mostBatches && memory + next.value.memory <= MEMORY_BUDGET))
      ) {
        const result = encodeBatch(store, next.value.files, options);
        // A failure is thrown where its turn comes; until then it must not count as unhandled.
        result.catch(() => undefined);
        underWay.push({ memory: next.value.memory, result });
        memory += next.value.memory;
        next = source.next();
      }
      const done = underWay.shift();
      if (done === undefined) return;
      yield* await done.result;
      memory -= done.memory;
    }
  } finally {
    await Promise.allSettled(underWay.map(({ result }) => result));
  }
}

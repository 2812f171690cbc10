/** Fills parts with objects in the order they come and compresses full ones while the next is being filled. */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaPartPath } from '../formats/ostree-delta-index.ts';
import type { DeltaPartEntry } from '../formats/ostree-delta.ts';
import { PART_VERSION } from '../formats/ostree-delta.ts';
import { temporaryName } from '../platform/files.ts';
import type { HeldObject, ReadyObject } from './encode.ts';
import type { PartBuilder } from './part-builder.ts';
import { createPartBuilder } from './part-builder.ts';
import type { Effort } from './part-file.ts';
import { EFFORTS, writePart, xzMemory } from './part-file.ts';

/** Memory for all xz processes together. */
const XZ_MEMORY = 200 << 20;

export interface PartWriter {
  addMetadata(type: 'dirtree' | 'dirmeta', checksum: Checksum, bytes: Uint8Array): Promise<void>;
  addObject(object: HeldObject): Promise<void>;
  /**
   * Gives an object, or several in this order, a part of their own. Such parts come in the order of `rank`, behind the
   * others of their kind, whenever they are added.
   */
  addAlone(objects: Iterable<ReadyObject> | AsyncIterable<ReadyObject>, rank: number): Promise<void>;
  /** Closes the last parts and waits until all are on disk. Entries are in the order of the part numbers. */
  finish(): Promise<DeltaPartEntry[]>;
  /** Waits for what is under way and removes it, after a failure. */
  abandon(): Promise<void>;
}

export interface PartWriterOptions {
  readonly repo: string;
  readonly ends: DeltaEnds;
  /** xz processes at the same time. */
  readonly concurrency: number;
  /** A part is closed before its payload grows beyond this, in bytes; one object alone may exceed it. */
  readonly maxPartSize: number;
}

interface StartedPart {
  readonly effort: Effort;
  /** Absent for a part that was filled in turn. */
  readonly rank?: number;
  /** Where it is written while its number is not known. */
  readonly path: string;
  readonly entry: Promise<DeltaPartEntry>;
}

/** By kind, in turn within each, those with a rank last. Does not depend on when a part was started. */
function inOrder(parts: readonly StartedPart[]): StartedPart[] {
  return [...parts].sort(
    (a, b) =>
      EFFORTS.indexOf(a.effort) - EFFORTS.indexOf(b.effort) ||
      (a.rank === b.rank ? 0 : (a.rank ?? -1) - (b.rank ?? -1)),
  );
}

export function createPartWriter({ repo, ends, concurrency, maxPartSize }: PartWriterOptions): PartWriter {
  const started: StartedPart[] = [];
  const running = new Set<{ readonly memory: number; readonly ended: Promise<void> }>();
  // Contents of different kinds fill different parts, each of which is compressed in its own way.
  const open = new Map<Effort, PartBuilder>();
  // Pieces of parts that are on disk: memory that is made anew and given back all the time costs as much as filling it.
  const spare: Uint8Array<ArrayBuffer>[] = [];

  /** Waits for room for one more xz and takes it, before anybody else who waits can; answers how to give it back. */
  const takeRoom = async (memory: number): Promise<() => void> => {
    for (;;) {
      let used = 0;
      for (const { memory: size } of running) used += size;
      if (running.size === 0 || (running.size < concurrency && used + memory <= XZ_MEMORY)) break;
      await Promise.race([...running].map(({ ended }) => ended));
    }
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const job = { memory, ended };
    running.add(job);
    return () => {
      running.delete(job);
      end();
    };
  };

  /** Starts writing a part as soon as there is room for one more xz. */
  const write = async (
    effort: Effort,
    builder: PartBuilder,
    rank?: number,
    streamed?: () => AsyncIterable<Uint8Array>,
  ): Promise<void> => {
    const part = builder.finish();
    const giveBack = await takeRoom(xzMemory(effort, part.payloadSize));
    const path = temporaryName(join(repo, deltaPartPath(ends, started.length)));
    const entry = writePart(path, part, effort, streamed?.()).then(({ size, checksum }): DeltaPartEntry => ({
      version: PART_VERSION,
      checksum,
      size,
      uncompressedSize: part.uncompressedSize,
      objects: part.objects,
    }));
    started.push({ effort, path, entry, ...(rank === undefined ? {} : { rank }) });
    // A failure is thrown by whoever awaits the entry.
    void entry
      .then(
        () => part.release(),
        () => undefined,
      )
      .then(giveBack);
  };

  /** The open part of a kind, with room for `size` more bytes of payload. */
  const reserve = async (effort: Effort, size: number): Promise<PartBuilder> => {
    const builder = open.get(effort);
    if (builder !== undefined) {
      if (builder.payloadSize + size <= maxPartSize) return builder;
      open.delete(effort);
      await write(effort, builder);
    }
    const next = createPartBuilder(spare);
    open.set(effort, next);
    return next;
  };

  return {
    addMetadata: async (type, checksum, bytes) => {
      (await reserve('strong', bytes.length)).addMetadata(type, checksum, bytes);
    },
    addObject: async ({ content, effort, literals }) => {
      (await reserve(effort, literals.length)).addContent(content, literals);
    },
    addAlone: async (objects, rank) => {
      const builder = createPartBuilder(spare);
      const bytes = new Map<Effort, number>();
      let streamed: (() => AsyncIterable<Uint8Array>) | undefined;
      for await (const { content, effort, literalSize, literals } of objects) {
        if (literals instanceof Uint8Array) builder.addContent(content, literals);
        else {
          builder.addStreamed(content, literalSize);
          streamed = literals;
        }
        bytes.set(effort, (bytes.get(effort) ?? 0) + literalSize);
      }
      const [first] = [...bytes].sort(([, a], [, b]) => b - a);
      if (first !== undefined) await write(first[0], builder, rank, streamed);
    },
    finish: async () => {
      for (const effort of EFFORTS) {
        const builder = open.get(effort);
        if (builder !== undefined) await write(effort, builder);
      }
      const entries: DeltaPartEntry[] = [];
      for (const { path, entry } of inOrder(started)) {
        const made = await entry;
        await rename(path, join(repo, deltaPartPath(ends, entries.length)));
        entries.push(made);
      }
      return entries;
    },
    abandon: async () => {
      await Promise.allSettled(started.map(({ entry }) => entry));
      for (const { path } of started) await rm(path, { force: true });
    },
  };
}

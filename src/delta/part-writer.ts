/** Fills parts with objects in the order they come and compresses full ones while the next is being filled. */
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaPartPath } from '../formats/ostree-delta-index.ts';
import type { DeltaPartEntry } from '../formats/ostree-delta.ts';
import { PART_VERSION } from '../formats/ostree-delta.ts';
import type { ReadyObject } from './encode.ts';
import type { PartBuilder } from './part-builder.ts';
import { createPartBuilder } from './part-builder.ts';
import type { Effort } from './part-file.ts';
import { writePart, xzMemory } from './part-file.ts';

/** Memory for all xz processes together. */
const XZ_MEMORY = 300 << 20;

export interface PartWriter {
  addMetadata(type: 'dirtree' | 'dirmeta', checksum: Checksum, bytes: Uint8Array): Promise<void>;
  addObject(object: ReadyObject): Promise<void>;
  /** Closes the last parts and waits until all are on disk. Entries are in the order of the part numbers. */
  finish(): Promise<DeltaPartEntry[]>;
  /** Waits for what is under way, after a failure. */
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

export function createPartWriter({ repo, ends, concurrency, maxPartSize }: PartWriterOptions): PartWriter {
  const entries: Promise<DeltaPartEntry>[] = [];
  const running = new Set<{ readonly memory: number; readonly ended: Promise<void> }>();
  // Contents of different kinds fill different parts, each of which is compressed in its own way.
  const open: Record<Effort, PartBuilder> = {
    strong: createPartBuilder(),
    patch: createPartBuilder(),
    sparse: createPartBuilder(),
    fast: createPartBuilder(),
  };

  const roomFor = async (memory: number): Promise<void> => {
    for (;;) {
      let used = 0;
      for (const { memory: size } of running) used += size;
      if (running.size === 0 || (running.size < concurrency && used + memory <= XZ_MEMORY)) return;
      await Promise.race([...running].map(({ ended }) => ended));
    }
  };

  /** Gives the open part its number and starts writing it. */
  const close = async (lane: Effort, streamed?: () => AsyncIterable<Uint8Array>): Promise<void> => {
    const part = open[lane].finish();
    open[lane] = createPartBuilder();
    const memory = xzMemory(lane, part.payloadSize);
    await roomFor(memory);
    const path = join(repo, deltaPartPath(ends, entries.length));
    const written = writePart(path, part, lane, streamed?.()).then(({ size, checksum }): DeltaPartEntry => ({
      version: PART_VERSION,
      checksum,
      size,
      uncompressedSize: part.uncompressedSize,
      objects: part.objects,
    }));
    entries.push(written);
    // A failure is thrown by whoever awaits the entry.
    const ended = written.then(
      () => undefined,
      () => undefined,
    );
    const job = { memory, ended };
    running.add(job);
    void ended.then(() => running.delete(job));
  };

  /** Makes room for `size` more bytes of payload. */
  const reserve = async (lane: Effort, size: number): Promise<PartBuilder> => {
    const builder = open[lane];
    if (!builder.isEmpty && builder.payloadSize + size > maxPartSize) await close(lane);
    return open[lane];
  };

  return {
    addMetadata: async (type, checksum, bytes) => {
      (await reserve('strong', bytes.length)).addMetadata(type, checksum, bytes);
    },
    addObject: async ({ content, effort: lane, literalSize, literals }) => {
      if (literals instanceof Uint8Array) {
        (await reserve(lane, literalSize)).addContent(content, literals);
        return;
      }
      // Streamed literals come last in their part, so it is closed with them.
      (await reserve(lane, literalSize)).addStreamed(content, literalSize);
      await close(lane, literals);
    },
    finish: async () => {
      for (const lane of ['strong', 'patch', 'sparse', 'fast'] as const) {
        if (!open[lane].isEmpty) await close(lane);
      }
      return Promise.all(entries);
    },
    abandon: async () => {
      await Promise.allSettled(entries);
    },
  };
}

/** What applying a whole delta takes on a device, and how parts are made that keep a limit. */
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { openStore } from '../platform/store.ts';
import type { PartMemory } from './explain.ts';
import { explainParts } from './explain.ts';
import { deltaInRepository, openDelta } from './read.ts';

/** Reads every part of a finished delta in `repo`; the largest of each figure need not be those of the same part. */
export async function deviceMemory(repo: string, ends: DeltaEnds): Promise<PartMemory> {
  const delta = await openDelta(deltaInRepository(openStore(repo), ends));
  let most: PartMemory = { part: 0, window: 0, patched: 0, total: 0 };
  for await (const { memory } of explainParts(delta)) {
    most = {
      part: Math.max(most.part, memory.part),
      window: Math.max(most.window, memory.window),
      patched: Math.max(most.patched, memory.patched),
      total: Math.max(most.total, memory.total),
    };
  }
  return most;
}

/**
 * Largest part and largest patched object, in bytes, with which `total` stays within `limit`: the window is at most half
 * as large again as the payload. A single file above it that no source resembles still exceeds it.
 */
export function partSizeFor(limit: number): number {
  return Math.floor(limit / 4);
}

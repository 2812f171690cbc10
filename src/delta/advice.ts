/** Where an update loses bytes: files that are compressed inside, of which no delta can be made. */
import type { WorkerPool } from '../platform/workers.ts';
import type { DeltaEstimate, FileEstimate } from './estimate.ts';
import { expectCost } from './estimate.ts';
import { judgePlain } from './plain-task.ts';
import { isCompressed } from './similarity.ts';

export type CompressedKind = 'initramfs' | 'modules' | 'firmware' | 'kernel';

/** What one kind of compressed files costs in an update, and what it would cost. Sizes in bytes. */
export interface CompressionCost {
  readonly kind: CompressedKind;
  readonly files: number;
  /** The dearest of them. */
  readonly example: string;
  readonly expectedBytes: number;
  readonly uncompressedBytes: number;
  /** What the plain files take more on the device. */
  readonly extraSpace: number;
}

/** Below this share of the whole delta, or this many bytes, nothing is said. */
const MIN_SHARE = 0.03;
const MIN_SAVING = 64 << 10;

/** Files of a kind that are unpacked, dearest first; the rest is taken to be like them. */
const JUDGED = 48;

/** Files of one message to a worker. */
const BATCH = 8;

function kindOf(path: string): CompressedKind | undefined {
  if (/\.ko\.(?:xz|zst|gz)$/.test(path)) return 'modules';
  if (/(?:^|\/)(?:initramfs|initrd)[^/]*$/.test(path)) return 'initramfs';
  if (/(?:^|\/)lib\/firmware\/.*\.(?:xz|zst|gz)$/.test(path)) return 'firmware';
  if (/(?:^|\/)(?:vmlinuz|[zu]?Image|fitImage)[^/]*$/.test(path)) return 'kernel';
  return undefined;
}

/** Unpacks old and new files of each kind that weighs, and compares; dearest kind first. */
export async function compressionCosts(
  repo: string,
  { files, expectedBytes }: DeltaEstimate,
  pool: WorkerPool,
): Promise<CompressionCost[]> {
  const least = Math.max(MIN_SAVING, MIN_SHARE * expectedBytes);
  const kinds = new Map<CompressedKind, FileEstimate[]>();
  for (const file of files) {
    const kind = kindOf(file.paths[0] ?? '');
    if (kind === undefined || file.predecessor === undefined || !isCompressed(file)) continue;
    const list = kinds.get(kind);
    if (list) list.push(file);
    else kinds.set(kind, [file]);
  }
  const costs: CompressionCost[] = [];
  for (const [kind, list] of kinds) {
    const total = list.reduce((sum, file) => sum + file.expectedBytes, 0);
    if (total < least) continue;
    const cost = await judgeKind(repo, kind, list, total, pool);
    if (cost !== undefined && cost.expectedBytes - cost.uncompressedBytes >= least) costs.push(cost);
  }
  return costs.sort(
    (a, b) => b.expectedBytes - b.uncompressedBytes - (a.expectedBytes - a.uncompressedBytes),
  );
}

async function judgeKind(
  repo: string,
  kind: CompressedKind,
  files: readonly FileEstimate[],
  total: number,
  pool: WorkerPool,
): Promise<CompressionCost | undefined> {
  const items = files.slice(0, JUDGED).flatMap((file) => {
    const { checksum, size, predecessor } = file;
    return predecessor === undefined ? [] : [{ file, item: { checksum, size, source: predecessor } }];
  });
  const batches = [];
  for (let at = 0; at < items.length; at += BATCH) batches.push(items.slice(at, at + BATCH));
  const answers = await Promise.all(
    batches.map((batch) => pool.run(judgePlain, { repo, items: batch.map(({ item }) => item) })),
  );
  let before = 0;
  let after = 0;
  let extra = 0;
  answers.flat().forEach((plain, i) => {
    const file = items[i]?.file;
    if (plain === undefined || file === undefined) return;
    before += file.expectedBytes;
    after += expectCost(plain.size, plain.stored, plain.deflatedPatch).expectedBytes;
    extra += plain.size - file.size;
  });
  if (before === 0) return undefined;
  const scale = total / before;
  return {
    kind,
    files: files.length,
    example: files[0]?.paths[0] ?? '',
    expectedBytes: total,
    uncompressedBytes: Math.round(after * scale),
    extraSpace: Math.round(extra * scale),
  };
}

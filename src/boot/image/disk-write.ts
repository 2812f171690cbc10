/** Writes a planned disk, and the block map of an image. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { parseChecksum } from '../../core/checksum.ts';
import type { BmapRange } from '../../formats/bmap.ts';
import { BMAP_BLOCK_SIZE, formatBmap } from '../../formats/bmap.ts';
import { GPT_END_SECTORS, GPT_START_SECTORS, encodeGpt } from '../../formats/gpt.ts';
import { MBR_TABLE_START, SECTOR_SIZE, encodeMbrTable, encodeProtectiveMbr } from '../../formats/mbr.ts';
import type { ByteRange, ImageFile, ImageTarget } from '../../platform/image-file.ts';
import { imageSection, joinRanges } from '../../platform/image-file.ts';
import { readInput } from './disk-files.ts';
import type { DiskBlob, FatSource } from './disk-layout.ts';
import type { DiskPartition, DiskPlan, PlannedLoader } from './disk-plan.ts';
import { writeFat, writeSized } from './fat.ts';

/** Zeros are written, and the image is read, in pieces of this size. */
const CHUNK = 1 << 20;

/**
 * Writes everything and finishes the image. What a device might take for data is written even where it is zeros, so
 * that a copy by block map onto a used card works.
 *
 * @throws TreewrightError `input/changed-file` when a file is not what it was when the disk was planned
 */
export async function writeDisk(
  plan: DiskPlan,
  writeRoot: (target: ImageTarget) => Promise<void>,
  image: ImageFile,
): Promise<void> {
  try {
    await writeTable(plan, image);
    for (const loader of plan.loaders) await writeLoader(loader, image);
    for (const { offset, bytes } of plan.blobs) await image.write(offset, bytes);
    for (const partition of plan.partitions) {
      await writePartition(partition, writeRoot, imageSection(image, partition.start));
    }
    await image.finish(plan.size);
  } catch (error) {
    await image.abort();
    throw error;
  }
}

async function writeTable(plan: DiskPlan, image: ImageTarget): Promise<void> {
  const { table, size, partitions } = plan;
  const sectors = size / SECTOR_SIZE;
  const place = ({ start, size: bytes }: DiskPartition): { start: number; sectors: number } => ({
    start: start / SECTOR_SIZE,
    sectors: bytes / SECTOR_SIZE,
  });
  // All of what a GPT takes, zeros where it is an MBR: a GPT that was there before must not come back.
  const first = Math.min(...partitions.map(({ start }) => start));
  const head = new Uint8Array(Math.min(GPT_START_SECTORS * SECTOR_SIZE, first));
  if (table === 'mbr') {
    const entries = partitions.map((partition) => ({
      ...place(partition),
      type: partition.mbrType,
      bootable: partition.bootable,
    }));
    head.set(encodeMbrTable(plan.signature, entries), MBR_TABLE_START);
    await image.write(0, head);
    return;
  }
  const { primary, backup } = encodeGpt({
    diskUuid: plan.diskUuid,
    sectors,
    firstUsable: plan.firstUsableSector,
    partitions: partitions.map((partition) => ({
      ...place(partition),
      name: partition.name,
      type: partition.gptType,
      uuid: partition.partUuid,
      bootable: partition.bootable,
    })),
  });
  head.set(encodeProtectiveMbr(sectors), MBR_TABLE_START);
  head.set(primary, SECTOR_SIZE);
  await image.write(0, head);
  await image.write(size - GPT_END_SECTORS * SECTOR_SIZE, backup);
}

async function writeLoader(
  { path, offset, size, segments }: PlannedLoader,
  image: ImageTarget,
): Promise<void> {
  await writeSized(readInput(path), size, path, {
    write: async (at, bytes) => {
      for (const { from, to } of segments) {
        const start = Math.max(from, at);
        const end = Math.min(to, at + bytes.length);
        if (start < end) await image.write(offset + start, bytes.subarray(start - at, end - at));
      }
    },
  });
}

async function writePartition(
  { content, size, name }: DiskPartition,
  writeRoot: (target: ImageTarget) => Promise<void>,
  target: ImageTarget,
): Promise<void> {
  switch (content.kind) {
    case 'file':
      return writeSized(
        readInput(content.path),
        content.size,
        `${content.path} of partition "${name}"`,
        target,
      );
    case 'bytes':
      return writeBlobs(content.blobs, size, target);
    case 'fat':
      return writeFat(content.plan, (index) => openSource(content.sources[index]), target);
    case 'root':
      return writeRoot(target);
    case 'linux':
      return content.write?.(target);
  }
}

/** Blobs and zeros between them: what an earlier installation left there, such as its environment, must go. */
export async function writeBlobs(
  blobs: readonly DiskBlob[],
  size: number,
  target: ImageTarget,
): Promise<void> {
  for (let at = 0; at < size; at += CHUNK) await target.write(at, new Uint8Array(Math.min(CHUNK, size - at)));
  for (const { offset, bytes } of blobs) await target.write(offset, bytes);
}

/** Content of a file of the FAT partition. */
export async function* openSource(source: FatSource | undefined): AsyncGenerator<Uint8Array> {
  if (source === undefined) return;
  if ('bytes' in source) yield source.bytes;
  else yield* readInput(source.path);
}

/**
 * The text of the .bmap file of a finished image.
 *
 * @param mapped what was written: `mapped()` of its ImageFile
 */
export async function bmapOf(path: string, mapped: readonly ByteRange[]): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const blocks = mapped.map(({ start, end }) => ({
      start: Math.floor(start / BMAP_BLOCK_SIZE),
      end: Math.ceil(Math.min(end, size) / BMAP_BLOCK_SIZE),
    }));
    const buffer = new Uint8Array(CHUNK);
    const ranges: BmapRange[] = [];
    for (const { start, end } of joinRanges(blocks)) {
      if (end <= start) continue;
      const hash = createHash('sha256');
      const stop = Math.min(end * BMAP_BLOCK_SIZE, size);
      for (let at = start * BMAP_BLOCK_SIZE; at < stop;) {
        const { bytesRead } = await file.read(buffer, 0, Math.min(CHUNK, stop - at), at);
        if (bytesRead === 0) throw new RangeError(`${path} became shorter`);
        hash.update(buffer.subarray(0, bytesRead));
        at += bytesRead;
      }
      ranges.push({ first: start, last: end - 1, checksum: parseChecksum(hash.digest('hex')) });
    }
    return formatBmap(size, ranges);
  } finally {
    await file.close();
  }
}

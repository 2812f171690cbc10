/** The parts of a disk as files, for image builders that put them together themselves: genimage and wic. */
import { join } from 'node:path';
import type { ImageTarget } from '../../platform/image-file.ts';
import { createImageFile } from '../../platform/image-file.ts';
import { openSource, writeBlobs } from './disk-write.ts';
import type { DiskPartition, DiskPlan } from './disk-plan.ts';
import { writeFat } from './fat.ts';

/** genimage makes the FAT partition itself, wic gets it ready made. */
export type ImageBuilder = 'genimage' | 'wic';

/** A file that the configuration of an image builder names. */
export interface PartFile {
  /** Without a directory. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly write: (target: ImageTarget) => Promise<void>;
}

/** Name of the file that holds a partition made here; undefined where it is a file of the host, or nothing. */
export function partitionFileName({ role, name, content }: DiskPartition): string | undefined {
  switch (content.kind) {
    case 'file':
      return undefined;
    case 'bytes':
      return `${plain(name)}.bin`;
    case 'fat':
      return 'boot.vfat';
    case 'root':
      return 'rootfs.ext4';
    case 'linux':
      return content.write === undefined ? undefined : `${role}.ext4`;
  }
}

export function blobFileName(index: number, name: string): string {
  return `${index + 1}-${plain(name)}.bin`;
}

/** A file of the FAT partition that is made here. */
export function fatFileName(target: string): string {
  return `fat-${plain(target)}`;
}

function plain(name: string): string {
  return name.replace(/[^A-Za-z0-9.]+/g, '-');
}

/** All files that the builder needs besides those of the host. */
export function partFiles(
  plan: DiskPlan,
  builder: ImageBuilder,
  writeRoot: (target: ImageTarget) => Promise<void>,
): PartFile[] {
  const files: PartFile[] = plan.blobs.map(({ name, bytes }, i) => bytesFile(blobFileName(i, name), bytes));
  for (const partition of plan.partitions) {
    const { content, size } = partition;
    const name = partitionFileName(partition);
    if (content.kind === 'fat' && builder === 'genimage') {
      for (const source of content.sources) {
        if ('bytes' in source) files.push(bytesFile(fatFileName(source.target), source.bytes));
      }
    } else if (name !== undefined) {
      files.push({ name, size, write: (target) => writeContent(partition, writeRoot, target) });
    }
  }
  return files;
}

/** Writes them into a directory. */
export async function writePartFiles(directory: string, files: readonly PartFile[]): Promise<void> {
  for (const { name, size, write } of files) {
    const image = await createImageFile(join(directory, name));
    try {
      await write(image);
      await image.finish(size);
    } catch (error) {
      await image.abort();
      throw error;
    }
  }
}

function bytesFile(name: string, bytes: Uint8Array): PartFile {
  return { name, size: bytes.length, write: (target) => target.write(0, bytes) };
}

async function writeContent(
  { content, size }: DiskPartition,
  writeRoot: (target: ImageTarget) => Promise<void>,
  target: ImageTarget,
): Promise<void> {
  switch (content.kind) {
    case 'fat':
      return writeFat(content.plan, (index) => openSource(content.sources[index]), target);
    case 'bytes':
      // Zeros and all: wic stops at a file that is nothing but a hole.
      return writeBlobs(content.blobs, size, target);
    case 'root':
      return writeRoot(target);
    case 'linux':
      return content.write?.(target);
    case 'file':
      return;
  }
}

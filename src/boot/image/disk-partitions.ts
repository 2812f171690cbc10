/**
 * The partitions of a disk in their order: type, size, content, and which are flagged bootable.
 * The flag follows U-Boot: distro_bootcmd (include/config_distro_bootcmd.h) and bootflow (boot/bootdev-uclass.c) look
 * for boot.scr on bootable partitions only, when there are any, in the order of the table.
 */
import { TreewrightError } from '../../core/errors.ts';
import { planFat } from '../../formats/fat.ts';
import { FAT_SECTOR } from '../../formats/fat-geometry.ts';
import { GPT_TYPE } from '../../formats/gpt.ts';
import { MBR_TYPE, SECTOR_SIZE } from '../../formats/mbr.ts';
import { id32FromSeed } from '../../formats/uuid.ts';
import { sizeOfInput } from './disk-files.ts';
import type { DiskBlob, DiskLayout, FatPartition, LoaderPartition } from './disk-layout.ts';
import { checkRegions, roundUp } from './disk-regions.ts';
import type { DiskPartition, PartitionContent } from './disk-plan.ts';

/** Type of partitions that belong to a boot loader, so that nothing mounts or reuses them. */
const LINUX_RESERVED = '8da63339-0007-60c0-c436-083ac8230908';

/** Where U-Boot's standard boot looks for a script or for extlinux.conf, from the root of a partition. */
const BOOT_FILES = /^(?:boot\/)?(?:boot\.scr|boot\.scr\.uimg|extlinux\/extlinux\.conf)$/i;

/** A partition without its place. */
export type Unplaced = Omit<DiskPartition, 'number' | 'start' | 'partUuid' | 'content'> & {
  /** A fixed place, or the next that is aligned. */
  readonly fixed?: number;
  readonly content: (start: number, size: number) => PartitionContent | Promise<PartitionContent>;
};

/** The partitions in their order. Blobs that lie in one of them are its content and are added to `taken`. */
export function* unplaced(layout: DiskLayout, rootSize: number, taken: Set<DiskBlob>): Generator<Unplaced> {
  const { loaderPartitions = [], fat, boot, root, data } = layout;
  const linux = { mbrType: MBR_TYPE.linux, gptType: GPT_TYPE.linux };
  for (const partition of loaderPartitions) {
    const { name, type, offset, size } = partition;
    yield {
      role: 'loader',
      name,
      size,
      bootable: false,
      mbrType: MBR_TYPE.linux,
      gptType:
        type?.toLowerCase() ?? (name.startsWith('u-boot-env') ? GPT_TYPE.ubootEnvironment : LINUX_RESERVED),
      ...(offset === undefined ? {} : { fixed: offset }),
      content: (start) => loaderContent(layout, partition, start, taken),
    };
  }
  const scriptOnFat = fat?.files.some(({ target }) => BOOT_FILES.test(target)) ?? false;
  if (fat !== undefined) {
    yield {
      role: 'fat',
      name: fat.label,
      size: roundUp(fat.size, SECTOR_SIZE),
      bootable: scriptOnFat || fat.bootable === true,
      mbrType: MBR_TYPE.fat,
      gptType: isEfi(fat) ? GPT_TYPE.efiSystem : GPT_TYPE.basicData,
      content: (start, size) => fatContent(layout, fat, start, size),
    };
  }
  if (boot !== undefined) {
    const { label, size, write } = boot;
    const content = { kind: 'linux', ...(write && { write }) } as const;
    yield {
      role: 'boot',
      name: label,
      size: wholeBlocks(size),
      bootable: !scriptOnFat,
      ...linux,
      content: () => content,
    };
  }
  const bootable = !scriptOnFat && boot === undefined;
  yield {
    role: 'root',
    name: root.label,
    size: wholeBlocks(rootSize),
    bootable,
    ...linux,
    content: () => ({ kind: 'root' }),
  };
  if (data !== undefined) {
    const { label, size, write } = data;
    const content = { kind: 'linux', ...(write && { write }) } as const;
    yield {
      role: 'data',
      name: label,
      size: wholeBlocks(size),
      bootable: false,
      ...linux,
      content: () => content,
    };
  }
}

/** File systems of Linux have blocks of up to 4 KiB. */
function wholeBlocks(size: number): number {
  return roundUp(Math.max(size, 1), 4096);
}

function isEfi({ purpose, files }: FatPartition): boolean {
  return purpose === undefined ? files.some(({ target }) => /^efi\//i.test(target)) : purpose === 'efi';
}

async function loaderContent(
  { board, blobs }: DiskLayout,
  { name, path, size }: LoaderPartition,
  start: number,
  taken: Set<DiskBlob>,
): Promise<PartitionContent> {
  if (path !== undefined) {
    const fileSize = await loaderSize(path, board);
    if (fileSize <= size) return { kind: 'file', path, size: fileSize };
    throw new TreewrightError(
      'config/loader-too-large',
      `${path} has ${fileSize} bytes, the loader partition "${name}" has ${size}; make it larger`,
      { data: { path, size: fileSize } },
    );
  }
  const inside = blobs.filter(
    ({ offset, bytes }) => offset >= start && offset + bytes.length <= start + size,
  );
  for (const blob of inside) taken.add(blob);
  checkRegions(
    inside.map(({ name: what, offset, bytes }) => ({
      kind: 'blob',
      what,
      start: offset,
      end: offset + bytes.length,
    })),
    'gpt',
  );
  return { kind: 'bytes', blobs: inside.map((blob) => ({ ...blob, offset: blob.offset - start })) };
}

async function fatContent(
  { board, root, time }: DiskLayout,
  { label, files, type }: FatPartition,
  start: number,
  size: number,
): Promise<PartitionContent> {
  const sized = await Promise.all(
    files.map(async (file) => ({
      path: file.target,
      size:
        'bytes' in file
          ? file.bytes.length
          : await sizeOfInput(file.path, {
              what: 'the file',
              board,
              code: 'input/no-boot-file',
              advice: `the FAT partition wants it as ${file.target}; build it, or change "disk.fat.files" of the board`,
            }),
    })),
  );
  const plan = planFat(sized, {
    sectors: size / FAT_SECTOR,
    label,
    volumeId: id32FromSeed(root.seed, 'fat'),
    time,
    hiddenSectors: start / SECTOR_SIZE,
    ...(type && { type }),
  });
  return { kind: 'fat', plan, sources: files };
}

/** Bytes of a boot loader file. @throws TreewrightError `input/no-loader` */
export function loaderSize(path: string, board: string | undefined): Promise<number> {
  return sizeOfInput(path, {
    what: 'the boot loader file',
    board,
    code: 'input/no-loader',
    advice: 'build it, or name the right file under "disk" of the board',
  });
}

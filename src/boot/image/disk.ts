/**
 * Where everything on a disk goes: partition table, boot loaders, environment, partitions.
 * Which partitions are flagged bootable follows U-Boot: distro_bootcmd (include/config_distro_bootcmd.h) and bootflow
 * (boot/bootdev-uclass.c) look for boot.scr on bootable partitions only, when there are any, in the order of the table.
 */
import { TreewrightError } from '../../core/errors.ts';
import type { FatPlan } from '../../formats/fat.ts';
import { planFat } from '../../formats/fat.ts';
import { FAT_SECTOR } from '../../formats/fat-geometry.ts';
import { GPT_END_SECTORS, GPT_START_SECTORS, GPT_TYPE } from '../../formats/gpt.ts';
import {
  MBR_MAX_PARTITIONS,
  MBR_TABLE_SIZE,
  MBR_TABLE_START,
  MBR_TYPE,
  SECTOR_SIZE,
  mbrPartUuid,
} from '../../formats/mbr.ts';
import { id32FromSeed, uuidFromSeed } from '../../formats/uuid.ts';
import type { ImageTarget } from '../../platform/image-file.ts';
import { sizeOfInput } from './disk-files.ts';
import type { DiskBlob, DiskLayout, FatPartition, FatSource, LoaderPartition } from './disk-layout.ts';
import type { DiskRegion } from './disk-regions.ts';
import { checkRegions, roundUp } from './disk-regions.ts';

/** Consecutive bytes of a boot loader file that go to one place. */
export interface LoaderSegment {
  /** In the file. */
  readonly from: number;
  readonly to: number;
}

export interface PlannedLoader {
  readonly path: string;
  /** From the start of the disk. */
  readonly offset: number;
  /** Of the file. */
  readonly size: number;
  /** What of it is written: all, or all but what would lie over an MBR's table. */
  readonly segments: readonly LoaderSegment[];
}

export type PartitionContent =
  | { readonly kind: 'file'; readonly path: string; readonly size: number }
  /** Zeros, with bytes at some places. */
  | { readonly kind: 'bytes'; readonly blobs: readonly DiskBlob[] }
  | { readonly kind: 'fat'; readonly plan: FatPlan; readonly sources: readonly FatSource[] }
  | { readonly kind: 'root' }
  | { readonly kind: 'linux'; readonly write?: (target: ImageTarget) => Promise<void> };

export interface DiskPartition {
  /** From 1, as in /dev/mmcblk0p1. */
  readonly number: number;
  readonly role: 'loader' | 'fat' | 'boot' | 'root' | 'data';
  /** Name in a GPT; an MBR has none. */
  readonly name: string;
  /** Bytes from the start of the disk. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
  readonly bootable: boolean;
  /** Type in an MBR. */
  readonly mbrType: number;
  /** Type in a GPT. */
  readonly gptType: string;
  /** What `root=PARTUUID=` names it by. */
  readonly partUuid: string;
  readonly content: PartitionContent;
}

export interface DiskPlan {
  readonly table: 'mbr' | 'gpt';
  /** Bytes. */
  readonly size: number;
  /** The disk signature of an MBR. */
  readonly signature: number;
  /** The GUID of a GPT's disk. */
  readonly diskUuid: string;
  /** The first sector that a partitioning tool may use. */
  readonly firstUsableSector: number;
  readonly loaders: readonly PlannedLoader[];
  /** Those that lie in no partition. */
  readonly blobs: readonly DiskBlob[];
  readonly partitions: readonly DiskPartition[];
}

/** Type of partitions that belong to a boot loader, so that nothing mounts or reuses them. */
const LINUX_RESERVED = '8da63339-0007-60c0-c436-083ac8230908';

/** Where U-Boot's standard boot looks for a script or for extlinux.conf, from the root of a partition. */
const BOOT_FILES = /^(?:boot\/)?(?:boot\.scr|boot\.scr\.uimg|extlinux\/extlinux\.conf)$/i;

type Unplaced = Omit<DiskPartition, 'number' | 'start' | 'partUuid' | 'content'> & {
  /** A fixed place, or the next that is aligned. */
  readonly fixed?: number;
  readonly content: (start: number, size: number) => PartitionContent | Promise<PartitionContent>;
};

/**
 * @param rootSize bytes of the root file system
 * @throws TreewrightError `config/disk-overlap`, `config/bad-disk`, `config/too-many-partitions`,
 *   `config/loader-too-large`, `input/no-loader`, `input/no-boot-file`, and what planFat throws
 */
export async function planDisk(layout: DiskLayout, rootSize: number): Promise<DiskPlan> {
  checkLayout(layout);
  const { table, firstPartition, alignment, root } = layout;
  const loaders = await planLoaders(layout);
  const signature = id32FromSeed(root.seed, 'disk');

  const taken = new Set<DiskBlob>();
  const partitions: DiskPartition[] = [];
  let next = firstPartition;
  for (const { fixed, content, ...rest } of unplaced(layout, rootSize, taken)) {
    const start = fixed ?? roundUp(next, alignment);
    next = Math.max(next, start + rest.size);
    const number = partitions.length + 1;
    const partUuid =
      table === 'mbr'
        ? mbrPartUuid(signature, number)
        : uuidFromSeed(root.seed, `partition ${number} ${rest.name}`);
    partitions.push({ ...rest, number, start, partUuid, content: await content(start, rest.size) });
  }
  if (table === 'mbr' && partitions.length > MBR_MAX_PARTITIONS) {
    throw badDisk('too-many-partitions', `an MBR holds ${MBR_MAX_PARTITIONS} partitions; use "table: gpt"`);
  }

  const blobs = layout.blobs.filter((blob) => !taken.has(blob));
  const regions = usedRegions(loaders, blobs, partitions);
  const end = Math.max(...regions.map((region) => region.end));
  const backup = table === 'gpt' ? GPT_END_SECTORS * SECTOR_SIZE : 0;
  const size = roundUp(end + backup, alignment);
  checkRegions([...regions, ...tableRegions(table, size)], table);
  return {
    table,
    size,
    signature,
    diskUuid: uuidFromSeed(root.seed, 'disk'),
    firstUsableSector: firstUsable(regions, partitions),
    loaders,
    blobs,
    partitions,
  };
}

function badDisk(reason: string, message: string): TreewrightError {
  return new TreewrightError(`config/${reason}`, message);
}

function checkLayout({
  table,
  firstPartition,
  alignment,
  loaderPartitions = [],
  loaders,
  blobs,
}: DiskLayout): void {
  const sectors = (value: number, least = 0): boolean =>
    Number.isSafeInteger(value) && value >= least && value % SECTOR_SIZE === 0;
  if (!sectors(firstPartition, SECTOR_SIZE) || !sectors(alignment, SECTOR_SIZE)) {
    throw badDisk(
      'bad-disk',
      `"first-partition" and "alignment" must be multiples of 512 bytes, found ${firstPartition} and ${alignment}`,
    );
  }
  if (table === 'mbr' && loaderPartitions.length > 0) {
    throw badDisk(
      'bad-disk',
      'loader partitions are found by their names, which only a GPT has; use "table: gpt" or place the files with "loaders"',
    );
  }
  const names = new Set<string>();
  for (const { name, offset, size } of loaderPartitions) {
    if (names.has(name)) throw badDisk('bad-disk', `two loader partitions have the name "${name}"`);
    names.add(name);
    if (!sectors(size, SECTOR_SIZE) || (offset !== undefined && !sectors(offset))) {
      throw badDisk(
        'bad-disk',
        `offset and size of the loader partition "${name}" must be multiples of 512 bytes`,
      );
    }
  }
  for (const { offset } of [...loaders, ...blobs]) {
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw badDisk('bad-disk', `${offset} is no place on a disk`);
  }
}

async function planLoaders({ loaders, board, table }: DiskLayout): Promise<PlannedLoader[]> {
  return Promise.all(
    loaders.map(async ({ path, offset }) => {
      const size = await loaderSize(path, board);
      const first = Math.max(0, MBR_TABLE_START - offset);
      const second = first + MBR_TABLE_SIZE;
      // Loaders that begin in sector 0 (Amlogic) are made to have the table written into them.
      const around = table === 'mbr' && offset < MBR_TABLE_START && size > first;
      const segments = around
        ? [{ from: 0, to: first }, ...(size > second ? [{ from: second, to: size }] : [])]
        : [{ from: 0, to: size }];
      return { path, offset, size, segments };
    }),
  );
}

function loaderSize(path: string, board: string | undefined): Promise<number> {
  return sizeOfInput(path, {
    what: 'the boot loader file',
    board,
    code: 'input/no-loader',
    advice: 'build it, or name the right file under "disk" of the board',
  });
}

/** The partitions in their order, without places. */
function* unplaced(layout: DiskLayout, rootSize: number, taken: Set<DiskBlob>): Generator<Unplaced> {
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

function usedRegions(
  loaders: readonly PlannedLoader[],
  blobs: readonly DiskBlob[],
  partitions: readonly DiskPartition[],
): DiskRegion[] {
  return [
    ...loaders.flatMap(({ path, offset, segments }) =>
      segments.map(({ from, to }) => ({
        kind: 'loader' as const,
        what: `the boot loader ${path}`,
        start: offset + from,
        end: offset + to,
      })),
    ),
    ...blobs.map(({ name, offset, bytes }) => ({
      kind: 'blob' as const,
      what: name,
      start: offset,
      end: offset + bytes.length,
    })),
    ...partitions.map(({ number, role, name, start, size }) => ({
      kind: 'partition' as const,
      what: `partition ${number} "${name}"`,
      start,
      end: start + size,
      ...(role === 'loader' && { move: `the offset of the loader partition "${name}"` }),
    })),
  ];
}

function tableRegions(table: 'mbr' | 'gpt', size: number): DiskRegion[] {
  if (table === 'mbr') {
    return [{ kind: 'table', what: 'the partition table (MBR)', start: MBR_TABLE_START, end: SECTOR_SIZE }];
  }
  const sectors = GPT_START_SECTORS * SECTOR_SIZE;
  return [
    { kind: 'table', what: 'the partition table (GPT)', start: MBR_TABLE_START, end: sectors },
    {
      kind: 'table',
      what: 'the backup of the partition table',
      start: size - GPT_END_SECTORS * SECTOR_SIZE,
      end: size,
    },
  ];
}

/** Behind what lies before the first partition, so that no tool puts a partition over a boot loader. */
function firstUsable(regions: readonly DiskRegion[], partitions: readonly DiskPartition[]): number {
  const first = Math.min(...partitions.map(({ start }) => start));
  const before = regions.filter(({ kind, end }) => kind !== 'partition' && end <= first);
  const end = Math.max(GPT_START_SECTORS * SECTOR_SIZE, ...before.map((region) => region.end));
  return Math.ceil(end / SECTOR_SIZE);
}

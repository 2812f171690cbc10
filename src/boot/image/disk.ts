/** Where everything on a disk goes: partition table, boot loaders, environment, partitions. */
import { TreewrightError } from '../../core/errors.ts';
import { GPT_END_SECTORS, GPT_START_SECTORS } from '../../formats/gpt.ts';
import { MBR_TABLE_SIZE, MBR_TABLE_START, SECTOR_SIZE, mbrPartUuid } from '../../formats/mbr.ts';
import { id32FromSeed, uuidFromSeed } from '../../formats/uuid.ts';
import type { DiskBlob, DiskLayout } from './disk-layout.ts';
import { loaderSize, unplaced } from './disk-partitions.ts';
import type { DiskPartition, DiskPlan, PlannedLoader } from './disk-plan.ts';
import type { DiskRegion } from './disk-regions.ts';
import { checkRegions, roundUp } from './disk-regions.ts';

/**
 * @param rootSize bytes of the root file system
 * @throws TreewrightError `config/disk-overlap`, `config/bad-disk`,
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

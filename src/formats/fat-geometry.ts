/**
 * Where the parts of a FAT file system lie, and which of the three kinds it is: the count of clusters alone decides.
 * Source: Microsoft FAT specification, sections 3.1 to 3.5 (BPB, type determination, FAT size).
 */
import { TreewrightError } from '../core/errors.ts';

export type FatType = 12 | 16 | 32;

export interface FatGeometry {
  readonly type: FatType;
  /** Sectors of 512 bytes, all counts below as well. */
  readonly sectors: number;
  readonly sectorsPerCluster: number;
  /** Sectors before the first FAT: boot sector and, with FAT32, its companions. */
  readonly reserved: number;
  /** Sectors of one of the two FATs. */
  readonly fatSectors: number;
  /** Entries of the root directory; 0 with FAT32, whose root is a chain of clusters. */
  readonly rootEntries: number;
  /** Where cluster 2 begins. */
  readonly dataStart: number;
  readonly clusters: number;
}

export const FAT_SECTOR = 512;

/** Two copies, as everything expects. */
export const FAT_COPIES = 2;

/** Counts of clusters from which a file system is FAT16 and FAT32. */
const FIRST_FAT16 = 4085;
const FIRST_FAT32 = 65525;

/** The highest count of clusters whose numbers mean nothing else. */
const MAX_CLUSTERS: Readonly<Record<FatType, number>> = { 12: 4084, 16: 65524, 32: 0x0ffffff5 };

const MAX_SECTORS_PER_CLUSTER = 128;

/** Below this FAT16 is written, from it FAT32: 512 MiB in sectors. */
const FAT32_FROM = 1048576;

/** Sectors up to which, to sectors per cluster: the specification's tables, which keep away from the borders. */
const FAT16_CLUSTERS = [[32680, 2], [262144, 4], [524288, 8], [1048576, 16], [2097152, 32], [4194304, 64]] as const; // prettier-ignore
const FAT32_CLUSTERS = [[532480, 1], [16777216, 8], [33554432, 16], [67108864, 32], [0xffffffff, 64]] as const; // prettier-ignore
const FIRST_FAT16_SECTORS = 8401;

export interface FatChoice {
  /** Sectors of the partition. */
  readonly sectors: number;
  /** Chosen by size when absent. */
  readonly type?: FatType;
  /** A power of two up to 128; chosen by size when absent. */
  readonly sectorsPerCluster?: number;
}

/** The type for a partition of this many sectors: FAT12 up to 4 MiB, FAT16 below 512 MiB, FAT32 from there. */
export function defaultFatType(sectors: number): FatType {
  return sectors < FIRST_FAT16_SECTORS ? 12 : sectors < FAT32_FROM ? 16 : 32;
}

/** @throws TreewrightError `config/bad-fat` when no such file system exists */
export function fatGeometry({ sectors, type, sectorsPerCluster }: FatChoice): FatGeometry {
  const wanted = type ?? (sectorsPerCluster === undefined ? defaultFatType(sectors) : undefined);
  const types: readonly FatType[] = wanted === undefined ? [12, 16, 32] : [wanted];
  for (const candidate of types) {
    for (const perCluster of sectorsPerCluster === undefined
      ? clusterSizes(candidate, sectors)
      : [sectorsPerCluster]) {
      const geometry = layOut(candidate, sectors, perCluster);
      if (geometry !== undefined) return geometry;
    }
  }
  throw new TreewrightError(
    'config/bad-fat',
    `a partition of ${sectors * FAT_SECTOR} bytes cannot hold a FAT${wanted ?? ''} file system` +
      `${sectorsPerCluster === undefined ? '' : ` with ${sectorsPerCluster} sectors a cluster`}: ` +
      'FAT12 has up to 4,084 clusters, FAT16 4,085 to 65,524, FAT32 65,525 and more; change its size or its type',
    { data: { sectors } },
  );
}

/** Cluster sizes to try, best first. */
function clusterSizes(type: FatType, sectors: number): readonly number[] {
  const powers = [1, 2, 4, 8, 16, 32, 64, MAX_SECTORS_PER_CLUSTER];
  if (type === 12) return powers;
  const table = type === 16 ? FAT16_CLUSTERS : FAT32_CLUSTERS;
  const best = table.find(([upTo]) => sectors <= upTo)?.[1] ?? MAX_SECTORS_PER_CLUSTER;
  // A forced type in a small partition needs smaller clusters.
  return [best, ...powers.filter((size) => size < best).reverse(), ...powers.filter((size) => size > best)];
}

/** The layout, or undefined when its count of clusters makes it another type. */
function layOut(type: FatType, sectors: number, sectorsPerCluster: number): FatGeometry | undefined {
  const reserved = type === 32 ? 32 : 1;
  const rootEntries = type === 32 ? 0 : 512;
  const rootSectors = (rootEntries * 32) / FAT_SECTOR;
  const available = sectors - reserved - rootSectors;
  const clustersWith = (fatSectors: number): number =>
    Math.floor((available - FAT_COPIES * fatSectors) / sectorsPerCluster);
  // Smaller FATs leave more clusters, which need larger FATs: the smallest that is enough.
  let fatSectors = 1;
  for (;;) {
    const bits = (clustersWith(fatSectors) + 2) * type;
    const needed = Math.ceil(bits / 8 / FAT_SECTOR);
    if (needed <= fatSectors) break;
    fatSectors = needed;
  }
  // The largest FAT was needed for clusters that are no longer there: come back down.
  while (
    fatSectors > 1 &&
    Math.ceil(((clustersWith(fatSectors - 1) + 2) * type) / 8 / FAT_SECTOR) < fatSectors
  ) {
    fatSectors--;
  }
  const clusters = clustersWith(fatSectors);
  const typeOfCount = clusters < FIRST_FAT16 ? 12 : clusters < FIRST_FAT32 ? 16 : 32;
  if (clusters < 1 || typeOfCount !== type || clusters > MAX_CLUSTERS[type]) return undefined;
  const dataStart = reserved + FAT_COPIES * fatSectors + rootSectors;
  return { type, sectors, sectorsPerCluster, reserved, fatSectors, rootEntries, dataStart, clusters };
}

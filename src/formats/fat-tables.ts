/** The reserved sectors and the allocation tables of a FAT file system. Source: Microsoft FAT specification, 3 to 5. */
import type { FatGeometry } from './fat-geometry.ts';
import { FAT_COPIES, FAT_SECTOR } from './fat-geometry.ts';

/** Clusters that follow each other: a file or a directory. */
export interface ClusterRun {
  readonly start: number;
  readonly length: number;
}

/** Sectors of a FAT in one piece: a multiple of three, so that no 12-bit entry lies across two pieces. */
const PIECE_SECTORS = 768;

const END_OF_CHAIN = { 12: 0xfff, 16: 0xffff, 32: 0x0fffffff } as const;

const FSINFO_SECTOR = 1;
const BACKUP_BOOT_SECTOR = 6;

export interface FatVolume {
  /** 11 bytes, padded with blanks. */
  readonly label: Uint8Array;
  /** The "serial number" of 32 bits. */
  readonly volumeId: number;
  /** Sectors of the disk before the partition. */
  readonly hiddenSectors: number;
  /** The cluster of FAT32's root directory. */
  readonly rootCluster: number;
  /** The first cluster that is free; all from there on are. */
  readonly nextFree: number;
}

/** All sectors before the first FAT. */
export function encodeReserved(geometry: FatGeometry, volume: FatVolume): Uint8Array {
  const out = new Uint8Array(geometry.reserved * FAT_SECTOR);
  const boot = encodeBootSector(geometry, volume);
  out.set(boot);
  if (geometry.type === 32) {
    const info = encodeFsInfo(geometry, volume);
    out.set(info, FSINFO_SECTOR * FAT_SECTOR);
    out.set(boot, BACKUP_BOOT_SECTOR * FAT_SECTOR);
    out.set(info, (BACKUP_BOOT_SECTOR + FSINFO_SECTOR) * FAT_SECTOR);
  }
  return out;
}

function encodeBootSector(geometry: FatGeometry, volume: FatVolume): Uint8Array {
  const { type, sectors } = geometry;
  const out = new Uint8Array(FAT_SECTOR);
  const view = new DataView(out.buffer);
  const text = (at: number, value: string): void => {
    for (let i = 0; i < value.length; i++) out[at + i] = value.charCodeAt(i);
  };
  const extended = type === 32 ? 64 : 36;
  const code = extended + 26;
  out.set([0xeb, code - 2, 0x90]);
  text(3, 'MSWIN4.1');
  view.setUint16(11, FAT_SECTOR, true);
  out[13] = geometry.sectorsPerCluster;
  view.setUint16(14, geometry.reserved, true);
  out[16] = FAT_COPIES;
  view.setUint16(17, geometry.rootEntries, true);
  const small = type !== 32 && sectors < 0x10000;
  view.setUint16(19, small ? sectors : 0, true);
  out[21] = 0xf8;
  view.setUint16(22, type === 32 ? 0 : geometry.fatSectors, true);
  view.setUint16(24, 63, true);
  view.setUint16(26, 255, true);
  view.setUint32(28, volume.hiddenSectors, true);
  view.setUint32(32, small ? 0 : sectors, true);
  if (type === 32) {
    view.setUint32(36, geometry.fatSectors, true);
    view.setUint32(44, volume.rootCluster, true);
    view.setUint16(48, FSINFO_SECTOR, true);
    view.setUint16(50, BACKUP_BOOT_SECTOR, true);
  }
  out[extended] = 0x80;
  out[extended + 2] = 0x29;
  view.setUint32(extended + 3, volume.volumeId, true);
  out.set(volume.label, extended + 7);
  text(extended + 18, `FAT${type}`.padEnd(8));
  // Where a PC would start: stop.
  out.set([0xf4, 0xeb, 0xfd], code);
  out.set([0x55, 0xaa], 510);
  return out;
}

function encodeFsInfo({ clusters }: FatGeometry, { nextFree }: FatVolume): Uint8Array {
  const out = new Uint8Array(FAT_SECTOR);
  const view = new DataView(out.buffer);
  view.setUint32(0, 0x41615252, true);
  view.setUint32(484, 0x61417272, true);
  view.setUint32(488, clusters + 2 - nextFree, true);
  view.setUint32(492, nextFree < clusters + 2 ? nextFree : 0xffffffff, true);
  view.setUint32(508, 0xaa550000, true);
  return out;
}

/** One FAT in pieces, in order; the sectors after the last used entry are zeros and are given as well. */
export function* encodeFat(geometry: FatGeometry, runs: readonly ClusterRun[]): Generator<Uint8Array> {
  const { type, fatSectors } = geometry;
  const lasts = new Set(runs.map(({ start, length }) => start + length - 1));
  const used = Math.max(1, ...lasts);
  const end = END_OF_CHAIN[type];
  let cluster = 0;
  for (let sector = 0; sector < fatSectors; sector += PIECE_SECTORS) {
    const piece = new Uint8Array(Math.min(PIECE_SECTORS, fatSectors - sector) * FAT_SECTOR);
    const view = new DataView(piece.buffer);
    const entries = Math.floor((piece.length * 8) / type);
    for (let i = 0; i < entries && cluster <= used; i++, cluster++) {
      const value =
        cluster === 0 ? (end & ~0xff) | 0xf8 : cluster === 1 || lasts.has(cluster) ? end : cluster + 1;
      if (type === 32) view.setUint32(4 * i, value, true);
      else if (type === 16) view.setUint16(2 * i, value, true);
      else setEntry12(piece, i, value);
    }
    yield piece;
  }
}

/** Two 12-bit entries share three bytes. */
function setEntry12(piece: Uint8Array, index: number, value: number): void {
  const at = index + (index >> 1);
  if (index % 2 === 0) {
    piece[at] = value & 0xff;
    piece[at + 1] = ((piece[at + 1] ?? 0) & 0xf0) | (value >> 8);
  } else {
    piece[at] = ((piece[at] ?? 0) & 0x0f) | ((value & 0x0f) << 4);
    piece[at + 1] = value >> 4;
  }
}

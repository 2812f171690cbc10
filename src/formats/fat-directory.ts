/**
 * Directories of a FAT file system: 32-byte entries, long names in front of the entry they belong to.
 * Source: Microsoft FAT specification, sections 6 and 7.
 */
import { SHORT_NAME_SIZE, isShortName, shortNameBytes, shortNameChecksum } from './fat-names.ts';

/** Bytes of an entry. */
export const FAT_ENTRY_SIZE = 32;

/** Bytes of the largest directory. */
export const FAT_MAX_DIRECTORY = 65536 * FAT_ENTRY_SIZE;

const ATTRIBUTE = { volumeId: 0x08, directory: 0x10, archive: 0x20, longName: 0x0f } as const;

/** UTF-16 units in one entry of a long name, and where they stand. */
const UNITS_PER_ENTRY = 13;
const UNIT_PLACES = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30] as const;

/** Date and time of a FAT entry, two seconds fine. */
export interface FatTime {
  readonly date: number;
  readonly time: number;
}

/** What an entry points to; an empty file has no cluster and says 0. */
export interface FatEntryTarget {
  readonly directory: boolean;
  readonly cluster: number;
  /** Bytes; 0 for a directory. */
  readonly size: number;
}

/** UTC, since FAT has no time zone; before 1980 and after 2107 the nearest there is. */
export function fatTime(seconds: number): FatTime {
  const clamped = Math.min(Math.max(Math.trunc(seconds), 315532800), 4354819198);
  const at = new Date(clamped * 1000);
  return {
    date: ((at.getUTCFullYear() - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate(),
    time: (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1),
  };
}

/** Entries a name takes, its long form included. */
export function fatEntryCount(name: string): number {
  return isShortName(name) ? 1 : 1 + Math.ceil(name.length / UNITS_PER_ENTRY);
}

/** The entries of a file or directory: the long name, last part first, then the one with the 8.3 name. */
export function encodeFatEntry(
  name: string,
  short: string,
  target: FatEntryTarget,
  time: FatTime,
): Uint8Array {
  const shortBytes = shortNameBytes(short);
  const out = new Uint8Array(fatEntryCount(name) * FAT_ENTRY_SIZE);
  const parts = out.length / FAT_ENTRY_SIZE - 1;
  const checksum = shortNameChecksum(shortBytes);
  for (let part = parts; part >= 1; part--) {
    const entry = out.subarray((parts - part) * FAT_ENTRY_SIZE, (parts - part + 1) * FAT_ENTRY_SIZE);
    entry[0] = part === parts ? part | 0x40 : part;
    entry[11] = ATTRIBUTE.longName;
    entry[13] = checksum;
    for (const [i, place] of UNIT_PLACES.entries()) {
      const at = (part - 1) * UNITS_PER_ENTRY + i;
      // The end is marked by one zero, unless the name fills its last entry; then all ones.
      const unit = at < name.length ? name.charCodeAt(at) : at === name.length ? 0 : 0xffff;
      entry[place] = unit & 0xff;
      entry[place + 1] = unit >> 8;
    }
  }
  out.set(encodeShortEntry(shortBytes, target, time), parts * FAT_ENTRY_SIZE);
  return out;
}

/** `.` and `..`, the first entries of every directory but the root. `parent` is 0 when that is the root. */
export function encodeDotEntries(own: number, parent: number, time: FatTime): Uint8Array {
  const out = new Uint8Array(2 * FAT_ENTRY_SIZE);
  for (const [i, cluster] of [own, parent].entries()) {
    const name = new Uint8Array(SHORT_NAME_SIZE).fill(0x20);
    name.fill(0x2e, 0, i + 1);
    out.set(encodeShortEntry(name, { directory: true, cluster, size: 0 }, time), i * FAT_ENTRY_SIZE);
  }
  return out;
}

/** The entry of the root directory that holds the volume's label: 11 bytes. */
export function encodeLabelEntry(label: Uint8Array, { date, time }: FatTime): Uint8Array {
  const entry = new Uint8Array(FAT_ENTRY_SIZE);
  const view = new DataView(entry.buffer);
  entry.set(label);
  entry[11] = ATTRIBUTE.volumeId;
  view.setUint16(22, time, true);
  view.setUint16(24, date, true);
  return entry;
}

function encodeShortEntry(name: Uint8Array, target: FatEntryTarget, { date, time }: FatTime): Uint8Array {
  const entry = new Uint8Array(FAT_ENTRY_SIZE);
  const view = new DataView(entry.buffer);
  entry.set(name);
  entry[11] = target.directory ? ATTRIBUTE.directory : ATTRIBUTE.archive;
  view.setUint16(14, time, true);
  view.setUint16(16, date, true);
  view.setUint16(18, date, true);
  view.setUint16(20, target.cluster >>> 16, true);
  view.setUint16(22, time, true);
  view.setUint16(24, date, true);
  view.setUint16(26, target.cluster & 0xffff, true);
  view.setUint32(28, target.size, true);
  return entry;
}

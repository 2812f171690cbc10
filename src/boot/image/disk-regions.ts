/** Proves that nothing on a disk lies over anything else, and says what to change where it does. */
import { TreewrightError } from '../../core/errors.ts';

export interface DiskRegion {
  readonly kind: 'table' | 'loader' | 'blob' | 'partition';
  /** As a message names it. */
  readonly what: string;
  /** Bytes from the start of the disk, `end` exclusive. */
  readonly start: number;
  readonly end: number;
  /** The region may be moved by the configuration, with these words. */
  readonly move?: string;
}

/** @throws TreewrightError `config/disk-overlap` that names both parties */
export function checkRegions(regions: readonly DiskRegion[], table: 'mbr' | 'gpt'): void {
  const sorted = regions.filter(({ start, end }) => end > start).sort((a, b) => a.start - b.start);
  let before: DiskRegion | undefined;
  for (const region of sorted) {
    if (before !== undefined && region.start < before.end) {
      throw new TreewrightError(
        'config/disk-overlap',
        `${describe(before)} and ${describe(region)} lie over each other on the disk; ${advice(before, region, table)}`,
        { data: { first: before.what, second: region.what } },
      );
    }
    if (before === undefined || region.end > before.end) before = region;
  }
}

function describe({ what, start, end }: DiskRegion): string {
  return `${what} (bytes ${start} to ${end - 1})`;
}

function advice(a: DiskRegion, b: DiskRegion, table: 'mbr' | 'gpt'): string {
  const [first, second] = a.kind === 'table' ? [a, b] : b.kind === 'table' ? [b, a] : [a, b];
  if (first.kind === 'table') {
    if (table === 'gpt' && second.kind !== 'partition') {
      return (
        `use "table: mbr", which takes 72 bytes only, or a place from ${first.end} on` +
        (second.kind === 'loader' ? ' if the boot ROM looks there' : '')
      );
    }
    return `give ${second.what} an offset from ${first.end} on`;
  }
  const fixed = [first, second].find(({ kind }) => kind !== 'partition');
  const partition = [first, second].find(({ kind }) => kind === 'partition');
  if (fixed !== undefined && partition !== undefined) {
    return partition.move === undefined
      ? `set "first-partition" to ${roundUp(fixed.end, 4096)} or more, or move ${fixed.what}`
      : `change ${partition.move}, or move ${fixed.what}`;
  }
  return `give ${b.what} an offset of ${roundUp(a.end, 512)} or more`;
}

/** The next multiple of `unit`. */
export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

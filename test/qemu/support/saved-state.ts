/** The saved environment on a disk, read and changed as libubootenv and fw_setenv do. */
import { open, readFile } from 'node:fs/promises';
import { decodeEnvironment, encodeEnvironment } from '../../../src/formats/uboot-env.ts';

/** Where the copies are: one, or two redundant ones. Negative offsets count from the end. */
export interface SavedPlace {
  readonly disk: string;
  readonly offsets: readonly number[];
  readonly size: number;
}

export interface SavedCopy {
  readonly offset: number;
  readonly variables: Map<string, string>;
  readonly flag: number;
}

/** The copies whose checksum is right, the one that holds first: a higher flag, and 0 above 255. */
export async function readSaved({ disk, offsets, size }: SavedPlace): Promise<SavedCopy[]> {
  const bytes = await readFile(disk);
  const copies: SavedCopy[] = [];
  for (const place of offsets) {
    const offset = place < 0 ? bytes.length + place : place;
    try {
      const layout = { size, redundant: offsets.length > 1 };
      const { variables, flag = 0 } = decodeEnvironment(bytes.subarray(offset, offset + size), layout);
      copies.push({ offset, variables, flag });
    } catch {
      // A copy that was never written, or not wholly.
    }
  }
  const rank = ({ flag }: SavedCopy, other: SavedCopy | undefined): number =>
    flag === 0 && other?.flag === 255 ? 256 : flag;
  const [first, second] = copies;
  if (first !== undefined && second !== undefined && rank(second, first) > rank(first, second))
    copies.reverse();
  return copies;
}

/** The variables that hold. */
export async function savedVariables(place: SavedPlace): Promise<Record<string, string>> {
  const [copy] = await readSaved(place);
  if (copy === undefined) throw new Error(`no environment was saved on ${place.disk}`);
  return Object.fromEntries(copy.variables);
}

/** Sets variables, in the copy that does not hold when there are two; an empty value removes. */
export async function setSaved(place: SavedPlace, changes: Readonly<Record<string, string>>): Promise<void> {
  const [held] = await readSaved(place);
  if (held === undefined) throw new Error(`no environment was saved on ${place.disk}`);
  const variables = new Map(held.variables);
  for (const [name, value] of Object.entries(changes)) {
    if (value === '') variables.delete(name);
    else variables.set(name, value);
  }
  const redundant = place.offsets.length > 1;
  const file = await open(place.disk, 'r+');
  const { size: end } = await file.stat();
  const offsets = place.offsets.map((offset) => (offset < 0 ? end + offset : offset));
  const target = redundant ? offsets.find((offset) => offset !== held.offset) : held.offset;
  const bytes = encodeEnvironment(
    variables,
    { size: place.size, redundant },
    { flag: (held.flag + 1) % 256 },
  );
  await file.write(bytes, 0, bytes.length, target);
  await file.close();
}

/** A census of the fleet: how many devices run which version. */
import { readFile } from 'node:fs/promises';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';

/** Devices by version, in the order of the file. */
export type Fleet = ReadonlyMap<string, number>;

/** More than there are devices in the world, and safely added up. */
const MAX_DEVICES = 1e11;

/** Faults that are listed before the rest is only counted. */
const SHOWN_FAULTS = 10;

const HEADER = /^"?version"?\s*,/i;

/**
 * Reads lines of `version,count`. Blank lines, `#` comments, quotes around the fields and a header are passed over; a
 * version that stands there twice is added up. Throws `config/bad-fleet` naming every bad line as `name:line`.
 */
export function parseFleet(text: string, name: string): Fleet {
  const fleet = new Map<string, number>();
  const faults: string[] = [];
  let first = true;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.replace(/^\ufeff/, '').trim();
    if (line === '' || line.startsWith('#')) continue;
    const isHeader = first && HEADER.test(line);
    first = false;
    if (isHeader) continue;
    const match = /^(?:"([^",]+)"|([^",]+?))\s*,\s*(?:"(\d{1,12})"|(\d{1,12}))$/.exec(line);
    const version = (match?.[1] ?? match?.[2])?.trim();
    const count = Number(match?.[3] ?? match?.[4]);
    if (version === undefined || version === '' || !(count <= MAX_DEVICES)) {
      faults.push(
        `${name}:${index + 1}: expected version,count such as 1.4.0,1200, found ${JSON.stringify(line.slice(0, 80))}`,
      );
      continue;
    }
    fleet.set(version, (fleet.get(version) ?? 0) + count);
  }
  if (faults.length > 0) {
    const more = faults.length > SHOWN_FAULTS ? [`and ${faults.length - SHOWN_FAULTS} more`] : [];
    throw new TreewrightError('config/bad-fleet', [...faults.slice(0, SHOWN_FAULTS), ...more].join('\n'), {
      data: { file: name, faults },
    });
  }
  return fleet;
}

/** `file` is absolute. Throws `config/no-fleet` when it cannot be read. */
export async function readFleet(file: string): Promise<Fleet> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new TreewrightError(
      'config/no-fleet',
      `the census ${file} named by deltas.from.fleet cannot be read (${systemErrorCode(error) ?? 'unknown error'})`,
      { cause: error, data: { file } },
    );
  }
  return parseFleet(text, file);
}

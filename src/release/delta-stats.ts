/**
 * The document in which aktualizr-lite looks up what an update will cost: `{to: {from: {size, u_size}}}` in canonical
 * JSON, at `delta-stats/<sha256>` of the OSTree server, named by `custom.delta-stats` of the OSTree target.
 */
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import { isChecksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import type { JsonObject } from '../formats/canonical-json.ts';
import { encodeCanonicalJson, isJsonObject } from '../formats/canonical-json.ts';
import { writeFileAtomic } from '../platform/files.ts';
import type { ByteStore } from '../platform/store.ts';
import type { ReleaseEntry, Targets } from './catalog.ts';
import { ostreeTarget } from './catalog.ts';
import type { MadeDelta } from './deltas-step.ts';
import { sha256 } from './release-files.ts';

const DIRECTORY = 'delta-stats';

/** Far beyond the thousand deltas a release may have, in bytes. */
const MAX_SIZE = 4 * 1024 * 1024;

/** What the OSTree target says of the document. */
export interface DeltaStats {
  readonly sha256: Checksum;
  readonly size: number;
}

/** `size` is what is downloaded, `u_size` what the objects have in it makes; bytes. Deltas from nothing have no place in it. */
export function encodeDeltaStats(to: Checksum, made: readonly MadeDelta[]): Uint8Array {
  const deltas: Record<string, JsonObject> = {};
  for (const { info } of made) {
    if (info.from === undefined) continue;
    const uncompressed = info.parts.reduce((sum, part) => sum + part.uncompressed, 0);
    deltas[info.from] = { size: info.bytes, u_size: uncompressed };
  }
  return encodeCanonicalJson({ [to]: deltas });
}

/** Writes the document; undefined when there is no delta to tell of. */
export async function writeDeltaStats(
  repo: string,
  to: Checksum,
  made: readonly MadeDelta[],
): Promise<DeltaStats | undefined> {
  if (made.every(({ info }) => info.from === undefined)) return undefined;
  const bytes = encodeDeltaStats(to, made);
  const digest = sha256(bytes);
  await writeFileAtomic(join(repo, DIRECTORY, digest), bytes);
  return { sha256: digest, size: bytes.length };
}

/** The document that the OSTree target of a release names, if it names one, must be there and be what it names. */
export async function verifyDeltaStats(
  repo: ByteStore,
  targets: Targets,
  entry: ReleaseEntry,
): Promise<void> {
  const named = targets.get(ostreeTarget(entry))?.custom?.['delta-stats'];
  if (named === undefined) return;
  const { sha256: digest, size } = isJsonObject(named) ? named : {};
  if (typeof digest !== 'string' || !isChecksum(digest) || typeof size !== 'number') {
    throw new TreewrightError(
      'trust/bad-target',
      `the TUF target ${ostreeTarget(entry)} says nothing usable as delta-stats`,
    );
  }
  const path = `${DIRECTORY}/${digest}`;
  const bytes = await repo.read(path, MAX_SIZE);
  if (bytes?.length === size && sha256(bytes) === digest) return;
  throw new TreewrightError(
    bytes === undefined ? 'trust/missing-file' : 'trust/corrupt-file',
    `${path} is ${bytes === undefined ? 'missing from' : 'not the file its TUF target names in'} ${repo.location}`,
    { data: { path } },
  );
}

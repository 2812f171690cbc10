/** Branches and the summary of a repository: the pointers, written after everything they point to. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import { systemErrorCode } from '../core/errors.ts';
import type { Vardict } from '../formats/gvariant.ts';
import { lookup } from '../formats/gvariant.ts';
import { decodeCommit } from '../formats/ostree-objects.ts';
import type { SummaryRef } from '../formats/ostree-summary.ts';
import { encodeSummary } from '../formats/ostree-summary.ts';
import { writeFileAtomic } from '../platform/files.ts';
import { openStore } from '../platform/store.ts';
import { readMetadata, readRef } from './read.ts';
import { refPath } from './paths.ts';

/** Points a branch to a commit. */
export async function writeRef(repo: string, ref: string, commit: Checksum): Promise<void> {
  await writeFileAtomic(join(repo, refPath(ref)), `${commit}\n`);
}

/** The names of all branches below refs/heads, sorted. */
export async function listRefs(repo: string): Promise<string[]> {
  const refs: string[] = [];
  const descend = async (prefix: string): Promise<void> => {
    let entries;
    try {
      entries = await readdir(join(repo, 'refs/heads', prefix), { withFileTypes: true });
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return;
      throw error;
    }
    for (const entry of entries) {
      if (entry.name.startsWith('.')) continue;
      const name = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
      if (entry.isDirectory()) await descend(name);
      else refs.push(name);
    }
  };
  await descend('');
  return refs.sort();
}

/** The string under `key` in a commit's metadata. */
export function metadataString(metadata: Vardict, key: string): string | undefined {
  const value = lookup(metadata, key, 's');
  return typeof value === 'string' ? value : undefined;
}

export interface SummaryOptions {
  readonly repo: string;
  /** `<from>-<to>` or `<to>`, with the SHA-256 of the superblock. */
  readonly deltas: readonly (readonly [string, Checksum])[];
  /** Seconds since 1970. */
  readonly lastModified: number;
  /** Where branches will point to once their refs are written; the summary goes first. */
  readonly pending?: ReadonlyMap<string, Checksum>;
}

/** The bytes of a summary that lists every branch and every delta. */
export async function buildSummary(options: SummaryOptions): Promise<Uint8Array> {
  const { repo, deltas, lastModified, pending = new Map<string, Checksum>() } = options;
  const store = openStore(repo);
  const refs: SummaryRef[] = [];
  for (const ref of new Set([...(await listRefs(repo)), ...pending.keys()])) {
    const commit = pending.get(ref) ?? (await readRef(store, ref));
    if (commit === undefined) continue;
    const bytes = await readMetadata(store, commit, 'commit');
    const { timestamp, metadata } = decodeCommit(bytes);
    const version = metadataString(metadata, 'version');
    refs.push({
      ref,
      commit,
      commitSize: bytes.length,
      timestamp,
      ...(version === undefined ? {} : { version }),
    });
  }
  return encodeSummary({ refs, deltas, lastModified });
}

/** `treewright delta`: one static delta in a repository, or in a file for transport by hand. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { TreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import type { DeltaInfo, GenerateDelta } from '../delta/generate.ts';
import { generateDelta } from '../delta/generate.ts';
import { writeDeltaIndexes } from '../delta/list.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaName, superblockPath } from '../formats/ostree-delta-index.ts';
import { openStore } from '../platform/store.ts';
import { createWorkerPool } from '../platform/workers.ts';
import { checkRepository } from '../repo/repository.ts';
import { loadSignerFile, loadSigners } from '../trust/keys.ts';
import { signBytes } from '../trust/ostree-sign.ts';
import { releaseDirectoryOf, withRepository } from './repository-lock.ts';
import { resolveEnds } from './revision.ts';
import { checkSummarySigners, refreshSummary } from './summary.ts';

/** Options of the generator that are passed on as they are. */
type Passed = Pick<
  GenerateDelta,
  'maxPartSize' | 'maxPatchSize' | 'minFallbackSize' | 'inlineParts' | 'byteOrder' | 'output'
>;

export interface MakeDeltaOptions extends Passed {
  /** An archive repository. */
  readonly repo: string;
  /** A branch or a commit; without it the delta is from nothing. */
  readonly from?: string;
  readonly to: string;
  /** A private key file: signs the superblock. Only together with `output`. */
  readonly signKey?: string;
  /** The directory with the key of the summary, where that is signed. */
  readonly keys?: string;
  /** Seconds since 1970, for the summary. */
  readonly lastModified: number;
  /** Worker threads; the result does not depend on it. */
  readonly jobs?: number;
  readonly events: EventSink;
  /** Called before anything is written; what it throws stops the work. */
  readonly checkpoint: () => void;
}

export interface MakeDeltaReport extends DeltaInfo {
  readonly repo: string;
  readonly name: string;
  /** True when the summary names the delta; false for one that was written elsewhere. */
  readonly published: boolean;
  /** Fetches of a device with the delta, and of one that has to take single objects. */
  readonly requests: { readonly delta: number; readonly loose: number };
}

/** Before 2023.4 libostree fetched no larger superblock, in bytes. */
const OLD_SUPERBLOCK_LIMIT = 10 * 1024 * 1024;

export async function makeDelta(options: MakeDeltaOptions): Promise<MakeDeltaReport> {
  const { repo, output, signKey, keys, events, checkpoint } = options;
  await checkRepository(repo);
  if (signKey !== undefined && output === undefined) {
    throw new TreewrightError(
      'usage/signed-delta',
      'libostree cannot read a signed superblock when it pulls, so devices could not update any more: ' +
        'give --output as well, for a delta that is applied offline; over HTTP the signatures of commit and summary count',
    );
  }
  const ends = await resolveEnds(openStore(repo), options);
  const signers = signKey === undefined ? undefined : await loadSignerFile(signKey);
  const summarySigners = keys === undefined ? [] : (await loadSigners(keys, ['ostree'])).ostree;
  if (output === undefined) await checkSummarySigners(repo, summarySigners);
  checkpoint();

  const generate = async (): Promise<DeltaInfo> => {
    events({ type: 'stage', stage: 'delta', title: 'Building the static delta' });
    const pool = createWorkerPool(options.jobs);
    try {
      const info = await generateDelta({
        ...passed(options),
        ...ends,
        repo,
        pool,
        events,
        ...(signers === undefined ? {} : { sign: (bytes) => signBytes(bytes, signers) }),
      });
      events({ type: 'done', stage: 'delta', summary: info.reused ? 'it was there already' : 'delta built' });
      return info;
    } finally {
      await pool.close();
    }
  };
  if (output !== undefined) {
    const info = await generate();
    warnOfFallbacks(info, events);
    return reportOf(repo, info, false);
  }
  return withRepository(repo, events, async () => {
    checkNotReleased(repo, ends);
    const info = await generate();
    warnOfLargeSuperblock(info, events);
    await writeDeltaIndexes(repo);
    await refreshSummary({ repo, lastModified: options.lastModified, signers: summarySigners });
    return reportOf(repo, info, true);
  });
}

function passed(options: MakeDeltaOptions): Passed {
  const { maxPartSize, maxPatchSize, minFallbackSize, inlineParts, byteOrder, output } = options;
  return {
    ...(maxPartSize === undefined ? {} : { maxPartSize }),
    ...(maxPatchSize === undefined ? {} : { maxPatchSize }),
    ...(minFallbackSize === undefined ? {} : { minFallbackSize }),
    ...(inlineParts === undefined ? {} : { inlineParts }),
    ...(byteOrder === undefined ? {} : { byteOrder }),
    ...(output === undefined ? {} : { output }),
  };
}

/** The manifest of a release names the checksum of its deltas: one with other options would make it untrue. */
function checkNotReleased(repo: string, ends: DeltaEnds): void {
  if (releaseDirectoryOf(repo) === undefined || !existsSync(join(repo, superblockPath(ends)))) return;
  throw new TreewrightError(
    'input/released-delta',
    `static delta ${deltaName(ends)} is in the release directory already, where a signed manifest may name its ` +
      'checksum; write another one elsewhere with --output',
    { data: { repo, delta: deltaName(ends) } },
  );
}

function warnOfFallbacks({ fallbacks }: DeltaInfo, events: EventSink): void {
  if (fallbacks.length === 0) return;
  events({
    type: 'diagnostic',
    diagnostic: {
      severity: 'warning',
      code: 'input/offline-fallbacks',
      message:
        `the delta leaves ${fallbacks.length} objects to a fetch, and \`ostree static-delta apply-offline\` refuses ` +
        'such a delta: leave --min-fallback-size away',
    },
  });
}

function warnOfLargeSuperblock({ superblock: { size } }: DeltaInfo, events: EventSink): void {
  if (size <= OLD_SUPERBLOCK_LIMIT) return;
  events({
    type: 'diagnostic',
    diagnostic: {
      severity: 'warning',
      code: 'input/large-superblock',
      message:
        `the superblock has ${size} bytes; clients with a libostree before 2023.4 take no more than 10 MiB ` +
        'and cannot pull it: keep the parts outside, or apply it offline',
    },
  });
}

function reportOf(repo: string, info: DeltaInfo, published: boolean): MakeDeltaReport {
  const objects = Object.values(info.forms).reduce((sum, form) => sum + form.objects, 0);
  return {
    repo,
    name: deltaName(info),
    ...info,
    published,
    requests: {
      delta: 1 + (info.inline ? 0 : info.parts.length) + info.fallbacks.length,
      // And the commit.
      loose: objects + 1,
    },
  };
}

/** Replacing the summary of a repository while devices read it. */
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError, isTreewrightError } from '../core/errors.ts';
import { deltaDigests } from '../delta/list.ts';
import { readFileIfThere, writeFileAtomic } from '../platform/files.ts';
import { buildSummary } from '../repo/refs.ts';
import type { Signer } from '../trust/ed25519.ts';
import { signSummary, verifySummarySignature } from '../trust/ostree-sign.ts';

export interface SummaryChange {
  readonly repo: string;
  /** Seconds since 1970. */
  readonly lastModified: number;
  /** Where branches will point to once their refs are written. */
  readonly pending?: ReadonlyMap<string, Checksum>;
  /** Without any the summary is not signed. */
  readonly signers: readonly Signer[];
}

/** Writes a summary of every branch and delta. */
export async function refreshSummary({ repo, lastModified, pending, signers }: SummaryChange): Promise<void> {
  const summary = await buildSummary({
    repo,
    deltas: await deltaDigests(repo),
    lastModified,
    ...(pending === undefined ? {} : { pending }),
  });
  await replaceSummary(repo, summary, signers);
}

/**
 * Two files cannot be replaced at once, so summary.sig first carries signatures of both the old and the new summary:
 * every client finds a valid pair at any instant. Without signers there is no summary.sig.
 */
export async function replaceSummary(
  repo: string,
  summary: Uint8Array,
  signers: readonly Signer[],
): Promise<void> {
  const signature = join(repo, 'summary.sig');
  if (signers.length > 0) {
    await writeFileAtomic(signature, await signSummary(summary, signers, await readFileIfThere(signature)));
  }
  await writeFileAtomic(join(repo, 'summary'), summary);
  if (signers.length > 0) await writeFileAtomic(signature, await signSummary(summary, signers));
}

/**
 * Refuses what would make devices refuse the repository: replacing a signed summary by one without signature, or by
 * one that is signed with other keys than before. Throws `trust/summary-signed` or `trust/other-key`.
 */
export async function checkSummarySigners(repo: string, signers: readonly Signer[]): Promise<void> {
  const signature = await readFileIfThere(join(repo, 'summary.sig'));
  const summary = await readFileIfThere(join(repo, 'summary'));
  if (signature === undefined || summary === undefined) return;
  if (signers.length === 0) {
    throw new TreewrightError(
      'trust/summary-signed',
      `the summary of ${repo} is signed, and devices would refuse one that is not: give the directory of its keys ` +
        'with --keys',
      { data: { repo } },
    );
  }
  try {
    verifySummarySignature(
      summary,
      signature,
      signers.map((signer) => signer.public),
    );
  } catch (error) {
    if (!isTreewrightError(error) || error.code !== 'trust/bad-signature') throw error;
    throw new TreewrightError(
      'trust/other-key',
      `the summary of ${repo} is not signed by any of the keys given: devices that trust its key would refuse it`,
      { cause: error, data: { repo } },
    );
  }
}

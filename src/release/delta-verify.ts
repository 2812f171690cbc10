/** `treewright delta verify`: everything a client does with a delta, without writing anything. */
import type { Checksum } from '../core/checksum.ts';
import { checksumFromBytes } from '../core/checksum.ts';
import type { EventSink } from '../core/events.ts';
import type { OpenedDelta } from '../delta/read.ts';
import { corruptDelta } from '../delta/read.ts';
import { verifyOpenedDelta } from '../delta/verify.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { decodeDeltaIndex, deltaIndexPath, deltaName } from '../formats/ostree-delta-index.ts';
import { MAX_METADATA_SIZE } from '../formats/ostree-objects.ts';
import { MAX_SUMMARY_SIZE, decodeSummary } from '../formats/ostree-summary.ts';
import type { ByteStore } from '../platform/store.ts';
import { openStore } from '../platform/store.ts';
import type { DeltaChoice } from './delta-open.ts';
import { checkDeltaSignature, openChosen } from './delta-open.ts';

export interface VerifyDeltaOptions extends Omit<DeltaChoice, 'source'> {
  /** The repository that has both commits, on disk or behind a URL. */
  readonly repo: string;
  /** A file with the keys that must have signed. */
  readonly publicKey?: string;
  readonly events: EventSink;
}

export interface VerifyDeltaReport extends DeltaEnds {
  readonly name: string;
  readonly parts: number;
  readonly objects: number;
  readonly fallbacks: number;
  /**
   * Whether the repository's summary and the index of the commit name it, so that clients find it; absent for a delta
   * by itself.
   */
  readonly listed?: { readonly summary: boolean; readonly index: boolean };
  /** What the key vouches for; absent when no key was given. */
  readonly signed?: 'superblock' | 'commit';
}

export async function verifyOneDelta(options: VerifyDeltaOptions): Promise<VerifyDeltaReport> {
  const { repo, publicKey, events } = options;
  events({ type: 'stage', stage: 'verify', title: 'Verifying the static delta' });
  const delta = await openChosen({ ...options, source: repo });
  const signed = publicKey === undefined ? undefined : await checkDeltaSignature(delta, publicKey);
  const listed = options.delta === undefined ? await listedIn(openStore(repo), delta) : undefined;
  await verifyOpenedDelta(openStore(repo), delta);
  const { from, to, parts, fallbacks } = delta.superblock;
  events({ type: 'done', stage: 'verify', summary: 'everything comes out right' });
  return {
    ...(from === undefined ? {} : { from }),
    to,
    name: deltaName(delta.superblock),
    parts: parts.length,
    objects: parts.reduce((sum, { objects }) => sum + objects.length, 0),
    fallbacks: fallbacks.length,
    ...(listed === undefined ? {} : { listed }),
    ...(signed === undefined ? {} : { signed }),
  };
}

/** A client that finds another checksum there than the superblock has gives up. Throws `trust/corrupt-delta` for that. */
async function listedIn(
  store: ByteStore,
  { superblock, file }: OpenedDelta,
): Promise<VerifyDeltaReport['listed']> {
  const name = deltaName(superblock);
  const check = (where: string, digest: Checksum | undefined): boolean => {
    if (digest !== undefined && digest !== file.sha256) {
      throw corruptDelta(
        name,
        `${where} says that its superblock has the checksum ${digest}, found ${file.sha256}`,
      );
    }
    return digest !== undefined;
  };
  const summary = await store.read('summary', MAX_SUMMARY_SIZE);
  const deltas = summary === undefined ? [] : decodeSummary(summary).deltas;
  const path = deltaIndexPath(superblock.to);
  const index = await store.read(path, MAX_METADATA_SIZE);
  const entry =
    index === undefined ? undefined : decodeDeltaIndex(index).find((each) => deltaName(each) === name);
  return {
    summary: check('the summary', deltas.find(([each]) => each === name)?.[1]),
    index: check(path, entry === undefined ? undefined : checksumFromBytes(entry.digest)),
  };
}

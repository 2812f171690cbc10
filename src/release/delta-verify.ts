/** `treewright delta verify`: everything a client does with a delta, without writing anything. */
import type { EventSink } from '../core/events.ts';
import { verifyOpenedDelta } from '../delta/verify.ts';
import type { DeltaEnds } from '../formats/ostree-delta-index.ts';
import { deltaName } from '../formats/ostree-delta-index.ts';
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
  /** What the key vouches for; absent when no key was given. */
  readonly signed?: 'superblock' | 'commit';
}

export async function verifyOneDelta(options: VerifyDeltaOptions): Promise<VerifyDeltaReport> {
  const { repo, publicKey, events } = options;
  events({ type: 'stage', stage: 'verify', title: 'Verifying the static delta' });
  const delta = await openChosen({ ...options, source: repo });
  const signed = publicKey === undefined ? undefined : await checkDeltaSignature(delta, publicKey);
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
    ...(signed === undefined ? {} : { signed }),
  };
}

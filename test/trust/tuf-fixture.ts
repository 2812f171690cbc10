/** A small TUF repository with fixed keys and a fixed clock, for the tests of trust/. */
import { createHash } from 'node:crypto';
import type { TufDocument, TufRole, TufRoot, TufTarget } from '../../src/formats/tuf.ts';
import type { Signer } from '../../src/trust/ed25519.ts';
import { privateKeyOfSeed, signerOf } from '../../src/trust/ed25519.ts';
import type { MetadataStore } from '../../src/trust/tuf-verify.ts';
import type { RootRole } from '../../src/trust/tuf-root.ts';
import { createRoot } from '../../src/trust/tuf-root.ts';
import type { TufPlan, TufState, TufUpdateInput } from '../../src/trust/tuf-update.ts';
import { planTufUpdate } from '../../src/trust/tuf-update.ts';

/** 2026-11-23T00:00:00Z. */
export const NOW = 1_795_392_000;
export const DAY = 24 * 3600;

export const signer = (fill: number): Signer => signerOf(privateKeyOfSeed(new Uint8Array(32).fill(fill)));

export const SIGNERS = {
  root: [signer(1)],
  targets: [signer(2)],
  snapshot: [signer(3)],
  timestamp: [signer(4)],
} as const;

export const VALIDITY = { targets: 90 * DAY, snapshot: 30 * DAY, timestamp: 7 * DAY } as const;

export const roleOf = (signers: readonly Signer[], threshold = 1): RootRole => ({
  keys: signers.map((one) => one.public),
  threshold,
});

export const KEYS: Readonly<Record<TufRole, RootRole>> = {
  root: roleOf(SIGNERS.root),
  targets: roleOf(SIGNERS.targets),
  snapshot: roleOf(SIGNERS.snapshot),
  timestamp: roleOf(SIGNERS.timestamp),
};

export const firstRoot = (
  keys: Partial<Record<TufRole, RootRole>> = {},
  signers: readonly Signer[] = SIGNERS.root,
  now = NOW,
): Promise<TufDocument<TufRoot>> =>
  createRoot({ keys: { ...KEYS, ...keys }, signers, now, validity: 365 * DAY });

export const targetOf = (bytes: Uint8Array, custom?: TufTarget['custom']): TufTarget => ({
  length: bytes.length,
  hashes: { sha256: createHash('sha256').update(bytes).digest('hex') },
  ...(custom === undefined ? {} : { custom }),
});

export const update = (
  current: TufState | undefined,
  input: Partial<TufUpdateInput> = {},
): Promise<TufPlan> => planTufUpdate(current, { signers: SIGNERS, validity: VALIDITY, now: NOW, ...input });

/** A repository at version 1 with one target. */
export const firstPlan = async (): Promise<TufPlan> =>
  update(undefined, {
    root: await firstRoot(),
    targets: new Map([['releases/1/release.json', targetOf(Buffer.from('{}'))]]),
  });

export type Files = Map<string, Uint8Array>;

/** The files of a plan over those that were there. */
export const apply = (plan: TufPlan, files: Files = new Map(), count = plan.files.length): Files =>
  new Map([...files, ...plan.files.slice(0, count)]);

/** A store in memory, with the error that a real one throws for too large a file. */
export const storeOf = (files: Files): MetadataStore => ({
  location: 'memory',
  read: (path) => Promise.resolve(files.get(path)),
});

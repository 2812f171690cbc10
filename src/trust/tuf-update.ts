/**
 * The next state of a TUF repository: which files to write, with which content, in which order.
 *
 * A client that honours consistent snapshots sees nothing of an update before the rename of timestamp.json, the
 * last file written. aktualizr ignores the versioned names, so the same bytes also stand under the plain ones.
 */
import { join } from 'node:path';
import type { Diagnostic } from '../core/diagnostics.ts';
import { TreewrightError } from '../core/errors.ts';
import type {
  TufDialect,
  TufDocument,
  TufMeta,
  TufModels,
  TufRole,
  TufRoot,
  TufSigned,
  TufSnapshot,
  TufTarget,
  TufTargets,
  TufTimestamp,
} from '../formats/tuf.ts';
import { TUF_SIZE_LIMITS, formatTufTime, parseTufTime, targetNameProblem } from '../formats/tuf.ts';
import { writeFileAtomic } from '../platform/files.ts';
import type { Signer } from './ed25519.ts';
import { sha256Hex } from './ed25519.ts';
import { TUF_SPEC_VERSION, requirePositive, requireSuccessor } from './tuf-root.ts';
import { requireThreshold, signTuf, signingsFor } from './tuf-sign.ts';

/** What a repository holds: its newest root, and what timestamp.json vouches for, unless nothing was published. */
export interface TufState {
  readonly root: TufDocument<TufRoot>;
  readonly published?: PublishedTuf;
}

export interface PublishedTuf {
  readonly targets: TufDocument<TufTargets>;
  readonly snapshot: TufDocument<TufSnapshot>;
  readonly timestamp: TufDocument<TufTimestamp>;
}

type OnlineRole = 'targets' | 'snapshot' | 'timestamp';

export interface TufUpdateInput {
  /** A root to publish first, from `createRoot` or `rotateRoot`. Needed when there is no current state. */
  readonly root?: TufDocument<TufRoot>;
  /**
   * All targets, by name, that clients shall see; replaces the current ones. Left out: the targets stay, and
   * the roles that `signers` names are signed again for a new expiry (a server may hold the timestamp key only).
   */
  readonly targets?: ReadonlyMap<string, TufTarget>;
  readonly signers: Partial<Readonly<Record<OnlineRole, readonly Signer[]>>>;
  /** Seconds that each role's new file is valid. */
  readonly validity: Readonly<Record<OnlineRole, number>>;
  /** Seconds since 1970. */
  readonly now: number;
  readonly dialect?: TufDialect;
}

export interface TufPlan {
  /** Names below the TUF directory and whole contents, in the order in which they must be written. */
  readonly files: readonly (readonly [name: string, bytes: Uint8Array])[];
  /** What the repository holds afterwards. */
  readonly state: Required<TufState>;
  readonly diagnostics: readonly Diagnostic[];
}

/** Targets metadata beyond this is announced early, in bytes: tuf-js and python-tuf stop at 5,000,000. */
const TARGETS_WARNING = 4 * 1024 * 1024;
/** What aktualizr reads at most of targets metadata from a director repository, in bytes. */
const DIRECTOR_LIMIT = 64 * 1024;
/** A root that ends sooner is announced, in seconds: replacing it needs the key that is kept away. */
const ROOT_WARNING = 30 * 24 * 3600;

/**
 * Plans an update over `current`, which is what `readTufState` found; undefined for an empty repository.
 * Versions follow what timestamp.json vouched for, so files that a killed run left under the next number are
 * replaced. Throws `trust/missing-signer`, `trust/no-root`, `trust/expired`, `trust/metadata-too-large`,
 * `input/bad-target-name` or `input/not-canonical`.
 */
export async function planTufUpdate(current: TufState | undefined, input: TufUpdateInput): Promise<TufPlan> {
  const diagnostics: Diagnostic[] = [];
  const root = chooseRoot(current, input, diagnostics);
  const before = current?.published;

  const targets = await nextTargets(root.signed, before?.targets, input);
  const snapshot = await nextSnapshot(root.signed, before?.snapshot, targets, input);
  const timestamp = await nextTimestamp(root.signed, before?.timestamp, snapshot, input);

  for (const document of [root, targets, snapshot, timestamp]) warnOfSize(document, diagnostics);
  const versioned = (document: TufDocument<TufSigned>): string =>
    `${document.signed.version}.${document.signed.role}.json`;
  return {
    files: [
      ...(root === current?.root ? [] : [[versioned(root), root.bytes] as const]),
      [versioned(targets), targets.bytes],
      [versioned(snapshot), snapshot.bytes],
      ['targets.json', targets.bytes],
      ['snapshot.json', snapshot.bytes],
      ['timestamp.json', timestamp.bytes],
    ],
    state: { root, published: { targets, snapshot, timestamp } },
    diagnostics,
  };
}

/** Writes a plan's files one after the other, each whole or not at all; `dir` is made when missing. */
export async function writeTufUpdate(dir: string, plan: TufPlan): Promise<void> {
  for (const [name, bytes] of plan.files) await writeFileAtomic(join(dir, name), bytes);
}

function chooseRoot(
  current: TufState | undefined,
  input: TufUpdateInput,
  diagnostics: Diagnostic[],
): TufDocument<TufRoot> {
  const root = input.root ?? current?.root;
  if (root === undefined) {
    throw new TreewrightError(
      'trust/no-root',
      'the repository has no TUF root yet, and none was given; make one with createRoot',
    );
  }
  if (input.root !== undefined) {
    if (current === undefined) requireThreshold(root, root.signed, 'root', 'the new root');
    else requireSuccessor(current.root, input.root);
  }
  const left = secondsLeft(root, input.now);
  if (left <= 0) throw expired(root, 'make a new root version with its keys');
  if (left < ROOT_WARNING) {
    diagnostics.push({
      severity: 'warning',
      code: 'trust/root-expires-soon',
      message:
        `the TUF root expires on ${root.signed.expires}, and no client accepts anything after that; ` +
        'make a new root version with its keys',
    });
  }
  return root;
}

function secondsLeft(document: TufDocument<TufSigned>, now: number): number {
  return (parseTufTime(document.signed.expires) ?? 0) - now;
}

function expired(document: TufDocument<TufSigned>, advice: string): TreewrightError {
  const { role, version, expires } = document.signed;
  return new TreewrightError('trust/expired', `${role} version ${version} expired on ${expires}; ${advice}`, {
    data: { role, version, expires },
  });
}

/** A file that is taken over unchanged must still be good under the root that will judge it. */
function reuse<R extends OnlineRole>(
  root: TufRoot,
  document: TufDocument<TufModels[R]>,
  now: number,
): TufDocument<TufModels[R]> {
  const { role, version } = document.signed;
  requireThreshold(document, root, role, `${version}.${role}.json`);
  if (secondsLeft(document, now) <= 0)
    throw expired(document, `sign it again with the key of the role ${role}`);
  return document;
}

async function sign<R extends OnlineRole>(
  root: TufRoot,
  input: TufUpdateInput,
  model: TufModels[R],
): Promise<TufDocument<TufModels[R]>> {
  const signings = signingsFor(root, model.role, input.signers[model.role as R]);
  return signTuf<R>(model, signings, input.dialect);
}

function commonMembers<R extends OnlineRole>(
  role: R,
  before: TufDocument<TufModels[R]> | undefined,
  { now, validity }: TufUpdateInput,
): { role: R; version: number; expires: string; specVersion: string; extra: TufSigned['extra'] } {
  return {
    role,
    version: (before?.signed.version ?? 0) + 1,
    expires: formatTufTime(now + requirePositive(validity[role])),
    specVersion: TUF_SPEC_VERSION,
    extra: before?.signed.extra ?? {},
  };
}

async function nextTargets(
  root: TufRoot,
  before: TufDocument<TufTargets> | undefined,
  input: TufUpdateInput,
): Promise<TufDocument<TufTargets>> {
  if (input.targets === undefined && before !== undefined && input.signers.targets === undefined) {
    return reuse<'targets'>(root, before, input.now);
  }
  const targets = input.targets ?? before?.signed.targets ?? new Map<string, TufTarget>();
  for (const name of targets.keys()) checkTargetName(name);
  return sign<'targets'>(root, input, {
    ...commonMembers('targets', before, input),
    targets,
    ...(before?.signed.delegations === undefined ? {} : { delegations: before.signed.delegations }),
  });
}

/** Beyond what no reader may accept: characters that change when a client puts the name into an address. */
function checkTargetName(name: string): void {
  const problem =
    targetNameProblem(name) ??
    (/^[\x21-\x7e]+$/.test(name) && !/[%?#]/.test(name)
      ? undefined
      : 'it has a character that does not survive in a web address');
  if (problem === undefined) return;
  throw new TreewrightError(
    'input/bad-target-name',
    `${JSON.stringify(name)} cannot be the name of a target: ${problem}`,
    { data: { name } },
  );
}

async function nextSnapshot(
  root: TufRoot,
  before: TufDocument<TufSnapshot> | undefined,
  targets: TufDocument<TufTargets>,
  input: TufUpdateInput,
): Promise<TufDocument<TufSnapshot>> {
  const known = before?.signed.meta.get('targets.json');
  if (
    before !== undefined &&
    input.signers.snapshot === undefined &&
    known?.version === targets.signed.version
  ) {
    return reuse<'snapshot'>(root, before, input.now);
  }
  return sign<'snapshot'>(root, input, {
    ...commonMembers('snapshot', before, input),
    meta: new Map([...(before?.signed.meta ?? []), ['targets.json', metaOf(targets)]]),
  });
}

async function nextTimestamp(
  root: TufRoot,
  before: TufDocument<TufTimestamp> | undefined,
  snapshot: TufDocument<TufSnapshot>,
  input: TufUpdateInput,
): Promise<TufDocument<TufTimestamp>> {
  return sign<'timestamp'>(root, input, {
    ...commonMembers('timestamp', before, input),
    snapshot: metaOf(snapshot),
  });
}

/** aktualizr wants version, length and hashes all three; the standard asks for the version only. */
function metaOf(document: TufDocument<TufSigned>): TufMeta {
  return {
    version: document.signed.version,
    length: document.bytes.length,
    hashes: { sha256: sha256Hex(document.bytes) },
    extra: {},
  };
}

function warnOfSize(document: TufDocument<TufSigned>, diagnostics: Diagnostic[]): void {
  const role: TufRole = document.signed.role;
  const size = document.bytes.length;
  const limit = TUF_SIZE_LIMITS[role];
  if (role === 'targets' ? size > TARGETS_WARNING : size > (limit * 3) / 4) {
    diagnostics.push({
      severity: 'warning',
      code: 'trust/metadata-large',
      message:
        `the ${role} metadata has ${size} bytes; clients stop reading at ${limit}` +
        (role === 'targets' ? ', tuf-js and python-tuf at 5000000; remove targets no device needs' : ''),
    });
  } else if (role === 'targets' && size > DIRECTOR_LIMIT) {
    diagnostics.push({
      severity: 'note',
      code: 'trust/metadata-large',
      message: `the targets metadata has ${size} bytes; aktualizr reads ${DIRECTOR_LIMIT} when it serves as a director's`,
    });
  }
}

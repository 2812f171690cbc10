/**
 * Reading a TUF repository as a client does: specification 1.0.33, section 5.3 to 5.6.
 *
 * A first verification has no older metadata to compare with, so the checks against rollback of what a client
 * already has do not apply; everything else does. Every failure names the file and is a `trust/` error, except
 * trouble in reading, which keeps the store's code.
 */
import type { Diagnostic } from '../core/diagnostics.ts';
import { TreewrightError, isTreewrightError } from '../core/errors.ts';
import type {
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
import { TUF_SIZE_LIMITS, decodeTufFile, parseTufTime } from '../formats/tuf.ts';
import type { ByteStore } from '../platform/store.ts';
import { hashHex } from './ed25519.ts';
import { requireSuccessor } from './tuf-root.ts';
import { requireThreshold } from './tuf-sign.ts';
import type { TufState } from './tuf-update.ts';

/** The part of a store that metadata needs. */
export type MetadataStore = Pick<ByteStore, 'location' | 'read'>;

/** A repository whose whole chain holds. */
export interface VerifiedTuf {
  readonly root: TufDocument<TufRoot>;
  readonly targets: TufDocument<TufTargets>;
  readonly snapshot: TufDocument<TufSnapshot>;
  readonly timestamp: TufDocument<TufTimestamp>;
  readonly warnings: readonly Diagnostic[];
}

/** Root versions followed in one go; the specification wants a limit so that nobody is kept busy forever. */
const MAX_ROOT_ROTATIONS = 1024;

/**
 * Verifies the repository in `store`, which is rooted at the TUF directory, at the time `now` in seconds since
 * 1970. `trustedRoot` is a root file the caller already trusts, of any version; without one the repository's own
 * 1.root.json is believed, with a warning.
 */
export async function verifyTufRepository(
  store: MetadataStore,
  options: { readonly trustedRoot?: Uint8Array; readonly now: number },
): Promise<VerifiedTuf> {
  const warnings: Diagnostic[] = [];
  const roots = await loadRoots(store, options.trustedRoot, warnings);
  const root = roots.at(-1) ?? missing(store, '1.root.json');
  requireNotExpired(root, `${root.signed.version}.root.json`, options.now);
  const timestamp = (await loadTimestamp(store, root.signed)) ?? missing(store, 'timestamp.json');
  requireNotExpired(timestamp, 'timestamp.json', options.now);
  const snapshot = await loadSnapshot(store, root.signed, timestamp);
  requireNotExpired(snapshot, fileName(root.signed, snapshot), options.now);
  const targets = await loadTargets(store, root.signed, snapshot);
  requireNotExpired(targets, fileName(root.signed, targets), options.now);
  for (const document of [targets, snapshot]) await checkPlainName(store, root.signed, document, warnings);
  warnOfDelegations(snapshot.signed, warnings);
  return { root, targets, snapshot, timestamp, warnings };
}

/**
 * What the repository in `store` holds, for the next update. Signatures, versions and hashes are checked as in
 * `verifyTufRepository`, times are not: an update is what replaces expired metadata. Undefined when there is
 * neither a root in it nor a trusted one given.
 */
export async function readTufState(
  store: MetadataStore,
  options: { readonly trustedRoot?: Uint8Array } = {},
): Promise<TufState | undefined> {
  const roots = await loadRoots(store, options.trustedRoot, []);
  const newest = roots.at(-1);
  if (newest === undefined) return undefined;
  let failure: unknown;
  // A rotation that was killed after its root leaves the rest signed for an earlier one; its versions still count.
  for (const root of roots.toReversed()) {
    try {
      const timestamp = await loadTimestamp(store, root.signed);
      if (timestamp === undefined) return { root: newest };
      const snapshot = await loadSnapshot(store, root.signed, timestamp);
      const targets = await loadTargets(store, root.signed, snapshot);
      return { root: newest, published: { targets, snapshot, timestamp } };
    } catch (error) {
      if (!isTreewrightError(error) || error.code !== 'trust/threshold') throw error;
      failure ??= error;
    }
  }
  throw failure;
}

/** Throws `trust/target-mismatch` unless `bytes` are the target's, by length and every digest we can compute. */
export function verifyTargetBytes(name: string, target: TufTarget, bytes: Uint8Array): void {
  const problem = mismatch(bytes, target.length, target.hashes);
  if (problem === undefined) return;
  throw new TreewrightError('trust/target-mismatch', `the target ${name} ${problem}`, { data: { name } });
}

async function read(store: MetadataStore, file: string, limit: number): Promise<Uint8Array | undefined> {
  try {
    return await store.read(file, limit);
  } catch (error) {
    if (!isTreewrightError(error) || error.code !== 'input/too-large') throw error;
    throw new TreewrightError(
      'trust/metadata-too-large',
      `${file} in ${store.location} is larger than the ${limit} bytes that clients read`,
      { cause: error, data: { file, limit } },
    );
  }
}

function missing(store: MetadataStore, file: string): never {
  throw new TreewrightError('trust/missing-metadata', `${store.location} has no ${file}`, {
    data: { file, hint: 'a release directory is the one that holds tuf/ and ostree/' },
  });
}

/** Section 5.3: the trusted root and every later version in turn, each signed by the one before and by itself. */
async function loadRoots(
  store: MetadataStore,
  trusted: Uint8Array | undefined,
  warnings: Diagnostic[],
): Promise<readonly TufDocument<TufRoot>[]> {
  const name = trusted === undefined ? '1.root.json' : 'the trusted root';
  const first = trusted ?? (await read(store, name, TUF_SIZE_LIMITS.root));
  if (first === undefined) return [];
  let root = decodeTufFile('root', first, name);
  requireThreshold(root, root.signed, 'root', name);
  if (trusted === undefined) {
    requireVersion(root, 1, name);
    warnings.push({
      severity: 'warning',
      code: 'trust/first-use',
      message:
        `no trusted root was given, so ${name} of ${store.location} itself is believed: this shows that the ` +
        'release is whole, not who made it',
    });
  }
  const roots = [root];
  while (roots.length <= MAX_ROOT_ROTATIONS) {
    const file = `${root.signed.version + 1}.root.json`;
    const bytes = await read(store, file, TUF_SIZE_LIMITS.root);
    if (bytes === undefined) return roots;
    const next = decodeTufFile('root', bytes, file);
    requireSuccessor(root, next);
    roots.push(next);
    root = next;
  }
  throw new TreewrightError(
    'trust/too-many-roots',
    `${store.location} has more than ${MAX_ROOT_ROTATIONS} root versions after the trusted one`,
  );
}

/** Section 5.4. */
async function loadTimestamp(
  store: MetadataStore,
  root: TufRoot,
): Promise<TufDocument<TufTimestamp> | undefined> {
  const bytes = await read(store, 'timestamp.json', TUF_SIZE_LIMITS.timestamp);
  if (bytes === undefined) return undefined;
  const timestamp = decodeTufFile('timestamp', bytes, 'timestamp.json');
  requireThreshold(timestamp, root, 'timestamp', 'timestamp.json');
  return timestamp;
}

/** Section 5.5. */
async function loadSnapshot(
  store: MetadataStore,
  root: TufRoot,
  timestamp: TufDocument<TufTimestamp>,
): Promise<TufDocument<TufSnapshot>> {
  return loadNamed(store, root, 'snapshot', timestamp.signed.snapshot, 'timestamp.json');
}

/** Section 5.6, the top level. */
async function loadTargets(
  store: MetadataStore,
  root: TufRoot,
  snapshot: TufDocument<TufSnapshot>,
): Promise<TufDocument<TufTargets>> {
  const by = fileName(root, snapshot);
  const meta = snapshot.signed.meta.get('targets.json');
  if (meta === undefined) {
    throw new TreewrightError('trust/bad-metadata', `${by} does not list targets.json`, {
      data: { file: by },
    });
  }
  return loadNamed(store, root, 'targets', meta, by);
}

/** A file that another one names: length and digests first, so that nothing unvouched is even parsed. */
async function loadNamed<R extends 'snapshot' | 'targets'>(
  store: MetadataStore,
  root: TufRoot,
  role: R,
  meta: TufMeta,
  by: string,
): Promise<TufDocument<TufModels[R]>> {
  const file = root.consistentSnapshot ? `${meta.version}.${role}.json` : `${role}.json`;
  const bytes = (await read(store, file, TUF_SIZE_LIMITS[role])) ?? missing(store, file);
  const problem = mismatch(bytes, meta.length, meta.hashes);
  if (problem !== undefined) {
    throw new TreewrightError('trust/hash-mismatch', `${file} ${problem}, as ${by} demands`, {
      data: { file, by },
    });
  }
  const document = decodeTufFile(role, bytes, file);
  requireThreshold(document, root, role, file);
  requireVersion(document, meta.version, file);
  return document;
}

function fileName(root: TufRoot, document: TufDocument<TufSigned>): string {
  const { role, version } = document.signed;
  return root.consistentSnapshot ? `${version}.${role}.json` : `${role}.json`;
}

/** What differs, or undefined. Digests we cannot compute are passed over, but not all of them. */
function mismatch(
  bytes: Uint8Array,
  length: number | undefined,
  hashes: Readonly<Record<string, string>> | undefined,
): string | undefined {
  if (length !== undefined && bytes.length !== length) {
    return `has ${bytes.length} bytes, expected ${length}`;
  }
  if (hashes === undefined) return undefined;
  const known = (['sha256', 'sha512'] as const).filter((name) => hashes[name] !== undefined);
  if (known.length === 0) {
    return `cannot be checked: of its digests (${Object.keys(hashes).join(', ')}) none is sha256 or sha512`;
  }
  for (const name of known) {
    const found = hashHex(name, bytes);
    if (found !== hashes[name]) return `has the ${name} ${found}, expected ${hashes[name] ?? ''}`;
  }
  return undefined;
}

function requireVersion(document: TufDocument<TufSigned>, expected: number, file: string): void {
  const found = document.signed.version;
  if (found === expected) return;
  throw new TreewrightError('trust/version-mismatch', `${file} says version ${found}, expected ${expected}`, {
    data: { file, found, expected },
  });
}

function requireNotExpired(document: TufDocument<TufSigned>, file: string, now: number): void {
  const { expires } = document.signed;
  if ((parseTufTime(expires) ?? 0) > now) return;
  throw new TreewrightError(
    'trust/expired',
    `${file} expired on ${expires}; sign the metadata again, or check this machine's clock`,
    { data: { file, expires, now } },
  );
}

/**
 * aktualizr reads the plain name whatever the root says. A run killed before timestamp.json leaves the next,
 * validly signed version there, which the next run completes; anything else was not written by us.
 */
async function checkPlainName(
  store: MetadataStore,
  root: TufRoot,
  vouched: TufDocument<TufTargets> | TufDocument<TufSnapshot>,
  warnings: Diagnostic[],
): Promise<void> {
  if (!root.consistentSnapshot) return;
  const role: Exclude<TufRole, 'root' | 'timestamp'> = vouched.signed.role;
  const file = `${role}.json`;
  const bytes = await read(store, file, TUF_SIZE_LIMITS[role]);
  if (bytes === undefined) {
    warnings.push({
      severity: 'warning',
      code: 'trust/plain-name',
      message: `${store.location} has no ${file}; clients that ignore consistent snapshots, such as aktualizr, need it`,
    });
    return;
  }
  if (Buffer.compare(bytes, vouched.bytes) === 0) return;
  const plain = decodeTufFile(role, bytes, file);
  requireThreshold(plain, root, role, file);
  if (plain.signed.version <= vouched.signed.version) {
    throw new TreewrightError(
      'trust/plain-name',
      `${file} has version ${plain.signed.version} and is not the file that timestamp.json vouches for, ` +
        `version ${vouched.signed.version}`,
      { data: { file, found: plain.signed.version, expected: vouched.signed.version } },
    );
  }
  warnings.push({
    severity: 'warning',
    code: 'trust/interrupted-update',
    message:
      `${file} is already at version ${plain.signed.version} while timestamp.json vouches for ` +
      `${vouched.signed.version}: an update was interrupted; run it again`,
  });
}

function warnOfDelegations(snapshot: TufSnapshot, warnings: Diagnostic[]): void {
  const others = [...snapshot.meta.keys()].filter((name) => name !== 'targets.json');
  if (others.length === 0) return;
  warnings.push({
    severity: 'warning',
    code: 'trust/delegations-unchecked',
    message: `the snapshot lists delegated metadata, which is not verified: ${others.slice(0, 5).join(', ')}`,
  });
}

/** Making the first TUF root and replacing it: specification 1.0.33, 4.3 and 6.1. */
import { TreewrightError } from '../core/errors.ts';
import type { TufDocument, TufRole, TufRoleKeys, TufRoot } from '../formats/tuf.ts';
import { TUF_ROLES, ed25519TufKey, formatTufTime } from '../formats/tuf.ts';
import type { PublicKey, Signer } from './ed25519.ts';
import { keyIdOf } from './ed25519.ts';
import { requireThreshold, signTuf, signingsFor } from './tuf-sign.ts';

/** The specification version whose metadata we write. */
export const TUF_SPEC_VERSION = '1.0.33';

/** The keys of one role. */
export interface RootRole {
  readonly keys: readonly PublicKey[];
  /** Different keys that must sign; default 1. */
  readonly threshold?: number;
}

export interface RootInput {
  readonly keys: Readonly<Record<TufRole, RootRole>>;
  /** Whoever signs the root; for a rotation the old root's signers and the new one's together. */
  readonly signers: readonly Signer[];
  /** Seconds since 1970. */
  readonly now: number;
  /** Seconds until it expires. */
  readonly validity: number;
}

/** Root version 1. Only its own keys need to be private here; the other roles are named by public key. */
export async function createRoot(input: RootInput): Promise<TufDocument<TufRoot>> {
  const model = rootModel(input, 1);
  return signTuf<'root'>(model, signingsFor(model, 'root', input.signers));
}

/**
 * The next root version, signed by enough keys of the old root and of the new one, so that a client that trusts
 * the old one follows. With the same keys it renews the expiry. Throws `trust/missing-signer`.
 *
 * Metadata signed by keys that the new root no longer names is void from the moment it is published: publish the
 * result with `planTufUpdate`, which signs the other roles again behind it.
 */
export async function rotateRoot(
  current: TufDocument<TufRoot>,
  input: RootInput,
): Promise<TufDocument<TufRoot>> {
  const model: TufRoot = {
    ...rootModel(input, current.signed.version + 1),
    extra: current.signed.extra,
  };
  const signings = new Map(
    [...signingsFor(current.signed, 'root', input.signers), ...signingsFor(model, 'root', input.signers)].map(
      (signing) => [signing.keyid, signing],
    ),
  );
  const next = await signTuf<'root'>(model, [...signings.values()]);
  requireSuccessor(current, next);
  return next;
}

/** Throws unless `next` follows `current`: version one higher, signed by the keys of both. */
export function requireSuccessor(current: TufDocument<TufRoot>, next: TufDocument<TufRoot>): void {
  const expected = current.signed.version + 1;
  const file = `${expected}.root.json`;
  if (next.signed.version !== expected) {
    throw new TreewrightError(
      'trust/version-mismatch',
      `${file} says version ${next.signed.version}, expected ${expected}`,
      { data: { file, found: next.signed.version, expected } },
    );
  }
  requireThreshold(next, current.signed, 'root', file);
  requireThreshold(next, next.signed, 'root', file);
}

function rootModel(input: RootInput, version: number): TufRoot {
  const keys: TufRoot['keys'] = new Map(
    TUF_ROLES.flatMap((role) =>
      input.keys[role].keys.map((key) => [keyIdOf(key), ed25519TufKey(key)] as const),
    ),
  );
  const roles = new Map<string, TufRoleKeys>();
  for (const role of TUF_ROLES) {
    const keyids = [...new Set(input.keys[role].keys.map(keyIdOf))];
    const threshold = input.keys[role].threshold ?? 1;
    if (!Number.isInteger(threshold) || threshold < 1 || threshold > keyids.length) {
      throw new TreewrightError(
        'config/bad-threshold',
        `the role ${role} has the threshold ${threshold} and ${keyids.length} key(s); expected 1 to ${keyids.length}`,
        { data: { role, threshold, keys: keyids.length } },
      );
    }
    roles.set(role, { keyids, threshold, extra: {} });
  }
  return {
    role: 'root',
    version,
    expires: formatTufTime(input.now + requirePositive(input.validity)),
    specVersion: TUF_SPEC_VERSION,
    // Clients that follow this switch releases at one rename, whatever state the plain names are in.
    consistentSnapshot: true,
    keys,
    roles,
    extra: {},
  };
}

/** A validity of no time makes metadata that every client refuses. */
export function requirePositive(validity: number): number {
  if (Number.isSafeInteger(validity) && validity > 0) return validity;
  throw new TreewrightError(
    'config/bad-validity',
    `metadata must be valid for a whole positive number of seconds, found ${validity}`,
  );
}

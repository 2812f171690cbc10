/** Signing one TUF file for a role, and counting the signatures that a role accepts. */
import { TreewrightError } from '../core/errors.ts';
import { ED25519_PUBLIC_SIZE } from '../formats/ostree-signatures.ts';
import type {
  TufDialect,
  TufDocument,
  TufModels,
  TufRole,
  TufRoot,
  TufSignature,
  TufSigned,
} from '../formats/tuf.ts';
import {
  TUF_SIZE_LIMITS,
  decodeTufFile,
  encodeTufFile,
  encodeTufSigned,
  standardDialect,
} from '../formats/tuf.ts';
import type { PublicKey, Signer } from './ed25519.ts';
import { signChecked, verifyEd25519 } from './ed25519.ts';

/** The ed25519 keys that a root gives to a role, by the key id it uses for them. Keys of other types are left out. */
function roleKeys(root: TufRoot, role: TufRole): ReadonlyMap<string, PublicKey> {
  const keys = new Map<string, PublicKey>();
  for (const keyid of root.roles.get(role)?.keyids ?? []) {
    const key = root.keys.get(keyid);
    if (key?.keytype.toLowerCase() !== 'ed25519' || !/^[0-9a-fA-F]{64}$/.test(key.public)) continue;
    keys.set(keyid, Uint8Array.from(Buffer.from(key.public, 'hex')).subarray(0, ED25519_PUBLIC_SIZE));
  }
  return keys;
}

/** How many different keys of a role have signed, and how many must. */
export interface SignatureCount {
  readonly valid: number;
  readonly threshold: number;
}

/**
 * Counts keys, not key ids: a root that lists one key under two ids must not let it sign twice
 * (specification 1.0.33, 4.3, on unique keys).
 */
export function countSignatures(
  document: Pick<TufDocument<TufSigned>, 'signatures' | 'signedBytes'>,
  root: TufRoot,
  role: TufRole,
): SignatureCount {
  const keys = roleKeys(root, role);
  const valid = new Set<string>();
  for (const { keyid, signature } of document.signatures) {
    const key = keys.get(keyid);
    if (key !== undefined && verifyEd25519(key, document.signedBytes, signature)) {
      valid.add(Buffer.from(key).toString('hex'));
    }
  }
  return { valid: valid.size, threshold: root.roles.get(role)?.threshold ?? Number.POSITIVE_INFINITY };
}

/** Throws `trust/threshold` unless enough keys that `root` gives to the role have signed. */
export function requireThreshold(
  document: TufDocument<TufSigned>,
  root: TufRoot,
  role: TufRole,
  file: string,
): void {
  const { valid, threshold } = countSignatures(document, root, role);
  if (valid >= threshold) return;
  throw new TreewrightError(
    'trust/threshold',
    `${file} has ${valid} valid signature(s) of the keys that root version ${root.version} gives to the role ` +
      `${role}, expected ${threshold}: it was changed after signing, or signed with other keys`,
    { data: { file, role, valid, threshold, root: root.version } },
  );
}

/** One signature to make: the id under which the verifying root knows the key, and who signs. */
interface Signing {
  readonly keyid: string;
  readonly signer: Signer;
}

/**
 * The signers that `root` allows to sign for `role`. Throws `trust/missing-signer` when they are fewer than
 * the role's threshold; the message names the keys that are wanted and those at hand.
 */
export function signingsFor(
  root: TufRoot,
  role: TufRole,
  signers: readonly Signer[] | undefined,
): readonly Signing[] {
  const wanted = new Map(
    Array.from(roleKeys(root, role), ([keyid, key]) => [Buffer.from(key).toString('hex'), keyid]),
  );
  const signings = new Map<string, Signing>();
  for (const signer of signers ?? []) {
    const keyid = wanted.get(Buffer.from(signer.public).toString('hex'));
    if (keyid !== undefined) signings.set(keyid, { keyid, signer });
  }
  const threshold = root.roles.get(role)?.threshold ?? 1;
  if (signings.size < threshold) {
    const listed = (ids: readonly string[]): string =>
      ids.length === 0 ? 'none' : ids.map((id) => id.slice(0, 16)).join(', ');
    throw new TreewrightError(
      'trust/missing-signer',
      `the role ${role} needs ${threshold} signature(s) by the keys ${listed([...wanted.values()])} of root ` +
        `version ${root.version}; the keys at hand for it are ${listed((signers ?? []).map((s) => s.keyid))}`,
      { data: { role, threshold, wanted: [...wanted.values()] } },
    );
  }
  return [...signings.values()];
}

/** The role's signed file; in the standard dialect read back with the strictness that every other file meets. */
export async function signTuf<R extends TufRole>(
  model: TufModels[R],
  signings: readonly Signing[],
  dialect: TufDialect = standardDialect,
): Promise<TufDocument<TufModels[R]>> {
  const payload = encodeTufSigned(model, dialect);
  const signatures: TufSignature[] = [];
  for (const { keyid, signer } of signings) {
    signatures.push({ keyid, signature: await signChecked(signer, payload) });
  }
  const bytes = encodeTufFile(model, signatures, dialect);
  const limit = TUF_SIZE_LIMITS[model.role];
  if (bytes.length > limit) {
    throw new TreewrightError(
      'trust/metadata-too-large',
      `the new ${model.role} metadata would have ${bytes.length} bytes, and clients read at most ${limit}; ` +
        'remove targets that no device needs any more',
      { data: { role: model.role, size: bytes.length, limit } },
    );
  }
  if (dialect !== standardDialect) return { signed: model, signatures, signedBytes: payload, bytes };
  return decodeTufFile<R>(model.role as R, bytes, `the new ${model.role} metadata`);
}

/**
 * Key files: one private key a role in `<role>.key` (PKCS#8 PEM, mode 0600), its public half in `<role>.pub`,
 * and the OSTree key once more as `trusted.ed25519`, the form and name that libostree looks for on a device.
 *
 * A role that needs several signatures has further files `<role>.<name>.key`.
 */
import type { KeyObject } from 'node:crypto';
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, link, mkdir, open, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { compareBytes } from '../core/bytes.ts';
import { TreewrightError, isTreewrightError, systemErrorCode } from '../core/errors.ts';
import {
  ED25519_PUBLIC_SIZE,
  decodeBase64,
  decodeOstreePublicKeys,
  encodeOstreePublicKeys,
} from '../formats/ostree-signatures.ts';
import { syncDirectory, writeFileAtomic } from '../platform/files.ts';
import type { PublicKey, Signer } from './ed25519.ts';
import { ED25519_SEED_SIZE, privateKeyOfSeed, rawPublicKey, signerOf } from './ed25519.ts';

/** The four TUF roles and OSTree's commit signature. */
export type KeyRole = 'root' | 'targets' | 'snapshot' | 'timestamp' | 'ostree';
export const KEY_ROLES: readonly KeyRole[] = ['root', 'targets', 'snapshot', 'timestamp', 'ostree'];

/** The signers at hand for each role. */
export type RoleSigners = Partial<Readonly<Record<KeyRole, readonly Signer[]>>>;

/** Where the passphrase of encrypted key files comes from when the caller gives none. */
export const PASSPHRASE_VARIABLE = 'TREEWRIGHT_KEY_PASSPHRASE';

/** libostree's public key file, beside the PEM files. */
export const OSTREE_PUBLIC_FILE = 'trusted.ed25519';

/** More than any key file has, in bytes. */
const MAX_KEY_FILE = 64 * 1024;

interface PassphraseOption {
  /** Encrypts new keys and opens encrypted ones; default: the environment's TREEWRIGHT_KEY_PASSPHRASE. */
  readonly passphrase?: string;
}

function passphraseOf(options: PassphraseOption): string | undefined {
  const given = options.passphrase ?? process.env[PASSPHRASE_VARIABLE];
  return given === '' ? undefined : given;
}

/**
 * Makes one new key pair for each role in `dir` (made with mode 0700 when missing).
 * Never touches an existing key: throws `trust/key-exists` before anything is written.
 * A directory that others may write to is refused with `trust/key-permissions`.
 */
export async function generateKeys(
  dir: string,
  options: { roles?: readonly KeyRole[]; name?: string } & PassphraseOption = {},
): Promise<Readonly<Partial<Record<KeyRole, PublicKey>>>> {
  const roles = options.roles ?? KEY_ROLES;
  const suffix = options.name === undefined ? '' : `.${checkedName(options.name)}`;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const { mode } = await stat(dir);
  if ((mode & 0o022) !== 0) {
    throw new TreewrightError(
      'trust/key-permissions',
      `the key directory ${dir} may be written by others (mode 0${(mode & 0o777).toString(8)}), ` +
        `who could put their keys there; run: chmod 700 ${dir}`,
      { data: { path: dir } },
    );
  }
  const ostreeFile = options.name === undefined ? OSTREE_PUBLIC_FILE : `${OSTREE_PUBLIC_FILE}${suffix}`;
  for (const role of roles) {
    const names = [
      `${role}${suffix}.key`,
      `${role}${suffix}.pub`,
      ...(role === 'ostree' ? [ostreeFile] : []),
    ];
    for (const name of names) if (await exists(join(dir, name))) throw keyExists(join(dir, name));
  }
  const passphrase = passphraseOf(options);
  const made: Partial<Record<KeyRole, PublicKey>> = {};
  for (const role of roles) {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const pem = privateKey.export({
      format: 'pem',
      type: 'pkcs8',
      ...(passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase }),
    });
    await writeSecret(dir, `${role}${suffix}.key`, pem.toString());
    const spki = publicKey.export({ format: 'pem', type: 'spki' });
    await writeFileAtomic(join(dir, `${role}${suffix}.pub`), spki.toString());
    const raw = rawPublicKey(publicKey);
    if (role === 'ostree') await writeFileAtomic(join(dir, ostreeFile), encodeOstreePublicKeys([raw]));
    made[role] = raw;
  }
  return made;
}

function checkedName(name: string): string {
  if (/^[A-Za-z0-9_-]+$/.test(name)) return name;
  throw new TreewrightError(
    'usage/bad-key-name',
    `a key name may have letters, digits, "_" and "-", found ${JSON.stringify(name)}`,
  );
}

function keyExists(path: string): TreewrightError {
  return new TreewrightError(
    'trust/key-exists',
    `${path} exists and is never overwritten: devices that trust it would be lost. ` +
      'Choose another directory, or move the old keys away if nothing trusts them yet',
    { data: { path } },
  );
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path, constants.F_OK);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Whole or not at all, as `writeFileAtomic`, but linked into place: a rename would replace an existing key. */
async function writeSecret(dir: string, name: string, content: string): Promise<void> {
  const path = join(dir, name);
  const temporary = join(dir, `.tw-tmp-${randomBytes(8).toString('hex')}-${name}`);
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(temporary, path);
  } catch (error) {
    throw systemErrorCode(error) === 'EEXIST' ? keyExists(path) : error;
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
  await syncDirectory(dir);
}

/**
 * The signers of the roles asked for, from `<role>.key` and `<role>.<name>.key` in `dir`.
 * Throws `trust/missing-key`, `trust/key-permissions`, `trust/key-encrypted`, `trust/key-passphrase`,
 * `trust/key-type` or `trust/bad-key`, naming the file. Roles that are not asked for are not looked at, so that
 * their keys may be kept elsewhere.
 */
export async function loadSigners<R extends KeyRole>(
  dir: string,
  roles: readonly R[],
  options: PassphraseOption = {},
): Promise<Readonly<Record<R, readonly Signer[]>>> {
  const loaded: (readonly [R, readonly Signer[]])[] = [];
  for (const role of roles) {
    const signers: Signer[] = [];
    for (const file of await keyFiles(dir, role, 'key')) {
      for (const key of parsePrivateKeys(await readSecret(file), file, passphraseOf(options))) {
        signers.push(signerOf(key));
      }
    }
    loaded.push([role, signers]);
  }
  return Object.fromEntries(loaded) as Record<R, readonly Signer[]>;
}

/** The signers of one key file, PEM or libostree's. Throws as `loadSigners` does. */
export async function loadSignerFile(
  file: string,
  options: PassphraseOption = {},
): Promise<readonly Signer[]> {
  return parsePrivateKeys(await readSecret(file), file, passphraseOf(options)).map(signerOf);
}

/** The public keys of one file: PEM, or libostree's `trusted.ed25519`. Throws `trust/bad-key` and the like. */
export async function loadPublicKeyFile(file: string): Promise<readonly PublicKey[]> {
  const { text } = await readKeyFile(file);
  if (text.includes('-----BEGIN')) return [parsePublicKey(text, file)];
  try {
    const keys = decodeOstreePublicKeys(text);
    if (keys.length > 0) return keys;
  } catch (error) {
    if (!isTreewrightError(error)) throw error;
    throw badKey(file, error.message, error);
  }
  throw badKey(file, 'it is empty');
}

function parsePublicKey(text: string, file: string): PublicKey {
  let key: KeyObject;
  try {
    key = createPublicKey(text);
  } catch (error) {
    throw badKey(file, 'it is not a public key in PEM form', error);
  }
  requireEd25519(key, file);
  return rawPublicKey(key);
}

/** The public keys of a role, from `<role>.pub` and `<role>.<name>.pub`: enough to name it in a root. */
export async function loadPublicKeys(dir: string, role: KeyRole): Promise<readonly PublicKey[]> {
  const keys: PublicKey[] = [];
  for (const file of await keyFiles(dir, role, 'pub')) {
    const { text } = await readKeyFile(file);
    keys.push(parsePublicKey(text, file));
  }
  return keys;
}

/** The files of a role in the order of their names, the plain one first. Throws `trust/missing-key` for none. */
async function keyFiles(dir: string, role: KeyRole, kind: 'key' | 'pub'): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(dir);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    names = [];
  }
  const plain = `${role}.${kind}`;
  const further = names.filter(
    (name) => name.startsWith(`${role}.`) && name.endsWith(`.${kind}`) && name !== plain,
  );
  const files = [...(names.includes(plain) ? [plain] : []), ...further.sort()];
  if (files.length === 0) {
    throw new TreewrightError(
      'trust/missing-key',
      `the ${kind === 'key' ? 'private' : 'public'} key of the role "${role}" is needed, expected in ` +
        `${join(dir, plain)}; make keys with "treewright init", or bring the file from where it is kept`,
      { data: { role, path: join(dir, plain) } },
    );
  }
  return files.map((name) => join(dir, name));
}

async function readKeyFile(path: string): Promise<{ text: string; mode: number }> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw new TreewrightError(
      'trust/key-unreadable',
      `the key file ${path} cannot be opened (${systemErrorCode(error) ?? 'unknown error'})`,
      {
        cause: error,
        data: { path, reason: systemErrorCode(error) ?? 'unknown' },
      },
    );
  });
  try {
    const { mode, size } = await handle.stat();
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw badKey(path, 'it is not a regular file');
    if (size > MAX_KEY_FILE) throw badKey(path, `it has ${size} bytes, more than any key`);
    return { text: await handle.readFile('utf8'), mode };
  } finally {
    await handle.close();
  }
}

async function readSecret(path: string): Promise<string> {
  const { text, mode } = await readKeyFile(path);
  if ((mode & 0o077) !== 0) {
    throw new TreewrightError(
      'trust/key-permissions',
      `the private key ${path} may be used by others (mode 0${(mode & 0o777).toString(8)}); ` +
        `run: chmod 600 ${path}`,
      { data: { path } },
    );
  }
  return text;
}

function badKey(path: string, problem: string, cause?: unknown): TreewrightError {
  return new TreewrightError('trust/bad-key', `${path} cannot be used as a key: ${problem}`, {
    cause,
    data: { path },
  });
}

function requireEd25519(key: KeyObject, path: string): void {
  if (key.asymmetricKeyType === 'ed25519') return;
  throw new TreewrightError(
    'trust/key-type',
    `${path} holds a key of type ${key.asymmetricKeyType ?? 'unknown'}, expected ed25519`,
    { data: { path } },
  );
}

/** The keys of one file: a PEM private key, or libostree's lines of base64(seed ‖ public). */
function parsePrivateKeys(text: string, path: string, passphrase: string | undefined): readonly KeyObject[] {
  if (!text.includes('-----BEGIN')) return parseLibostreeKeys(text, path);
  const encrypted = text.includes('BEGIN ENCRYPTED PRIVATE KEY') || text.includes('Proc-Type: 4,ENCRYPTED');
  if (encrypted && passphrase === undefined) {
    throw new TreewrightError(
      'trust/key-encrypted',
      `${path} is encrypted; give its passphrase in the environment variable ${PASSPHRASE_VARIABLE}`,
      { data: { path } },
    );
  }
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: text, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (error) {
    if (!encrypted) throw badKey(path, 'it is not a private key in PEM form', error);
    throw new TreewrightError('trust/key-passphrase', `the passphrase given does not open ${path}`, {
      cause: error,
      data: { path },
    });
  }
  requireEd25519(key, path);
  return [key];
}

function parseLibostreeKeys(text: string, path: string): readonly KeyObject[] {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (lines.length === 0) throw badKey(path, 'it is empty');
  return lines.map((line) => {
    const bytes = decodeBase64(line);
    if (bytes?.length !== ED25519_SEED_SIZE + ED25519_PUBLIC_SIZE) {
      throw badKey(
        path,
        "it is neither a PEM private key nor libostree's base64 of seed and public key, 64 bytes",
      );
    }
    const key = privateKeyOfSeed(bytes.subarray(0, ED25519_SEED_SIZE));
    // A signature made with a foreign public half gives the private key away.
    if (compareBytes(rawPublicKey(key), bytes.subarray(ED25519_SEED_SIZE)) !== 0) {
      throw badKey(path, 'its public half does not belong to its seed');
    }
    return key;
  });
}

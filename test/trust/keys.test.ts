import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { decodeOstreePublicKeys } from '../../src/formats/ostree-signatures.ts';
import { keyIdOf, privateKeyOfSeed, signChecked, signerOf, verifyEd25519 } from '../../src/trust/ed25519.ts';
import {
  KEY_ROLES,
  OSTREE_PUBLIC_FILE,
  PASSPHRASE_VARIABLE,
  generateKeys,
  loadPublicKeys,
  loadSigners,
} from '../../src/trust/keys.ts';

let base: string;
let dir: string;
let umask: number;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'treewright-keys-'));
  dir = join(base, 'keys');
  umask = process.umask(0o022);
});
afterEach(() => {
  process.umask(umask);
  Reflect.deleteProperty(process.env, PASSPHRASE_VARIABLE);
  rmSync(base, { recursive: true, force: true });
});

const bad = (code: string, message = /./): Error =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error;
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

describe('ed25519', () => {
  // RFC 8032, 7.1: seed, public key, message, signature.
  test.each([
    [
      '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
      'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
    ],
    [
      '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
    ],
    [
      'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
      'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
      'af82',
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    ],
  ])('RFC 8032 seed %s', async (seed, publicKey, message, signature) => {
    const signer = signerOf(privateKeyOfSeed(hex(seed)));
    expect(Buffer.from(signer.public).toString('hex')).toBe(publicKey);
    expect(Buffer.from(await signer.sign(hex(message))).toString('hex')).toBe(signature);
    expect(verifyEd25519(hex(publicKey), hex(message), hex(signature))).toBe(true);
    expect(verifyEd25519(hex(publicKey), hex(`${message}00`), hex(signature))).toBe(false);
    for (const at of [0, 31, 32, 63]) {
      const changed = hex(signature);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(verifyEd25519(hex(publicKey), hex(message), changed)).toBe(false);
    }
    expect(verifyEd25519(hex(publicKey), hex(message), hex(signature.slice(2)))).toBe(false);
    expect(verifyEd25519(hex(publicKey).subarray(1), hex(message), hex(signature))).toBe(false);
  });

  test('an external signer that signs with another key than it says is found out', async () => {
    const honest = signerOf(privateKeyOfSeed(new Uint8Array(32).fill(1)));
    const other = signerOf(privateKeyOfSeed(new Uint8Array(32).fill(2)));
    const liar = { ...honest, sign: other.sign };
    await expect(signChecked(liar, new Uint8Array(3))).rejects.toThrow(bad('trust/bad-signer'));
    await expect(signChecked(honest, new Uint8Array(3))).resolves.toHaveLength(64);
  });
});

describe('generateKeys', () => {
  test('one key a role: private 0600, directory 0700, public parts that belong to them', async () => {
    process.umask(0);
    const made = await generateKeys(dir);
    expect(await modeOf(dir)).toBe(0o700);
    expect((await readdir(dir)).sort()).toEqual(
      [...KEY_ROLES.flatMap((role) => [`${role}.key`, `${role}.pub`]), OSTREE_PUBLIC_FILE].sort(),
    );
    const signers = await loadSigners(dir, KEY_ROLES);
    for (const role of KEY_ROLES) {
      expect(await modeOf(join(dir, `${role}.key`))).toBe(0o600);
      expect(await modeOf(join(dir, `${role}.pub`))).toBe(0o644);
      const pem = await readFile(join(dir, `${role}.key`), 'utf8');
      expect(pem).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
      const spki = createPublicKey(createPrivateKey(pem)).export({ format: 'pem', type: 'spki' });
      expect(await readFile(join(dir, `${role}.pub`), 'utf8')).toBe(spki);
      expect(signers[role].map((signer) => signer.public)).toEqual([made[role]]);
      expect(await loadPublicKeys(dir, role)).toEqual([made[role]]);
      expect(signers[role].map((signer) => signer.keyid)).toEqual([keyIdOf(made[role] ?? hex(''))]);
    }
    expect(new Set(KEY_ROLES.map((role) => signers[role][0]?.keyid)).size).toBe(KEY_ROLES.length);
    expect(decodeOstreePublicKeys(await readFile(join(dir, OSTREE_PUBLIC_FILE), 'utf8'))).toEqual([
      made.ostree,
    ]);
  });

  test('no file of a private key is open to others at any moment, whatever the umask', async () => {
    process.umask(0);
    const seen = new Set<string>();
    let running = true;
    const watch = (): void => {
      for (const name of readdirSync(base, { recursive: true, encoding: 'utf8' })) {
        if (!name.endsWith('.key')) continue;
        const mode = statSync(join(base, name), { throwIfNoEntry: false })?.mode;
        if (mode === undefined) continue;
        seen.add(name.replace(/\.tw-tmp-[0-9a-f]+-/, 'temporary '));
        if ((mode & 0o077) !== 0) seen.add(`open: ${name}`);
      }
      if (running) setImmediate(watch);
    };
    watch();
    try {
      for (let i = 0; i < 10; i++) await generateKeys(join(base, String(i)));
    } finally {
      running = false;
    }
    watch();
    expect([...seen].filter((name) => name.startsWith('open'))).toEqual([]);
    // The watcher did look while the files were being made.
    expect([...seen].some((name) => name.includes('temporary '))).toBe(true);
  });

  test('an existing key is never overwritten, and nothing else is made', async () => {
    await generateKeys(dir, { roles: ['targets'] });
    const before = await readFile(join(dir, 'targets.key'));
    await expect(generateKeys(dir)).rejects.toThrow(bad('trust/key-exists', /targets\.key/));
    expect(await readFile(join(dir, 'targets.key'))).toEqual(before);
    expect((await readdir(dir)).sort()).toEqual(['targets.key', 'targets.pub']);
  });

  test('a public key whose private half is kept elsewhere is not replaced either', async () => {
    await generateKeys(dir, { roles: ['root'] });
    rmSync(join(dir, 'root.key'));
    await expect(generateKeys(dir, { roles: ['root'] })).rejects.toThrow(
      bad('trust/key-exists', /root\.pub/),
    );
  });

  test('of two that race for one directory each role has one winner and a usable key', async () => {
    const results = await Promise.allSettled([generateKeys(dir), generateKeys(dir)]);
    expect(results.some(({ status }) => status === 'rejected')).toBe(true);
    for (const name of (await readdir(dir)).filter((file) => file.endsWith('.key'))) {
      expect(() => createPrivateKey(readFileSync(join(dir, name), 'utf8'))).not.toThrow();
    }
    expect((await readdir(dir)).filter((name) => name.startsWith('.tw-tmp'))).toEqual([]);
  });

  test('a directory that others can write to is refused', async () => {
    process.umask(0);
    await mkdir(join(base, 'open'), { mode: 0o777 });
    await expect(generateKeys(join(base, 'open'))).rejects.toThrow(bad('trust/key-permissions', /chmod 700/));
    expect(await readdir(join(base, 'open'))).toEqual([]);
  });

  test('further keys of a role have a name, and all of them are loaded', async () => {
    await generateKeys(dir, { roles: ['root'] });
    await generateKeys(dir, { roles: ['root'], name: 'bob' });
    await generateKeys(dir, { roles: ['root'], name: 'alice' });
    const { root } = await loadSigners(dir, ['root']);
    expect(root).toHaveLength(3);
    expect(await loadPublicKeys(dir, 'root')).toEqual(root.map((signer) => signer.public));
    await expect(generateKeys(dir, { roles: ['root'], name: '../x' })).rejects.toThrow(
      bad('usage/bad-key-name'),
    );
  });

  test('with a passphrase the file is encrypted, and opens with it only', async () => {
    await generateKeys(dir, { roles: ['root'], passphrase: 'correct horse' });
    const pem = await readFile(join(dir, 'root.key'), 'utf8');
    expect(pem).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
    await expect(loadSigners(dir, ['root'])).rejects.toThrow(
      bad('trust/key-encrypted', /TREEWRIGHT_KEY_PASSPHRASE/),
    );
    const wrong = loadSigners(dir, ['root'], { passphrase: 'hunter2' });
    await expect(wrong).rejects.toThrow(bad('trust/key-passphrase', /^(?!.*hunter2)/s));
    await expect(loadSigners(dir, ['root'], { passphrase: 'correct horse' })).resolves.toBeDefined();
    process.env[PASSPHRASE_VARIABLE] = 'correct horse';
    await expect(loadSigners(dir, ['root'])).resolves.toBeDefined();
  });
});

describe('loadSigners', () => {
  const put = async (name: string, content: string, mode = 0o600): Promise<string> => {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const path = join(dir, name);
    await writeFile(path, content, { mode });
    return path;
  };
  const pemOf = (seed: number): string =>
    privateKeyOfSeed(new Uint8Array(32).fill(seed)).export({ format: 'pem', type: 'pkcs8' }).toString();

  test('only the roles asked for are looked at', async () => {
    await generateKeys(dir);
    rmSync(join(dir, 'root.key'));
    await put('snapshot.key', 'broken');
    await expect(loadSigners(dir, ['targets', 'timestamp'])).resolves.toMatchObject({
      targets: [{}],
      timestamp: [{}],
    });
  });

  test('a missing key names the role and the file', async () => {
    await generateKeys(dir, { roles: ['root'] });
    await expect(loadSigners(dir, ['ostree'])).rejects.toThrow(
      bad('trust/missing-key', /role "ostree".*keys\/ostree\.key/),
    );
    await expect(loadSigners(join(dir, 'nowhere'), ['root'])).rejects.toThrow(bad('trust/missing-key'));
  });

  test.each([0o640, 0o604, 0o660, 0o620, 0o644, 0o601])('mode 0%o is refused', async (mode) => {
    process.umask(0);
    await put('root.key', pemOf(1), mode);
    await expect(loadSigners(dir, ['root'])).rejects.toThrow(
      bad('trust/key-permissions', /chmod 600 .*root\.key/),
    );
  });

  test.each([0o600, 0o400, 0o700])('mode 0%o is taken', async (mode) => {
    await put('root.key', pemOf(1), mode);
    await expect(loadSigners(dir, ['root'])).resolves.toMatchObject({ root: [{}] });
  });

  test('a symbolic link is judged by the file it leads to', async () => {
    await put('kept.pem', pemOf(1), 0o644);
    await symlink('kept.pem', join(dir, 'root.key'));
    await expect(loadSigners(dir, ['root'])).rejects.toThrow(bad('trust/key-permissions'));
  });

  test.each([
    ['rsa', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['ec', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['x25519', () => generateKeyPairSync('x25519')],
    ['ed448', () => generateKeyPairSync('ed448')],
  ])('a key of type %s is refused', async (type, make) => {
    const { privateKey, publicKey } = make();
    await put('root.key', privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
    await put('root.pub', publicKey.export({ format: 'pem', type: 'spki' }).toString());
    await expect(loadSigners(dir, ['root'])).rejects.toThrow(bad('trust/key-type', new RegExp(type)));
    await expect(loadPublicKeys(dir, 'root')).rejects.toThrow(bad('trust/key-type', new RegExp(type)));
  });

  test('a public key in place of a private one is refused', async () => {
    const pem = createPublicKey(pemOf(1)).export({ format: 'pem', type: 'spki' }).toString();
    await put('root.key', pem);
    await expect(loadSigners(dir, ['root'])).rejects.toThrow(bad('trust/bad-key', /root\.key/));
  });

  test.each([
    ['nothing', ''],
    ['text', 'hello'],
    ['a broken PEM', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'],
    ['a seed alone', Buffer.alloc(32, 1).toString('base64')],
    ['too much', 'A'.repeat(70_000)],
  ])('%s is refused', async (_, content) => {
    await put('root.key', content);
    await expect(loadSigners(dir, ['root'])).rejects.toThrow(bad('trust/bad-key', /root\.key/));
  });

  test('a directory in place of a key is refused', async () => {
    await mkdir(join(dir, 'root.key'), { recursive: true });
    await expect(loadSigners(dir, ['root'])).rejects.toThrow(bad('trust/bad-key', /regular file/));
  });

  test("libostree's secret keys are read, one a line", async () => {
    const secret = (seed: number): string => {
      const raw = new Uint8Array(32).fill(seed);
      return Buffer.concat([raw, signerOf(privateKeyOfSeed(raw)).public]).toString('base64');
    };
    await put('ostree.key', `${secret(1)}\n${secret(2)}\n`);
    const { ostree } = await loadSigners(dir, ['ostree']);
    expect(ostree.map((signer) => signer.public)).toEqual(
      [1, 2].map((seed) => signerOf(privateKeyOfSeed(new Uint8Array(32).fill(seed))).public),
    );
  });

  test("a libostree secret whose public half is another key's is refused, and not shown", async () => {
    const text = Buffer.alloc(64, 1).toString('base64');
    await put('ostree.key', text);
    const failure = loadSigners(dir, ['ostree']);
    await expect(failure).rejects.toThrow(bad('trust/bad-key', /does not belong to its seed/));
    await failure.catch((error: unknown) => {
      expect(JSON.stringify(error) + String(error)).not.toContain(text.slice(0, 16));
    });
  });
});

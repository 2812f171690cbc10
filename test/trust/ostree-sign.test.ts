import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { utf8 } from '../../src/core/bytes.ts';
import {
  decodeDetachedMetadata,
  decodeOstreePublicKeys,
  ed25519Signatures,
  encodeDetachedMetadata,
} from '../../src/formats/ostree-signatures.ts';
import type { Signer } from '../../src/trust/ed25519.ts';
import { privateKeyOfSeed, signerOf } from '../../src/trust/ed25519.ts';
import { OSTREE_PUBLIC_FILE, generateKeys, loadSigners } from '../../src/trust/keys.ts';
import {
  signCommit,
  signSummary,
  verifyCommitSignature,
  verifySummarySignature,
} from '../../src/trust/ostree-sign.ts';
import type { RunResult } from '../reference/tools.ts';
import { describeReference, runTool } from '../reference/tools.ts';

const seedOf = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const signer = (fill: number): Signer => signerOf(privateKeyOfSeed(seedOf(fill)));
const [one, two, three] = [signer(1), signer(2), signer(3)];
const bad = (code: string, message = /./): Error =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error;
const COMMIT = utf8('stands for the bytes of a commit object');

describe('signatures of commits and the summary', () => {
  test('the signing key is found among the trusted ones', async () => {
    const meta = await signCommit(COMMIT, [two]);
    expect(verifyCommitSignature(COMMIT, meta, [one.public, two.public], 'c')).toEqual(two.public);
  });

  test('signing adds to what is there, and signing again changes nothing', async () => {
    const gpg = encodeDetachedMetadata([['ostree.gpgsigs', { signature: 'aay', value: [utf8('gpg')] }]]);
    const first = await signCommit(COMMIT, [one], gpg);
    const both = await signCommit(COMMIT, [two], first);
    expect(await signCommit(COMMIT, [two, one], both)).toEqual(both);
    const entries = decodeDetachedMetadata(both);
    expect(entries.map(([name]) => name)).toEqual(['ostree.gpgsigs', 'ostree.sign.ed25519']);
    expect(ed25519Signatures(entries)).toHaveLength(2);
    for (const key of [one, two]) {
      expect(verifyCommitSignature(COMMIT, both, [key.public], 'c')).toEqual(key.public);
    }
  });

  test('the same commit and key give the same bytes', async () => {
    expect(await signCommit(COMMIT, [one])).toEqual(await signCommit(COMMIT, [one]));
  });

  test('a changed commit, another key and a changed signature are refused with the name', async () => {
    const meta = await signCommit(COMMIT, [one]);
    const changed = Uint8Array.from(COMMIT);
    changed[3] = (changed[3] ?? 0) ^ 1;
    const broken = Uint8Array.from(meta);
    broken[40] = (broken[40] ?? 0) ^ 1;
    const refused = bad('trust/bad-signature', /commit c0ffee/);
    expect(() => verifyCommitSignature(changed, meta, [one.public], 'c0ffee')).toThrow(refused);
    expect(() => verifyCommitSignature(COMMIT, meta, [two.public], 'c0ffee')).toThrow(refused);
    expect(() => verifyCommitSignature(COMMIT, broken, [one.public], 'c0ffee')).toThrow(refused);
    expect(() => verifyCommitSignature(COMMIT, meta, [], 'c0ffee')).toThrow(refused);
  });

  test('no .commitmeta, and one without our entry, are unsigned', () => {
    const gpg = encodeDetachedMetadata([['ostree.gpgsigs', { signature: 'aay', value: [utf8('gpg')] }]]);
    for (const meta of [undefined, new Uint8Array(0), gpg]) {
      expect(() => verifyCommitSignature(COMMIT, meta, [one.public], 'c')).toThrow(bad('trust/unsigned'));
    }
  });

  test('bytes that are no detached metadata are a trust error', () => {
    expect(() => verifyCommitSignature(COMMIT, utf8('rubbish'), [one.public], 'c0ffee')).toThrow(
      bad('trust/bad-detached-metadata', /commit c0ffee/),
    );
  });

  test('a summary.sig can hold for the old and the new summary, and for nothing else', async () => {
    const [before, after] = [utf8('old summary'), utf8('new summary')];
    const both = await signSummary(after, [one], await signSummary(before, [one]));
    for (const summary of [before, after]) {
      expect(verifySummarySignature(summary, both, [one.public])).toEqual(one.public);
    }
    expect(() => verifySummarySignature(utf8('third'), both, [one.public])).toThrow(
      bad('trust/bad-signature'),
    );
    expect(() => verifySummarySignature(before, undefined, [one.public])).toThrow(bad('trust/unsigned'));
  });

  test('the signature of a commit does not pass for one of other bytes', async () => {
    const sig = await signSummary(COMMIT, [three]);
    expect(verifySummarySignature(COMMIT, sig, [three.public])).toEqual(three.public);
    expect(() => verifySummarySignature(utf8('other'), sig, [three.public])).toThrow(
      bad('trust/bad-signature', /the summary/),
    );
  });
});

describeReference('libostree with ed25519', ['ed25519:ostree'], () => {
  let base: string;
  let repo: string;
  let commit: string;
  const ostree = (args: readonly string[], reject = true): Promise<RunResult> =>
    runTool('ostree', [`--repo=${repo}`, ...args], { suite: 'ed25519', reject });
  const object = (kind: string): string =>
    join(repo, 'objects', commit.slice(0, 2), `${commit.slice(2)}.${kind}`);
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  const verify = (keys: readonly string[], options: readonly string[] = []): Promise<RunResult> =>
    ostree(['sign', '--verify', '--sign-type=ed25519', ...options, commit, ...keys], false);

  beforeAll(async () => {
    base = mkdtempSync(join(tmpdir(), 'treewright-sign-'));
    repo = join(base, 'repo');
    await mkdir(join(base, 'tree'));
    await writeFile(join(base, 'tree', 'file'), 'content');
    await ostree(['init', '--mode=archive']);
    const { stdout } = await ostree(['commit', '--branch=main', `--tree=dir=${join(base, 'tree')}`]);
    commit = stdout.trim();
  });
  afterAll(() => rmSync(base, { recursive: true, force: true }));

  test('accepts our signature of its commit, by key, by key file and by key directory', async () => {
    const keys = join(base, 'keys');
    await generateKeys(keys, { roles: ['ostree'] });
    const { ostree: signers } = await loadSigners(keys, ['ostree']);
    const [key] = signers;
    if (key === undefined) throw new Error('no key');
    await writeFile(object('commitmeta'), await signCommit(await readFile(object('commit')), signers));

    expect(await verify([base64(key.public)])).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining(Buffer.from(key.public).toString('hex')) as string,
    });
    const file = join(keys, OSTREE_PUBLIC_FILE);
    expect(await verify([], [`--keys-file=${file}`])).toMatchObject({ exitCode: 0 });
    await mkdir(join(base, 'etc', 'trusted.ed25519.d'), { recursive: true });
    await writeFile(join(base, 'etc', 'trusted.ed25519.d', 'treewright'), await readFile(file));
    expect(await verify([], [`--keys-dir=${join(base, 'etc')}`])).toMatchObject({ exitCode: 0 });
  });

  test('refuses our signature under a wrong key, and a changed one', async () => {
    const meta = await signCommit(await readFile(object('commit')), [one]);
    await writeFile(object('commitmeta'), meta);
    expect(await verify([base64(one.public)])).toMatchObject({ exitCode: 0 });
    expect((await verify([base64(two.public)])).exitCode).not.toBe(0);
    const broken = Uint8Array.from(meta);
    broken[40] = (broken[40] ?? 0) ^ 1;
    await writeFile(object('commitmeta'), broken);
    expect((await verify([base64(one.public)])).exitCode).not.toBe(0);
  });

  test('and we read what it signs, byte for byte what we would have written', async () => {
    rmSync(object('commitmeta'), { force: true });
    const secret = base64(Buffer.concat([seedOf(2), two.public]));
    await ostree(['sign', '--sign-type=ed25519', commit, secret]);
    const [bytes, meta] = [await readFile(object('commit')), await readFile(object('commitmeta'))];
    expect(verifyCommitSignature(bytes, meta, [one.public, two.public], commit)).toEqual(two.public);
    expect(() => verifyCommitSignature(bytes, meta, [one.public], commit)).toThrow(
      bad('trust/bad-signature'),
    );
    expect(Buffer.from(await signCommit(bytes, [two]))).toEqual(meta);

    await ostree(['sign', '--sign-type=ed25519', commit, base64(Buffer.concat([seedOf(3), three.public]))]);
    expect(Buffer.from(await signCommit(bytes, [three], meta))).toEqual(await readFile(object('commitmeta')));
  });

  test('its summary.sig verifies here, and ours equals it', async () => {
    const secret = base64(Buffer.concat([seedOf(1), one.public]));
    await ostree(['summary', '--update', '--sign-type=ed25519', `--sign=${secret}`]);
    const [summary, sig] = [await readFile(join(repo, 'summary')), await readFile(join(repo, 'summary.sig'))];
    expect(verifySummarySignature(summary, sig, [one.public])).toEqual(one.public);
    expect(Buffer.from(await signSummary(summary, [one]))).toEqual(sig);
  });

  test('a pull that demands signatures takes ours and refuses another key', async () => {
    const keyFile = async (name: string, key: Signer): Promise<string> => {
      await writeFile(join(base, name), `${base64(key.public)}\n`);
      return join(base, name);
    };
    await writeFile(object('commitmeta'), await signCommit(await readFile(object('commit')), [one]));
    const summary = await readFile(join(repo, 'summary'));
    await writeFile(join(repo, 'summary.sig'), await signSummary(summary, [one]));
    const pull = async (name: string, keys: string): Promise<RunResult> => {
      const client = `--repo=${join(base, name)}`;
      const run = (args: readonly string[], reject = true): Promise<RunResult> =>
        runTool('ostree', [client, ...args], { suite: 'ed25519', reject });
      await run(['init', '--mode=archive']);
      const remote = [`--sign-verify=ed25519=file:${keys}`, '--set=sign-verify-summary=true'];
      await run(['remote', 'add', '--no-gpg-verify', ...remote, 'origin', `file://${repo}`]);
      return run(['pull', 'origin', 'main'], false);
    };
    expect(await pull('good', await keyFile('right', one))).toMatchObject({ exitCode: 0 });
    const refused = await pull('bad', await keyFile('wrong', two));
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toMatch(/ed25519/);
    expect(decodeOstreePublicKeys(await readFile(join(base, 'right'), 'utf8'))).toEqual([one.public]);
  });
});

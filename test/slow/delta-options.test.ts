/** Deltas made with every option, applied by real ostree: offline, and over HTTP by branch and by commit. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { cp, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Checksum } from '../../src/core/checksum.ts';
import { noEvents } from '../../src/core/events.ts';
import { applyDelta } from '../../src/delta/apply.ts';
import type { GenerateDelta } from '../../src/delta/generate.ts';
import { generateDelta } from '../../src/delta/generate.ts';
import { writeDeltaIndexes } from '../../src/delta/list.ts';
import { deltaInRepository, openDelta } from '../../src/delta/read.ts';
import { verifyDelta } from '../../src/delta/verify.ts';
import { deltaPartPath, superblockPath } from '../../src/formats/ostree-delta-index.ts';
import { openStore } from '../../src/platform/store.ts';
import type { WorkerPool } from '../../src/platform/workers.ts';
import { createWorkerPool } from '../../src/platform/workers.ts';
import { objectPath } from '../../src/repo/paths.ts';
import { makeDelta } from '../../src/release/delta-make.ts';
import { rawPublicKey } from '../../src/trust/ed25519.ts';
import {
  commitTar,
  expectWhole,
  makeClient,
  makeRepository,
  pullLocal,
  pullOverHttp,
} from '../delta/clients.ts';
import { NEW, OLD, noise } from '../delta/pair.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import type { RandomEntry } from '../support/random-tree.ts';
import { writeTar } from '../support/random-tree.ts';

const SUITES = ['bookworm', 'trixie'] as const;

let scratch: string;
let pool: WorkerPool;
let repo: string;
let from: Checksum;
let to: Checksum;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-delta-options-'));
  pool = createWorkerPool(2);
});
afterAll(async () => {
  await pool.close();
  await rm(scratch, { recursive: true, force: true });
});

const { privateKey } = generateKeyPairSync('ed25519');
const signed = (bytes: Uint8Array): Promise<Uint8Array[]> => Promise.resolve([sign(null, bytes, privateKey)]);

const WAYS: readonly (readonly [string, Partial<GenerateDelta>])[] = [
  ['inside the superblock', { inlineParts: true }],
  ['in big-endian order', { byteOrder: 'big' }],
  ['in small parts', { maxPartSize: 50_000 }],
  ['without patches', { maxPatchSize: 0 }],
  [
    'inside the superblock, big-endian, in small parts',
    { inlineParts: true, byteOrder: 'big', maxPartSize: 50_000 },
  ],
  ['with metadata', { metadata: [['vendor.note', { signature: 's', value: 'hello' }]] }],
];

describeReference('real ostree', ['bookworm:ostree', 'trixie:ostree', 'ed25519:ostree'], () => {
  beforeAll(async () => {
    repo = await makeRepository(join(scratch, 'repo'));
    await writeTar(join(scratch, 'old.tar'), OLD);
    await writeTar(join(scratch, 'new.tar'), NEW);
    from = await commitTar(repo, join(scratch, 'old.tar'), 1_700_000_000);
    to = await commitTar(repo, join(scratch, 'new.tar'), 1_700_000_100);
  });

  let count = 0;
  async function clientWithOld(suite: (typeof SUITES)[number] | 'ed25519'): Promise<string> {
    const client = await makeClient(suite, join(scratch, `client-${count++}`));
    await pullLocal(suite, client, repo, from);
    return client;
  }

  /** The repository with one delta, its index and a summary. */
  async function serving(options: Partial<GenerateDelta>): Promise<string> {
    const where = join(scratch, `serving-${count++}`);
    await cp(repo, where, { recursive: true });
    await generateDelta({ repo: where, from, to, pool, ...options });
    await writeDeltaIndexes(where);
    await runTool('ostree', ['summary', '-u', `--repo=${where}`], { suite: 'trixie' });
    return where;
  }

  for (const [name, options] of WAYS) {
    test(`applies a delta ${name}`, { timeout: 120_000 }, async () => {
      const where = await serving(options);
      await verifyDelta(openStore(where), { from, to });
      const info = await generateDelta({ repo: where, from, to, pool, ...options });
      expect(info.reused).toBe(true);
      for (const suite of SUITES) {
        const output = join(scratch, `delta-${count++}`);
        await generateDelta({ repo, from, to, pool, ...options, output });
        const offline = await clientWithOld(suite);
        await runTool('ostree', ['static-delta', 'apply-offline', `--repo=${offline}`, output], { suite });
        await expectWhole(suite, offline, to);

        for (const wanted of ['device', to]) {
          const client = await clientWithOld(suite);
          const { exitCode, served } = await pullOverHttp({ suite, client, repo: where, from, wanted });
          expect(exitCode).toBe(0);
          await expectWhole(suite, client, to);
          expect(served).toContain(`/${superblockPath({ from, to })}`);
          const parts = served.filter((path) => path.startsWith('/deltas/') && !path.endsWith('superblock'));
          expect(parts.length).toBe(options.inlineParts === true ? 0 : info.parts.length);
          if (options.maxPartSize !== undefined && options.inlineParts !== true) {
            expect(parts).toContain(`/${deltaPartPath({ from, to }, 5)}`);
          }
          if (suite === 'trixie') expect(served.filter((path) => path.startsWith('/objects/'))).toEqual([]);
        }
      }
    });
  }

  test('pulls what a delta leaves out, and nothing else', { timeout: 120_000 }, async () => {
    const where = await serving({ minFallbackSize: 50_000 });
    const { fallbacks } = await generateDelta({ repo: where, from, to, pool, minFallbackSize: 50_000 });
    expect(fallbacks.length).toBeGreaterThan(0);
    for (const { checksum, size, uncompressed } of fallbacks) {
      expect(uncompressed).toBeGreaterThan(50_000);
      expect((await stat(join(where, objectPath(checksum, 'file')))).size).toBe(size);
    }
    await verifyDelta(openStore(where), { from, to });
    for (const suite of SUITES) {
      const client = await clientWithOld(suite);
      const { exitCode, served } = await pullOverHttp({ suite, client, repo: where, from, wanted: to });
      expect(exitCode).toBe(0);
      await expectWhole(suite, client, to);
      const loose = served.filter((path) => path.endsWith('.filez'));
      for (const { checksum } of fallbacks) expect(loose).toContain(`/${objectPath(checksum, 'file')}`);
      if (suite === 'trixie') expect(loose.length).toBe(fallbacks.length);

      const offline = await runTool(
        'ostree',
        [
          'static-delta',
          'apply-offline',
          `--repo=${await clientWithOld(suite)}`,
          join(where, 'deltas', superblockPath({ from, to }).split('/').slice(1, 3).join('/')),
        ],
        { suite, reject: false },
      );
      expect(offline.stderr).toContain('contains nonempty http fallback entries');
    }
  });

  test('leaves out what our apply then wants, and takes when it is there', { timeout: 120_000 }, async () => {
    const theirs = await makeRepository(join(scratch, 'theirs'));
    await runTool('ostree', ['pull-local', `--repo=${theirs}`, repo, from], { suite: 'trixie' });
    const image: RandomEntry = { path: 'image', type: 'file', mode: 0o644, uid: 0, gid: 0, xattrs: {} };
    await writeTar(join(scratch, 'more.tar'), [...NEW, { ...image, content: noise(77, 2_500_000) }]);
    const more = await commitTar(theirs, join(scratch, 'more.tar'), 1_700_000_200);
    const args = ['static-delta', 'generate', `--repo=${theirs}`, `--from=${from}`, `--to=${more}`];
    await runTool('ostree', [...args, '--min-fallback-size=1'], { suite: 'trixie' });
    const ends = { from, to: more };
    const delta = await openDelta(deltaInRepository(openStore(theirs), ends), ends);
    expect(delta.superblock.fallbacks.length).toBe(1);
    await verifyDelta(openStore(theirs), ends);

    const mirror = await makeRepository(join(scratch, 'mirror'));
    await runTool('ostree', ['pull-local', `--repo=${mirror}`, repo, from], { suite: 'trixie' });
    const apply = () => applyDelta({ repo: mirror, delta, pool, events: noEvents });
    await expect(apply()).rejects.toMatchObject({ code: 'input/missing-fallback' });
    for (const { checksum } of delta.superblock.fallbacks) {
      await cp(join(theirs, objectPath(checksum, 'file')), join(mirror, objectPath(checksum, 'file')));
    }
    await apply();
    await expectWhole('trixie', mirror, more);
  });

  test('pulls one file beyond 10 MiB since 2023.4 only, which is told', { timeout: 120_000 }, async () => {
    const where = await makeRepository(join(scratch, 'large'));
    await runTool('ostree', ['pull-local', `--repo=${where}`, repo, from], { suite: 'trixie' });
    const image: RandomEntry = { path: 'image', type: 'file', mode: 0o644, uid: 0, gid: 0, xattrs: {} };
    await writeTar(join(scratch, 'large.tar'), [...OLD, { ...image, content: noise(78, 11_000_000) }]);
    const large = await commitTar(where, join(scratch, 'large.tar'), 1_700_000_200);
    const told: string[] = [];
    const report = await makeDelta({
      ...{ repo: where, from, to: large, inlineParts: true, lastModified: 1_700_000_200 },
      events: (event) => {
        if (event.type === 'diagnostic') told.push(event.diagnostic.code);
      },
      checkpoint: () => undefined,
    });
    expect(report.requests.delta).toBe(1);
    expect(told).toEqual(['input/large-superblock']);
    for (const suite of SUITES) {
      const client = await makeClient(suite, join(scratch, `large-${suite}`));
      await pullLocal(suite, client, where, from);
      const { exitCode, served } = await pullOverHttp({ suite, client, repo: where, from, wanted: large });
      expect({ suite, pulled: exitCode === 0 }).toEqual({ suite, pulled: suite === 'trixie' });
      if (suite === 'trixie') expect(served.filter((path) => path.startsWith('/objects/'))).toEqual([]);
    }
  });

  test(
    'checks the signature of a superblock offline, and cannot read it in a pull',
    { timeout: 120_000 },
    async () => {
      const output = join(scratch, 'signed.delta');
      await generateDelta({ repo, from, to, pool, inlineParts: true, sign: signed, output });
      const keys = join(scratch, 'keys');
      const publicKey = Buffer.from(rawPublicKey(privateKey)).toString('base64');
      await writeFile(keys, `${publicKey}\n`);
      const apply = async (keysFile: string) => {
        const client = await clientWithOld('ed25519');
        const result = await runTool(
          'ostree',
          [
            ...['static-delta', 'apply-offline', `--repo=${client}`, '--sign-type=ed25519'],
            ...[`--keys-file=${keysFile}`, output],
          ],
          { suite: 'ed25519', reject: false },
        );
        return { client, ...result };
      };
      const good = await apply(keys);
      expect(good.exitCode).toBe(0);
      await expectWhole('ed25519', good.client, to);
      const other = generateKeyPairSync('ed25519').privateKey;
      const otherKeys = join(scratch, 'other-keys');
      await writeFile(otherKeys, `${Buffer.from(rawPublicKey(other)).toString('base64')}\n`);
      expect((await apply(otherKeys)).exitCode).not.toBe(0);

      // Without keys the signature is skipped.
      for (const suite of SUITES) {
        const client = await clientWithOld(suite);
        await runTool('ostree', ['static-delta', 'apply-offline', `--repo=${client}`, output], { suite });
        await expectWhole(suite, client, to);
      }

      const where = await serving({ sign: signed });
      for (const suite of SUITES) {
        const client = await clientWithOld(suite);
        const { exitCode, stderr } = await pullOverHttp({
          suite,
          client,
          repo: where,
          from,
          wanted: 'device',
        });
        expect(exitCode).not.toBe(0);
        expect(stderr).toContain('Invalid checksum of length 0');
      }
    },
  );
});

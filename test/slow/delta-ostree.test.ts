import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Checksum } from '../../src/core/checksum.ts';
import { checksumToBytes } from '../../src/core/checksum.ts';
import { noEvents } from '../../src/core/events.ts';
import { applyDelta } from '../../src/delta/apply.ts';
import type { DeltaInfo } from '../../src/delta/generate.ts';
import { generateDelta } from '../../src/delta/generate.ts';
import { deltaDigests, listDeltas, writeDeltaIndexes } from '../../src/delta/list.ts';
import { deltaInRepository, openDelta } from '../../src/delta/read.ts';
import { verifyDelta } from '../../src/delta/verify.ts';
import type { DeltaEnds } from '../../src/formats/ostree-delta-index.ts';
import { decodeDeltaIndex, deltaIndexPath, superblockPath } from '../../src/formats/ostree-delta-index.ts';
import { openStore } from '../../src/platform/store.ts';
import type { WorkerPool } from '../../src/platform/workers.ts';
import { createWorkerPool } from '../../src/platform/workers.ts';
import { objectPath } from '../../src/repo/paths.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import { writeTar } from '../support/random-tree.ts';
import {
  CONFIG,
  commitTar,
  expectWhole,
  makeClient,
  makeRepository,
  pullLocal,
  pullOverHttp,
} from '../delta/clients.ts';
import { FIRMWARE, NEW, OLD } from '../delta/pair.ts';

const SUITES = ['bookworm', 'trixie'] as const;

let scratch: string;
let pool: WorkerPool;
/** Made by `ostree commit`; holds both releases, and our deltas after the first test. */
let repo: string;
let from: Checksum;
let to: Checksum;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-delta-ostree-'));
  pool = createWorkerPool(2);
});
afterAll(async () => {
  await pool.close();
  await rm(scratch, { recursive: true, force: true });
});

describeReference('real ostree', ['bookworm:ostree', 'trixie:ostree'], () => {
  let delta: DeltaInfo;
  let scratchDelta: DeltaInfo;
  beforeAll(async () => {
    repo = await makeRepository(join(scratch, 'repo'));
    await writeTar(join(scratch, 'old.tar'), OLD);
    await writeTar(join(scratch, 'new.tar'), [...NEW, FIRMWARE]);
    from = await commitTar(repo, join(scratch, 'old.tar'), 1_700_000_000);
    to = await commitTar(repo, join(scratch, 'new.tar'), 1_700_000_100);
    delta = await generateDelta({ repo, from, to, pool });
    scratchDelta = await generateDelta({ repo, to, pool });
    await writeDeltaIndexes(repo);
  });

  for (const suite of SUITES) {
    test(`${suite} applies our delta offline, from the older release and from nothing`, async () => {
      for (const info of [delta, scratchDelta]) {
        const name = info.from === undefined ? 'offline-scratch' : 'offline';
        const client = await makeClient(suite, join(scratch, `${name}-${suite}`));
        if (info.from !== undefined) await pullLocal(suite, client, repo, from);
        await runTool(
          'ostree',
          ['static-delta', 'apply-offline', `--repo=${client}`, join(repo, info.path)],
          { suite },
        );
        await expectWhole(suite, client, to);
        expect(await readFile(`${client}-${to.slice(0, 8)}/usr/share/text`, 'utf8')).toContain(' changed\n');
      }
    });

    test(`${suite} reads the same figures from our delta as we tell`, async () => {
      const { stdout } = await runTool(
        'ostree',
        ['static-delta', 'show', `--repo=${repo}`, `${from}-${to}`],
        { suite },
      );
      expect(stdout).toContain('Endianness: little\n');
      expect(stdout).toContain('Number of fallback entries: 0\n');
      expect(stdout).toContain(`Number of parts: ${delta.parts.length}\n`);
      delta.parts.forEach(({ size, uncompressed }, i) => {
        expect(stdout).toMatch(
          new RegExp(`PartMeta${i}: nobjects=\\d+ size=${size} usize=${uncompressed}\n`),
        );
      });
      const list = await runTool('ostree', ['static-delta', 'list', `--repo=${repo}`], { suite });
      const names = (await listDeltas(repo)).map(({ name }) => name);
      expect(list.stdout.trim().split('\n').sort()).toEqual(names);
    });
  }

  test('the delta indexes are those that ostree writes', async () => {
    const path = join(repo, deltaIndexPath(to));
    const ours = await readFile(path);
    await rm(path);
    await runTool('ostree', ['static-delta', 'reindex', `--repo=${repo}`], { suite: 'trixie' });
    const theirs = await readFile(path);
    const byDigest = (bytes: Uint8Array): string[] =>
      decodeDeltaIndex(bytes)
        .map((entry) => JSON.stringify({ ...entry, digest: [...entry.digest] }))
        .sort();
    expect(byDigest(ours)).toEqual(byDigest(theirs));
    await writeFile(path, ours);
    await writeFile(join(repo, 'config'), CONFIG);
  });

  test('a summary made by ostree lists the digests we tell', async () => {
    await runTool('ostree', ['summary', '-u', `--repo=${repo}`], { suite: 'trixie' });
    const { stdout } = await runTool('ostree', ['summary', '-v', `--repo=${repo}`], { suite: 'trixie' });
    for (const [name, digest] of await deltaDigests(repo)) {
      const bytes = [...checksumToBytes(digest)].map((value) => `0x${value.toString(16).padStart(2, '0')}`);
      expect(stdout).toContain(`'${name}': <[byte ${bytes.join(', ')}]>`);
    }
  });

  for (const suite of SUITES) {
    for (const target of ['by ref', 'by commit hash'] as const) {
      test(`${suite} pulls through our delta over HTTP ${target}`, async () => {
        const client = await makeClient(suite, join(scratch, `pull-${target.replaceAll(' ', '-')}-${suite}`));
        await pullLocal(suite, client, repo, from);
        const wanted = target === 'by ref' ? 'device' : to;
        const { exitCode, served } = await pullOverHttp({ suite, client, repo, from, wanted });
        expect(exitCode).toBe(0);
        await runTool('ostree', ['fsck', '--quiet', `--repo=${client}`], { suite });
        await runTool('ostree', ['ls', '-R', `--repo=${client}`, to], { suite });

        expect(served).toContain(`/${superblockPath({ from, to })}`);
        for (const i of delta.parts.keys()) expect(served).toContain(`/${delta.path}/${i}`);
        // 2022.7 fetches loose objects besides the delta, whoever made it (ostree#2680).
        if (suite === 'trixie') expect(served.filter((path) => path.startsWith('/objects/'))).toEqual([]);
      });
    }

    test(`${suite} takes a big-endian delta with fallbacks over HTTP, and one file offline`, async () => {
      const where = join(scratch, `options-${suite}`);
      await cp(repo, where, { recursive: true, filter: (path) => !/\/(?:deltas|delta-indexes)$/.test(path) });
      const options = { repo: where, from, to, pool, byteOrder: 'big', maxPartSize: 50_000 } as const;
      const info = await generateDelta({ ...options, minFallbackSize: 90_000 });
      expect(info.fallbacks.length).toBe(2);
      await runTool('ostree', ['summary', '-u', `--repo=${where}`], { suite: 'trixie' });
      const client = await makeClient(suite, join(scratch, `options-client-${suite}`));
      await pullLocal(suite, client, repo, from);
      const { served, exitCode } = await pullOverHttp({ suite, client, repo: where, from, wanted: 'device' });
      expect(exitCode).toBe(0);
      await expectWhole(suite, client, to);
      const deltas = served.filter((path) => path.startsWith('/deltas/'));
      expect(deltas.length).toBe(1 + info.parts.length);
      const loose = served.filter((path) => path.endsWith('.filez'));
      if (suite === 'trixie') {
        const told = info.fallbacks.map(({ checksum }) => `/${objectPath(checksum, 'file')}`);
        expect(loose.sort()).toEqual(told.sort());
      }

      const output = join(scratch, `options-${suite}.delta`);
      await generateDelta({ ...options, output, inlineParts: true });
      const offline = await makeClient(suite, join(scratch, `options-offline-${suite}`));
      await pullLocal(suite, offline, repo, from);
      await runTool('ostree', ['static-delta', 'apply-offline', `--repo=${offline}`, output], { suite });
      await expectWhole(suite, offline, to);
    });

    const ways: [string, string[]][] = [
      ['with its defaults', []],
      ['with fallbacks', ['--min-fallback-size=1']],
      ['inside the superblock', ['--inline', '--min-fallback-size=0']],
      ['without bsdiff, in small parts', ['--disable-bsdiff', '--max-chunk-size=1', '--min-fallback-size=0']],
      ['in the other byte order', ['--swap-endianness']],
    ];
    test(`our code verifies and applies what ${suite} generates: ${ways.map(([name]) => name).join(', ')}`, async () => {
      const theirs = await makeRepository(join(scratch, `theirs-${suite}`));
      await runTool('ostree', ['pull-local', `--repo=${theirs}`, repo, from, to], { suite: 'trixie' });
      const older = await makeRepository(join(scratch, `older-${suite}`));
      await runTool('ostree', ['pull-local', `--repo=${older}`, repo, from], { suite: 'trixie' });
      /** Applies the delta to a copy of what has the older commit, which ostree then finds whole. */
      const applied = async (name: string, ends: DeltaEnds): Promise<void> => {
        const mirror = join(scratch, `mirror-${name}-${suite}`);
        await cp(older, mirror, { recursive: true });
        const delta = await openDelta(deltaInRepository(openStore(theirs), ends), ends);
        for (const { checksum } of delta.superblock.fallbacks) {
          await cp(join(theirs, objectPath(checksum, 'file')), join(mirror, objectPath(checksum, 'file')));
        }
        expect(await applyDelta({ repo: mirror, delta, pool, events: noEvents })).toMatchObject({
          present: false,
        });
        await runTool('ostree', ['fsck', '--quiet', `--repo=${mirror}`], { suite });
        await runTool('ostree', ['ls', '-R', `--repo=${mirror}`, to], { suite });
      };
      for (const [name, options] of ways) {
        const args = [
          'static-delta',
          'generate',
          `--repo=${theirs}`,
          `--from=${from}`,
          `--to=${to}`,
          ...options,
        ];
        await runTool('ostree', args, { suite });
        await verifyDelta(openStore(theirs), { from, to });
        await applied(name.replaceAll(/\W+/g, '-'), { from, to });
        await rm(join(theirs, 'deltas'), { recursive: true });
      }
      await runTool('ostree', ['static-delta', 'generate', `--repo=${theirs}`, '--empty', `--to=${to}`], {
        suite,
      });
      await verifyDelta(openStore(theirs), { to });
      await applied('from-nothing', { to });
      // Six deltas by libostree's own matcher.
    }, 180_000);
  }
});

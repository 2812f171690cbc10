/** `verify` believes nothing: whatever is changed, cut or missing is named, from disk and over HTTP. */
import { execa } from 'execa';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Updater } from 'tuf-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noEvents } from '../../src/core/events.ts';
import type { ReleaseReport } from '../../src/release/publish-content.ts';
import type { VerifyReport } from '../../src/release/verify.ts';
import { verifyRelease } from '../../src/release/verify.ts';
import { expectDamageRefused } from '../support/damage.ts';
import { serveDirectory } from '../support/http-server.ts';
import type { TestProject } from '../support/release.ts';
import { makeProject, makeRelease, makeReleasesWithApp } from '../support/release.ts';

let scratch: string;
let project: TestProject;
let second: ReleaseReport;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-verify-'));
  ({ project, second } = await makeReleasesWithApp(scratch));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const verify = (location: string, extra: { root?: string; now?: Date } = {}): Promise<VerifyReport> =>
  verifyRelease({ location, events: noEvents, now: new Date(), ...extra });

describe('a whole release', () => {
  test('verifies from disk, with what it holds', async () => {
    const report = await verify(project.output);
    expect(report).toMatchObject({
      product: 'gateway',
      machine: 'test-board',
      root: { version: 1, trusted: false },
    });
    expect(report.releases.map(({ version, deltas, apps }) => ({ version, deltas, apps }))).toEqual([
      { version: '1.0', deltas: 1, apps: 1 },
      { version: '2.0', deltas: 2, apps: 1 },
    ]);
    expect(report.warnings.map(({ code }) => code)).toEqual(['trust/first-use']);
  });

  test('verifies over HTTP against a trusted root', async () => {
    const server = await serveDirectory(project.output);
    try {
      const report = await verify(server.url, { root: join(project.output, 'tuf/1.root.json') });
      expect(report.warnings).toEqual([]);
      expect(report.root).toEqual({ version: 1, trusted: true });
    } finally {
      await server.close();
    }
  });

  test('is read by tuf-js, release.json included', async () => {
    const server = await serveDirectory(project.output);
    try {
      const metadataDir = join(scratch, 'tuf-client');
      const targetDir = join(scratch, 'tuf-targets');
      await mkdir(metadataDir);
      await mkdir(targetDir);
      await cp(join(project.output, 'tuf/1.root.json'), join(metadataDir, 'root.json'));
      const updater = new Updater({
        metadataDir,
        metadataBaseUrl: `${server.url}/tuf`,
        targetDir,
        targetBaseUrl: server.url,
        config: { fetchRetry: 0 },
      });
      await updater.refresh();
      const target = await updater.getTargetInfo('releases/2.0/release.json');
      if (target === undefined) throw new Error('release.json is not a target');
      const path = await updater.downloadTarget(target);
      const manifest = JSON.parse(await readFile(path, 'utf8')) as { ostree: { commit: string } };
      expect(manifest.ostree.commit).toBe(second.commit);
      const commit = await updater.getTargetInfo('gateway-2.0');
      expect(commit?.hashes).toEqual({ sha256: second.commit });
      expect(commit?.custom).toMatchObject({
        targetFormat: 'OSTREE',
        hardwareIds: ['test-board'],
        version: '2.0',
      });
    } finally {
      await server.close();
    }
  });
});

describe('a damaged release', () => {
  test('is refused whichever file is changed or cut', { timeout: 240_000 }, async () => {
    // One in sixteen of the OSTree objects, which are all alike; test/slow takes every one.
    let objects = 0;
    await expectDamageRefused(
      project.output,
      join(scratch, 'damaged'),
      (file) => !file.startsWith('ostree/objects/') || objects++ % 16 === 0,
    );
  });

  test.each([
    ['tuf/timestamp.json', 'trust/missing-metadata'],
    ['tuf/1.root.json', 'trust/missing-metadata'],
    ['releases/2.0/release.json', 'trust/missing-file'],
    ['releases/2.0/boot/boot.scr', 'trust/missing-file'],
    ['ostree/summary', 'trust/missing-file'],
    ['ostree/summary.sig', 'trust/unsigned'],
  ])('is refused without %s', async (file, code) => {
    const copy = join(scratch, 'incomplete');
    await execa('cp', ['-a', project.output, copy]);
    await rm(join(copy, file));
    await expect(verify(copy)).rejects.toMatchObject({ code });
    await rm(copy, { recursive: true });
  });

  test('is refused when it is somebody else’s', async () => {
    const other = await makeProject(join(scratch, 'other'));
    await makeRelease(other, { release: 1, programs: 1 });
    await expect(
      verify(project.output, { root: join(other.output, 'tuf/1.root.json') }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^trust\//) as unknown });
  });

  test('is refused when its metadata has expired', async () => {
    const later = new Date(Date.now() + 400 * 86_400_000);
    await expect(verify(project.output, { now: later })).rejects.toMatchObject({ code: 'trust/expired' });
  });
});

test('a place that is no release directory is a mistake of the caller, told without the password in it', async () => {
  await expect(verify(join(scratch, 'nowhere'))).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(verify(join(scratch, 'shop/docker-compose.yml'))).rejects.toMatchObject({
    code: 'input/not-a-directory',
  });
  for (const url of ['http://', 'http://127.0.0.1:99999/', 'ftp://host/x', 'https://host/x?y=1']) {
    await expect(verify(url), url).rejects.toMatchObject({ code: 'usage/bad-url' });
  }
  const secret = verify('http://user:hunter2@127.0.0.1:9/x');
  await expect(secret).rejects.toMatchObject({ code: 'usage/bad-url' });
  await expect(secret).rejects.toThrow(/^(?!.*hunter2)/);
});

test('a trusted root that is no root is named', async () => {
  const root = join(scratch, 'shop/docker-compose.yml');
  await expect(verify(project.output, { root })).rejects.toMatchObject({
    code: 'trust/bad-metadata',
    message: expect.stringContaining(root) as string,
  });
});

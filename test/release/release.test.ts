/** What a release directory holds over several releases, and what is refused. */
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { noEvents } from '../../src/core/events.ts';
import type { Event } from '../../src/core/events.ts';
import { openStore } from '../../src/platform/store.ts';
import { acquireLock } from '../../src/platform/lock.ts';
import { assembleRelease } from '../../src/release/assemble.ts';
import type { ReleaseReport } from '../../src/release/publish-content.ts';
import { rollbackRelease } from '../../src/release/rollback.ts';
import { verifyRelease } from '../../src/release/verify.ts';
import { readCommit } from '../../src/repo/read.ts';
import { generateKeys } from '../../src/trust/keys.ts';
import type { TestProject } from '../support/release.ts';
import { makeProject, makeRelease, prepareRelease } from '../support/release.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-release-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const verify = (project: TestProject) =>
  verifyRelease({ location: project.output, events: noEvents, now: new Date() });

describe('with --next', () => {
  test('a build under a version that is taken is counted, and an unchanged one is not', async () => {
    const project = await makeProject(join(scratch, 'next'));
    const build = async (release: number): Promise<string> => {
      const config = await loadConfig(await prepareRelease(project, { release, programs: 1 }));
      const report = await assembleRelease({
        config,
        version: '5.0',
        next: true,
        events: noEvents,
        now: new Date(),
      });
      return `${report.version}${report.unchanged ? ' unchanged' : ''}`;
    };
    const made: string[] = [];
    for (const release of [1, 1, 2, 2, 1]) made.push(await build(release));
    expect(made).toEqual(['5.0', '5.0 unchanged', '5.0-build.2', '5.0-build.2 unchanged', '5.0-build.3']);
  });

  test('other apps or kernel arguments with the same tree are a change like any other', async () => {
    const project = await makeProject(join(scratch, 'next-app'));
    const compose = join(project.directory, 'shop/docker-compose.yml');
    await mkdir(dirname(compose));
    const build = async (digit: string, last = 'quiet', next = true): Promise<string> => {
      const image = `registry.example/web@sha256:${digit.repeat(64)}`;
      await writeFile(compose, `services: { web: { image: "${image}" } }\n`);
      const extra = `apps: [{ compose: ${compose} }]\n`;
      const file = await prepareRelease(project, { release: 1, programs: 1, extra });
      await writeFile(file, (await readFile(file, 'utf8')).replace('quiet]', `${last}]`));
      const config = await loadConfig(file);
      const now = new Date();
      const report = await assembleRelease({ config, version: '5.0', next, events: noEvents, now });
      return `${report.version}${report.unchanged ? ' unchanged' : ''}`;
    };
    const made = [
      await build('a'),
      await build('a'),
      await build('b'),
      await build('b'),
      await build('b', 'debug'),
    ];
    expect(made).toEqual(['5.0', '5.0 unchanged', '5.0-build.2', '5.0-build.2 unchanged', '5.0-build.3']);
    await expect(build('b', 'debug', false)).rejects.toThrow(/5\.0 is published already with other apps/);
    await expect(build('a', 'debug', false)).rejects.toThrow(/published already with other kernel arguments/);
    const index = await readFile(join(project.output, 'apps/index.json'), 'utf8');
    expect([...index.matchAll(/shop:[^"]+/g)].map(([name]) => name)).toEqual([
      'shop:5.0',
      'shop:5.0-build.2',
      'shop:5.0-build.3',
    ]);
    expect((await verify(project)).releases).toHaveLength(3);
  });
});

describe('three releases and a way back', () => {
  let project: TestProject;
  let reports: ReleaseReport[];
  let config: string;

  beforeAll(async () => {
    project = await makeProject(join(scratch, 'three'));
    reports = [];
    for (const release of [1, 2, 3]) reports.push(await makeRelease(project, { release, programs: 4 }));
    config = await prepareRelease(project, { release: 3, programs: 4 });
  });

  test('each has the one before as parent, and deltas from all of them and from nothing', () => {
    expect(reports.map(({ parent }) => parent)).toEqual([undefined, reports[0]?.commit, reports[1]?.commit]);
    expect(reports.map(({ deltas }) => deltas.map(({ fromVersion }) => fromVersion))).toEqual([
      [undefined],
      ['1.0', undefined],
      ['2.0', '1.0', undefined],
    ]);
    const update = reports[1]?.deltas[0];
    expect(update?.bytes).toBeLessThan(update?.looseBytes ?? 0);
  });

  test('only what changed is written again', () => {
    const [first, second] = reports;
    expect(first?.objects.written).toBe(first?.objects.total);
    expect(second?.objects.written).toBeLessThan(15);
  });

  test('the same version with the same tree is signed again and otherwise left alone', async () => {
    const again = await makeRelease(project, { release: 3, programs: 4 });
    expect(again).toMatchObject({ unchanged: true, commit: reports[2]?.commit });
    expect((await verify(project)).releases).toHaveLength(3);
  });

  test('the same version with another tree is refused', async () => {
    const other = await prepareRelease(project, { release: 4, programs: 4 });
    await expect(
      assembleRelease({ config: await loadConfig(other), version: '2.0', events: noEvents, now: new Date() }),
    ).rejects.toMatchObject({ code: 'input/version-exists' });
    expect((await verify(project)).releases).toHaveLength(3);
  });

  test('an older version again publishes nothing, and says so', async () => {
    const events: Event[] = [];
    const older = await loadConfig(await prepareRelease(project, { release: 1, programs: 4 }));
    const again = await assembleRelease({
      config: older,
      version: '1.0',
      events: (event) => events.push(event),
      now: new Date(),
    });
    expect(again.unchanged).toBe(true);
    expect(events).toContainEqual({
      type: 'diagnostic',
      diagnostic: expect.objectContaining({ code: 'input/not-newest', severity: 'warning' }) as unknown,
    });
    await expect(
      rollbackRelease({ config: older, to: '1.0', as: '2.0', events: noEvents, now: new Date() }),
    ).rejects.toMatchObject({ code: 'usage/version-exists' });
    expect((await verify(project)).releases).toHaveLength(3);
  });

  test('a version that cannot be one is refused before the build is read', async () => {
    const events: Event[] = [];
    const now = new Date();
    const options = { config: await loadConfig(config), events: (event: Event) => events.push(event), now };
    const code = 'usage/bad-version';
    await expect(assembleRelease({ ...options, version: '../x' })).rejects.toMatchObject({ code });
    await expect(rollbackRelease({ ...options, to: '1.0', as: 'a b' })).rejects.toMatchObject({ code });
    expect(events).toEqual([]);
  });

  test('a commit that no key of the release before has signed is warned of', async () => {
    const copy = {
      ...project,
      directory: join(scratch, 'rekeyed'),
      output: join(scratch, 'rekeyed/release'),
    };
    await cp(project.output, copy.output, { recursive: true });
    const keys = join(copy.directory, 'keys');
    await cp(project.keys, keys, { recursive: true });
    const renew = async (): Promise<void> => {
      for (const name of ['ostree.key', 'ostree.pub', 'trusted.ed25519']) await rm(join(keys, name));
      await generateKeys(keys, { roles: ['ostree'] });
    };
    await renew();
    const warned = async (version: string): Promise<boolean> => {
      const events: Event[] = [];
      const next = await prepareRelease({ ...copy, keys }, { release: 4, programs: 4 });
      await assembleRelease({
        config: await loadConfig(next),
        version,
        events: (event) => events.push(event),
        now: new Date(),
      });
      return events.some(
        (event) => event.type === 'diagnostic' && event.diagnostic.code === 'trust/new-ostree-key',
      );
    };
    // Both at hand: both sign, nobody is left behind.
    await cp(join(project.keys, 'ostree.key'), join(keys, 'ostree.old.key'));
    expect(await warned('4.0')).toBe(false);
    await rm(join(keys, 'ostree.old.key'));
    expect(await warned('5.0')).toBe(false);
    await renew();
    expect(await warned('6.0')).toBe(true);
  });

  test('a clock before the last release is refused', async () => {
    const now = new Date(Date.now() - 86_400_000);
    const other = await prepareRelease(project, { release: 4, programs: 4 });
    await expect(
      assembleRelease({ config: await loadConfig(other), version: '4.0', events: noEvents, now }),
    ).rejects.toMatchObject({ code: 'input/timestamp-backwards' });
  });

  test('rollback brings the old tree back as a newer commit', async () => {
    const store = openStore(join(project.output, 'ostree'));
    const back = await rollbackRelease({
      config: await loadConfig(config),
      to: '1.0',
      events: noEvents,
      now: new Date(),
    });
    expect(back).toMatchObject({ version: '1.0-rollback.1', rollbackOf: '1.0', parent: reports[2]?.commit });
    const [old, before, now] = await Promise.all(
      [reports[0], reports[2], back].map((report) => readCommit(store, report?.commit ?? back.commit)),
    );
    expect({ tree: now?.rootTree, meta: now?.rootMeta }).toEqual({
      tree: old?.rootTree,
      meta: old?.rootMeta,
    });
    expect(now?.timestamp).toBeGreaterThan(before?.timestamp ?? 0);
    expect(back.deltas.map(({ fromVersion }) => fromVersion)).toContain('3.0');
    expect((await verify(project)).releases.map(({ version }) => version)).toEqual([
      '1.0',
      '2.0',
      '3.0',
      '1.0-rollback.1',
    ]);

    const twice = await rollbackRelease({
      config: await loadConfig(config),
      to: '1.0',
      events: noEvents,
      now: new Date(),
    });
    expect(twice.version).toBe('1.0-rollback.2');
  });

  test('rollback to what is not there, or is the newest, is refused', async () => {
    const loaded = await loadConfig(config);
    await expect(
      rollbackRelease({ config: loaded, to: '9', events: noEvents, now: new Date() }),
    ).rejects.toMatchObject({
      code: 'usage/no-such-version',
      message: expect.stringContaining('1.0, 2.0, 3.0') as unknown,
    });
    await expect(
      rollbackRelease({ config: loaded, to: '1.0-rollback.2', events: noEvents, now: new Date() }),
    ).rejects.toMatchObject({ code: 'usage/already-newest' });
  });
});

describe('a release directory', () => {
  test('is not shared by two products', async () => {
    const project = await makeProject(join(scratch, 'product'));
    await makeRelease(project, { release: 1, programs: 1 });
    const file = await prepareRelease(project, { release: 2, programs: 1 });
    await writeFile(file, (await readFile(file, 'utf8')).replace('product: gateway', 'product: other'));
    await expect(
      assembleRelease({ config: await loadConfig(file), version: '2.0', events: noEvents, now: new Date() }),
    ).rejects.toMatchObject({ code: 'config/other-product' });
  });

  test('whose metadata was replaced by somebody else is not signed again', async () => {
    const project = await makeProject(join(scratch, 'planted'));
    await makeRelease(project, { release: 1, programs: 1 });
    const attacker = await makeProject(join(scratch, 'attacker'));
    await makeRelease(attacker, { release: 1, programs: 1 });
    await rm(join(project.output, 'tuf'), { recursive: true });
    await cp(join(attacker.output, 'tuf'), join(project.output, 'tuf'), { recursive: true });
    await expect(makeRelease(project, { release: 2, programs: 1 })).rejects.toMatchObject({
      code: expect.stringMatching(/^trust\//) as unknown,
    });
  });

  test('that lost its metadata starts anew with a warning', async () => {
    const project = await makeProject(join(scratch, 'lost'));
    await makeRelease(project, { release: 1, programs: 1 });
    await rm(project.output, { recursive: true });
    const events: Event[] = [];
    await makeRelease(project, { release: 2, programs: 1, events });
    const codes = events.flatMap((event) => (event.type === 'diagnostic' ? [event.diagnostic.code] : []));
    expect(codes).toContain('trust/starting-anew');
    await verify(project);
  });

  test('stays as it is when the checkpoint refuses', async () => {
    const project = await makeProject(join(scratch, 'strict'));
    await makeRelease(project, { release: 1, programs: 1 });
    const config = await loadConfig(await prepareRelease(project, { release: 2, programs: 1 }));
    const refuse = (call: number) => {
      let calls = 0;
      return () => {
        if (++calls === call) throw new Error(`refused at checkpoint ${call}`);
      };
    };
    for (const call of [1, 2]) {
      await expect(
        assembleRelease({
          config,
          version: '2.0',
          events: noEvents,
          now: new Date(),
          checkpoint: refuse(call),
        }),
      ).rejects.toThrow(`refused at checkpoint ${call}`);
      const report = await verify(project);
      expect(report.releases.map(({ version }) => version)).toEqual(['1.0']);
      expect(report.warnings.map(({ code }) => code)).toEqual(['trust/first-use']);
    }
    await assembleRelease({ config, version: '2.0', events: noEvents, now: new Date() });
    expect((await verify(project)).releases).toHaveLength(2);
  });

  test('has one writer at a time', async () => {
    const project = await makeProject(join(scratch, 'locked'));
    const lock = await acquireLock(join(project.output, '.treewright.lock'), { wait: 0 });
    const events: Event[] = [];
    const waiting = makeRelease(project, { release: 1, programs: 1, events });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await lock.release();
    await waiting;
    expect(
      events.some((event) => event.type === 'stage' && event.title.includes(`process ${process.pid}`)),
    ).toBe(true);
  });

  test('gets the same commit, deltas and boot files from the same input', async () => {
    const project = await makeProject(join(scratch, 'again'));
    const twin = { ...project, output: join(scratch, 'again/twin') };
    const now = new Date(Math.floor(Date.now() / 1000) * 1000);
    const outputs: string[][] = [];
    for (const { output } of [project, twin]) {
      for (const release of [1, 2]) {
        const config = await loadConfig(await prepareRelease(project, { release, programs: 4 }));
        await assembleRelease({ config, version: `${release}.0`, output, events: noEvents, now });
      }
      const files = (await readdir(output, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
      outputs.push(
        await Promise.all(
          files
            .sort()
            .map(async (path) => `${path.slice(output.length)} ${(await readFile(path)).toString('hex')}`),
        ),
      );
    }
    expect(outputs[0]).toEqual(outputs[1]);
  });
});

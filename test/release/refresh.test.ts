/** `treewright refresh`: which files it signs, with which keys, and what it leaves alone. */
import { cp, mkdtemp, readFile, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/types.ts';
import type { Event } from '../../src/core/events.ts';
import { noEvents } from '../../src/core/events.ts';
import { refreshRelease } from '../../src/release/refresh.ts';
import { verifyRelease } from '../../src/release/verify.ts';
import type { TestProject } from '../support/release.ts';
import { makeProject, makeRelease, treewright } from '../support/release.ts';

const DAY = 24 * 3600 * 1000;

let scratch: string;
let project: TestProject;
let config: Config;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-refresh-'));
  project = await makeProject(scratch);
  await makeRelease(project, { release: 1, programs: 2 });
  config = await loadConfig(join(scratch, 'treewright-1.yaml'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** The keys of these roles alone, in a directory of their own. */
async function keysOf(name: string, roles: readonly string[]): Promise<Config> {
  const keys = join(scratch, name);
  await cp(project.keys, keys, { recursive: true });
  for (const file of await readdir(keys)) {
    const role = file.replace(/\.key$/, '');
    if (file.endsWith('.key') && !roles.includes(role)) await rm(join(keys, file));
  }
  return { ...config, signing: { ...config.signing, keys } };
}

test('snapshot and timestamp keys in a directory that has only tuf/: a later expiry, and nothing else changes', async () => {
  const output = join(scratch, 'only-metadata');
  await cp(join(project.output, 'tuf'), join(output, 'tuf'), { recursive: true });
  const now = new Date(Date.now() + 20 * DAY);
  const report = await refreshRelease({
    config: await keysOf('online', ['snapshot', 'timestamp']),
    output,
    events: noEvents,
    now,
  });
  expect(report.roles.map(({ role, version, renewed }) => [role, version, renewed])).toEqual([
    ['targets', 1, false],
    ['snapshot', 2, true],
    ['timestamp', 2, true],
  ]);
  expect((await readdir(output)).sort()).toEqual(['tuf']);

  // Put back to the rest, it is the same release, valid for longer.
  const whole = join(scratch, 'whole');
  await cp(project.output, whole, { recursive: true });
  const later = new Date(Date.now() + 40 * DAY);
  const verify = () => verifyRelease({ location: whole, events: noEvents, now: later });
  await expect(verify()).rejects.toMatchObject({ code: 'trust/expired' });
  await cp(join(output, 'tuf'), join(whole, 'tuf'), { recursive: true });
  expect((await verify()).releases.map(({ version }) => version)).toEqual(['1.0']);
});

test('the timestamp key alone: told when the snapshot ends first, refused once it has expired', async () => {
  const alone = await keysOf('timestamp-alone', ['timestamp']);
  const refresh = (days: number, events: Event[] = []) =>
    refreshRelease({
      config: alone,
      output: project.output,
      events: (event) => events.push(event),
      now: new Date(Date.now() + days * DAY),
    });
  const events: Event[] = [];
  const before = await readFile(join(project.output, 'tuf/snapshot.json'));
  expect((await refresh(70, events)).roles.map(({ renewed }) => renewed)).toEqual([false, false, true]);
  expect(events.flatMap((event) => (event.type === 'diagnostic' ? [event.diagnostic.code] : []))).toEqual([
    'trust/expires-first',
  ]);
  expect(await readFile(join(project.output, 'tuf/snapshot.json'))).toEqual(before);
  await expect(refresh(100)).rejects.toMatchObject({ code: 'trust/expired' });
});

test('without the timestamp key, and where nothing is published, it says so', async () => {
  await expect(
    refreshRelease({
      config: await keysOf('none', ['targets']),
      output: project.output,
      events: noEvents,
      now: new Date(),
    }),
  ).rejects.toMatchObject({ code: 'trust/missing-key', data: { role: 'timestamp' } });
  await expect(
    refreshRelease({ config, output: join(scratch, 'empty'), events: noEvents, now: new Date() }),
  ).rejects.toMatchObject({ code: 'input/no-release' });
});

test('metadata under a root that is not ours is not signed', async () => {
  const foreign = await makeProject(await mkdtemp(join(scratch, 'foreign-')));
  await makeRelease(foreign, { release: 1, programs: 2 });
  await expect(
    refreshRelease({ config, output: foreign.output, events: noEvents, now: new Date() }),
  ).rejects.toMatchObject({ code: 'trust/threshold' });
});

test('the command tells what it has renewed', async () => {
  const file = join(scratch, 'treewright-1.yaml');
  await rename(join(project.keys, 'targets.key'), join(scratch, 'targets.key'));
  const { exitCode, stdout } = await treewright(['refresh', '--config', file]);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/targets +version 1 +until \S+ +as it was: its key is not here/);
  expect(stdout).toMatch(/timestamp +version \d+ +until \S+$/m);
});

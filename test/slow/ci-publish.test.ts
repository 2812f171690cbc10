/**
 * examples/ci/publish.sh with real rsync: stopped before and in the midst of each of its steps, and while a client pulls.
 * Whoever asks sees the previous release or the new one, whole; run again, it completes.
 */
import { execa } from 'execa';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { noEvents } from '../../src/core/events.ts';
import { openStore, subStore } from '../../src/platform/store.ts';
import type { ReleaseReport } from '../../src/release/publish-content.ts';
import { verifyRelease } from '../../src/release/verify.ts';
import { verifyTufRepository } from '../../src/trust/tuf-verify.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import { CI_EXAMPLE } from '../support/ci-product.ts';
import { serveDirectory } from '../support/http-server.ts';
import type { TestProject } from '../support/release.ts';
import { makeProject, makeRelease } from '../support/release.ts';
import { writePrograms } from '../support/shell-blocks.ts';

/** How often publish.sh calls rsync when there are no apps: comparison, objects, branch, TUF twice, three for old deltas. */
const CALLS = 8;
const keepTwo = 'deltas: { from: { last: 1 }, from-nothing: false, keep: 2 }\n';

let scratch: string;
let project: TestProject;
let bin: string;
/** The host with the third release, and release directories with the third and the fourth one. */
let before: string;
let after: string;
let third: ReleaseReport;
let fourth: ReleaseReport;

const releaseOf = (release: number): Promise<ReleaseReport> =>
  makeRelease(project, { release, programs: 3, extra: keepTwo });
const copyTree = (from: string, to: string) => cp(from, to, { recursive: true, preserveTimestamps: true });

async function publish(directory: string, host: string, env: Record<string, string> = {}, tuf = false) {
  const script = join(CI_EXAMPLE, 'publish.sh');
  const { exitCode, stderr } = await execa('sh', [script, directory, host, ...(tuf ? ['tuf'] : [])], {
    env: { PATH: `${bin}:${process.env['PATH'] ?? ''}`, ...env },
    reject: false,
  });
  return { exitCode, stderr };
}

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tw-publish-'));
  // Fails at the call of that number: before it does anything, or after it has copied what is smaller than a kilobyte.
  const real = '"$(PATH=${PATH#*:} command -v rsync)"';
  bin = await writePrograms(join(scratch, 'bin'), {
    rsync: `[ -n "\${FAIL_AT-}" ] || exec ${real} "$@"
call=$(($(cat "$COUNTER") + 1)); echo $call >"$COUNTER"
[ $call = "$FAIL_AT" ] || exec ${real} "$@"
[ "$HOW" = before ] || ${real} --max-size=1k "$@"
exit 12`,
  });
  project = await makeProject(scratch);
  before = join(scratch, 'before');
  after = join(scratch, 'after');
  await releaseOf(1);
  await releaseOf(2);
  third = await releaseOf(3);
  expect((await publish(project.output, before)).exitCode).toBe(0);
  fourth = await releaseOf(4);
  await copyTree(project.output, after);
  await cp(`${project.output}.published`, `${after}.published`);
}, 120_000);
afterAll(() => rm(scratch, { recursive: true, force: true }));

const verify = async (location: string): Promise<string[]> =>
  (await verifyRelease({ location, events: noEvents, now: new Date() })).releases.map(
    ({ version }) => version,
  );

/** The newest release that a TUF client of this host would install; everything that leads to it is checked. */
async function tufVersions(host: string): Promise<number> {
  const now = Math.floor(Date.now() / 1000);
  const { targets } = await verifyTufRepository(subStore(openStore(host), 'tuf'), { now });
  return targets.signed.version;
}

/** Commits that clients get from this host: one without anything, one that has the third release. */
async function pull(host: string, name: string): Promise<string[]> {
  const server = await serveDirectory(host);
  const commits: string[] = [];
  try {
    for (const has of [undefined, third.commit]) {
      const repo = join(scratch, 'clients', `${name}-${String(has !== undefined)}`);
      const ostree = (...args: string[]) =>
        runTool('ostree', [...args, `--repo=${repo}`], { suite: 'trixie' });
      await mkdir(repo, { recursive: true });
      await ostree('init', '--mode=bare-user');
      await ostree('remote', 'add', '--no-gpg-verify', 'origin', `${server.url}/ostree`);
      if (has !== undefined) await ostree('pull', 'origin', has);
      await ostree('pull', 'origin', 'gateway/stable');
      await ostree('fsck');
      commits.push((await ostree('rev-parse', 'origin:gateway/stable')).stdout.trim());
    }
  } finally {
    await server.close();
  }
  return commits;
}

/** A copy of the host with the third release, and of the directory that is to be published there. */
async function scene(name: string): Promise<{ readonly host: string; readonly directory: string }> {
  const host = join(scratch, `host-${name}`);
  const directory = join(scratch, `release-${name}`);
  await copyTree(before, host);
  await copyTree(after, directory);
  await cp(`${after}.published`, `${directory}.published`);
  return { host, directory };
}

describeReference('stopped at', ['trixie:ostree'], () => {
  // From the sixth call on nothing is written but old delta indexes.
  const moments = Array.from({ length: CALLS - 1 }, (_, at) => at + 2).flatMap((at) =>
    (at > 6 ? ['before'] : ['before', 'amid']).map((how) => [at, how] as const),
  );
  test.each(moments)(
    'call %i of rsync (%s): the previous or the new release, then the new one',
    async (at, how) => {
      const name = `${String(at)}-${how}`;
      const { host, directory } = await scene(name);
      const counter = join(scratch, `counter-${name}`);
      await writeFile(counter, '0');
      const { exitCode } = await publish(directory, host, {
        FAIL_AT: String(at),
        HOW: how,
        COUNTER: counter,
      });
      expect(exitCode).toBe(12);

      // A client of OSTree changes over with the branch, in the third call; all its files are small.
      const moved = at > 3 || (at === 3 && how === 'amid');
      const commit = moved ? fourth.commit : third.commit;
      expect(await readFile(join(host, 'ostree/refs/heads/gateway/stable'), 'utf8')).toBe(`${commit}\n`);
      expect(await readFile(join(host, 'ostree/summary'))).toEqual(
        await readFile(join(moved ? after : before, 'ostree/summary')),
      );
      expect(await pull(host, name)).toEqual([commit, commit]);
      // A client of TUF changes over with timestamp.json, in the fifth.
      const switched = at > 5 || (at === 5 && how === 'amid');
      expect(await tufVersions(host)).toBe(switched ? 4 : 3);

      expect((await publish(directory, host)).exitCode).toBe(0);
      expect(await verify(host)).toEqual(['1.0', '2.0', '3.0', '4.0']);
    },
  );
});

test('afterwards the host has what the directory has, and no delta that nothing names', async () => {
  const { host, directory } = await scene('whole');
  const deltas = async (of: string) => (await readdir(join(of, 'ostree/deltas'), { recursive: true })).sort();
  const old = await deltas(host);
  expect((await publish(directory, host)).exitCode).toBe(0);
  expect(await deltas(host)).toEqual(await deltas(directory));
  const left = await deltas(host);
  expect(old.filter((path) => path.endsWith('superblock') && !left.includes(path))).toHaveLength(1);
  expect((await stat(join(host, 'ostree/summary'))).mode & 0o777).toBe(0o644);
  const listed = async (of: string) =>
    (await readdir(of, { recursive: true }))
      .filter((path) => !/^ostree\/tmp|^\.treewright/.test(path))
      .sort();
  expect(await listed(host)).toEqual(await listed(directory));
});

test('a run that was stopped in between is run again from what the host has', async () => {
  const { host, directory } = await scene('again');
  const counter = join(scratch, 'counter-again');
  await writeFile(counter, '0');
  // The branch has moved, and the metadata that vouches for it has not come.
  await publish(directory, host, { FAIL_AT: '4', HOW: 'before', COUNTER: counter });
  expect(await tufVersions(host)).toBe(3);

  const output = join(scratch, 'release-restored');
  await execa('sh', [join(CI_EXAMPLE, 'restore.sh'), host, output]);
  const again = await makeRelease({ ...project, output }, { release: 4, programs: 3, extra: keepTwo });
  expect(again.commit).toBe(fourth.commit);
  expect((await publish(output, host)).exitCode).toBe(0);
  expect(await verify(host)).toEqual(['1.0', '2.0', '3.0', '4.0']);
});

test('what somebody else has published in between is not replaced', async () => {
  const { host, directory } = await scene('two');
  expect((await publish(directory, host)).exitCode).toBe(0);
  const other = join(scratch, 'release-other');
  await copyTree(before, other);
  await cp(join(before, 'tuf/timestamp.json'), `${other}.published`);
  const published = await readFile(join(host, 'tuf/timestamp.json'));
  const { exitCode, stderr } = await publish(other, host, {}, true);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('another release');
  expect(await readFile(join(host, 'tuf/timestamp.json'))).toEqual(published);
});

test('a host that does not answer is told as that', async () => {
  const { directory } = await scene('silent');
  const { exitCode, stderr } = await publish(directory, 'nowhere.invalid:gateway', { RSYNC_RSH: 'false' });
  expect(exitCode).toBeGreaterThan(1);
  expect(stderr).toMatch(/rsync/);
});

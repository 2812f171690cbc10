/**
 * examples/ci: every step of its pipelines is run, after the first release was made as the README says. The build is that
 * of a stand-in for Buildroot, the web server's machine a directory behind a program named ssh; the rest is real.
 */
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeReference, runTool } from '../reference/tools.ts';
import type { Machine } from '../support/ci-product.ts';
import { CI_EXAMPLE, makeMachine, writeBuildroot, writeProduct } from '../support/ci-product.ts';
import { serveDirectory } from '../support/http-server.ts';
import type { Surroundings } from '../support/pipeline.ts';
import { readGitlab, readWorkflow, runGithubJob, runGitlabJob } from '../support/pipeline.ts';
import { treewright } from '../support/release.ts';
import { runShell, shellBlocks } from '../support/shell-blocks.ts';

const PASSPHRASE = 'correct horse battery staple';
const DEPLOY_KEY = '-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n';

let scratch: string;
let buildroot: string;
let machine: Machine;
/** The product's repository after the first release, and what is published. */
let repository: string;
let published: string;
let secrets: Surroundings['secrets'];

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tw-ci-'));
  buildroot = join(scratch, 'buildroot');
  repository = join(scratch, 'product');
  machine = await makeMachine(scratch, buildroot);
  published = join(scratch, 'published');

  // The README, by hand.
  await writeProduct(repository);
  await writeBuildroot(buildroot, { release: 1, programs: 3 });
  await cp(buildroot, join(repository, 'buildroot'), { recursive: true });
  const [first, secret] = shellBlocks(await readFile(join(CI_EXAMPLE, 'README.md'), 'utf8'));
  const env = { TREEWRIGHT_KEY_PASSPHRASE: PASSPHRASE, PUBLISH_TO: published };
  await runShell(first ?? '', { cwd: repository, bin: machine.bin, env });
  await runShell(secret ?? '', { cwd: repository, bin: machine.bin });

  const read = (name: string) => readFile(join(repository, name), 'utf8');
  const common = {
    TREEWRIGHT_KEY_PASSPHRASE: PASSPHRASE,
    DEPLOY_KEY: Buffer.from(DEPLOY_KEY).toString('base64'),
    DEPLOY_KNOWN_HOSTS: 'updates.example ssh-ed25519 AAAA',
  };
  secrets = {
    release: { ...common, TREEWRIGHT_KEYS: await read('release.secret') },
    refresh: { ...common, TREEWRIGHT_KEYS: await read('refresh.secret') },
  };
  for (const name of ['buildroot', 'output', 'release', 'release.published', 'build.tar', 'cache'])
    await rm(join(repository, name), { recursive: true, force: true });
  const keys = (await readdir(join(repository, 'keys'))).filter((name) => name.endsWith('.key'));
  expect(keys.sort()).toEqual(['ostree.key', 'root.key', 'snapshot.key', 'targets.key', 'timestamp.key']);
  for (const name of [...keys.map((key) => `keys/${key}`), 'release.secret', 'refresh.secret'])
    await rm(join(repository, name));
}, 120_000);
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** A second build, and the first release on the web server's machine. */
async function prepare(name: string): Promise<Surroundings> {
  await rm(buildroot, { recursive: true });
  await writeBuildroot(buildroot, { release: 2, programs: 3 });
  const host = join(machine.host, 'gateway');
  await rm(host, { recursive: true, force: true });
  await cp(published, host, { recursive: true, preserveTimestamps: true });
  const directory = join(scratch, name);
  await mkdir(directory);
  return { repository, buildroot, directory, bin: machine.bin, secrets };
}

type Run = (job: 'build' | 'release' | 'refresh', around: Surroundings) => Promise<string>;

const runGithub: Run = async (name, around) => {
  const file = name === 'refresh' ? 'refresh.yml' : 'release.yml';
  const job = (await readWorkflow(join(CI_EXAMPLE, 'github', file))).jobs[name];
  if (job === undefined) throw new Error(`${file} has no job ${name}`);
  return runGithubJob(job, around);
};
const runGitlab: Run = async (name, around) =>
  runGitlabJob(name, await readGitlab(join(CI_EXAMPLE, 'gitlab-ci.yml')), around);

async function timestampOf(directory: string): Promise<{ version: number; expires: string }> {
  const text = await readFile(join(directory, 'tuf/timestamp.json'), 'utf8');
  return (JSON.parse(text) as { signed: { version: number; expires: string } }).signed;
}

describe.each([
  ['GitHub', runGithub],
  ['GitLab', runGitlab],
])('%s', { timeout: 180_000 }, (name, run) => {
  let around: Surroundings;
  let printed = '';
  const host = (): string => join(machine.host, 'gateway');

  test('a tag becomes the next release, with a delta from the one before', async () => {
    around = { ...(await prepare(name)), tag: 'v1.1.0' };
    printed += await run('build', around);
    printed += await run('release', around);
    const { exitCode, stdout } = await treewright([
      'verify', host(), '--root', join(repository, 'keys/root.json'), '--json',
    ]); // prettier-ignore
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      releases: [{ version: '1.0.0' }, { version: '1.1.0', deltas: 1, apps: 1 }],
      root: { trusted: true },
    });
    const sbom = await readFile(join(host(), 'releases/1.1.0/sbom.cdx.json'), 'utf8');
    expect(sbom).toContain('1.37.0');
  });

  test('the schedule renews timestamp and snapshot, and touches nothing else', async () => {
    const scheduled = { ...around, tag: undefined };
    const before = await timestampOf(host());
    const files = async () =>
      (await readdir(host(), { recursive: true })).filter((path) => !path.startsWith('tuf')).sort();
    const others = await files();
    printed += await run('refresh', scheduled);
    const after = await timestampOf(host());
    expect(after.version).toBe(before.version + 1);
    expect(await files()).toEqual(others);
    const { exitCode } = await treewright(['verify', host(), '--root', join(repository, 'keys/root.json')]);
    expect(exitCode).toBe(0);
    // What a release needs is not among this job's keys.
    await expect(
      run('release', { ...around, secrets: { release: secrets['refresh'] ?? {} } }),
    ).rejects.toThrow('trust/missing-key');
  });

  test('no secret is printed, is an argument, or stays behind', async () => {
    const seen = printed + (await machine.arguments());
    expect(seen).toContain('rsync');
    const { DEPLOY_KEY: key = '', TREEWRIGHT_KEYS: keys = '' } = secrets['release'] ?? {};
    for (const secret of [PASSPHRASE, key, keys, 'PRIVATE KEY']) expect(seen).not.toContain(secret);
    const left = await readdir(join(around.directory, 'work'), { recursive: true });
    expect(left.filter((path) => path.endsWith('.key') || path.startsWith('secrets'))).toEqual([]);
    expect(left).toContain('keys/root.json');
  });

  test('where nothing is published, nothing is begun anew', async () => {
    await rm(host(), { recursive: true });
    await mkdir(host());
    await expect(run('release', around)).rejects.toThrow('publish the first release by hand');
    expect(await readdir(host())).toEqual([]);
  });
});

describeReference('a device', ['trixie:ostree'], () => {
  test('updates by the delta of what CI has published', { timeout: 180_000 }, async () => {
    const around = { ...(await prepare('device')), tag: 'v1.1.0' };
    const server = await serveDirectory(join(machine.host, 'gateway'));
    try {
      const repo = join(around.directory, 'repo');
      const ostree = (...args: string[]) =>
        runTool('ostree', [...args, `--repo=${repo}`], { suite: 'trixie' });
      await ostree('init', '--mode=bare-user');
      await ostree('remote', 'add', '--no-gpg-verify', 'origin', `${server.url}/ostree`);
      await ostree('pull', 'origin', 'gateway/stable');
      await runGitlab('build', around);
      await runGitlab('release', around);
      server.requests.splice(0);
      await ostree('pull', 'origin', 'gateway/stable');
      const asked = server.requests.map(({ path }) => path);
      expect(asked.some((path) => /\/deltas\/.*\/0$/.test(path))).toBe(true);
      expect(asked.filter((path) => path.endsWith('.filez'))).toEqual([]);
      await ostree('fsck');
    } finally {
      await server.close();
    }
  });
});

test('the script for Yocto packs what a release can be made of', async () => {
  const directory = join(scratch, 'yocto');
  const deploy = join(directory, 'build/tmp-glibc/deploy/images/qemuarm64');
  await writeProduct(directory);
  await mkdir(join(scratch, 'kas'));
  await writeBuildroot(join(scratch, 'small'), { release: 1, programs: 1 });
  const { bin } = await makeMachine(join(scratch, 'kas'), buildroot);
  // What BitBake leaves, with names as in scarthgap.
  const script = `[ "$1" = build ] && mkdir -p '${deploy}' && cd '${deploy}' &&
cp '${join(scratch, 'small/images/Image')}' . &&
cp '${join(scratch, 'small/images/rootfs.tar')}' core-image-minimal-qemuarm64.rootfs.tar &&
echo '{"MACHINE":"qemuarm64","KERNEL_IMAGETYPE":"Image"}' >core-image-minimal-qemuarm64.rootfs.testdata.json`;
  await writeFile(join(bin, 'kas'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const steps = 'sh ci/build-yocto.sh\nmkdir output\ntar -xf build.tar -C output';
  await runShell(steps, { cwd: directory, bin });
  const { exitCode, stdout } = await treewright(['inspect', join(directory, 'output'), '--json']);
  expect(exitCode, stdout).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ kind: 'yocto', kernel: { release: '6.1.0-test' } });
});

/** The contract of the commands, on a small root filesystem: what scripts and layers may rely on. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const MAIN = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const CHECKSUM = /^[0-9a-f]{64}$/;

let directory = '';

async function makeArchive(name: string, files: Readonly<Record<string, string>>): Promise<void> {
  const tree = join(directory, `${name}.tree`);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(tree, path, '..'), { recursive: true });
    await writeFile(join(tree, path), content);
  }
  for (const link of ['bin', 'lib', 'sbin']) {
    await mkdir(join(tree, 'usr', link), { recursive: true });
    await symlink(`usr/${link}`, join(tree, link));
  }
  await promisify(execFile)('tar', ['--owner=0', '--group=0', '-cf', join(directory, name), '-C', tree, '.']);
}

const ROOT = {
  'etc/os-release': 'ID=test\nPRETTY_NAME="Test OS"\nVERSION_ID=1.0\n',
  'usr/lib/modules/6.1.0/vmlinuz': 'a kernel',
  'usr/bin/tool': 'one',
};

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'flow-'));
  await makeArchive('v1.tar', ROOT);
  await makeArchive('v2.tar', { ...ROOT, 'usr/bin/tool': 'two', 'usr/bin/bc': 'bc' });
  await makeArchive('broken.tar', { 'usr/bin/tool': 'one' });
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function treewright(...args: string[]) {
  const { exitCode, stdout, stderr } = await execa('node', [MAIN, ...args], {
    cwd: directory,
    reject: false,
  });
  return { exitCode, stdout, stderr };
}

/** The JSON document of a command that must succeed. */
async function json(...args: string[]): Promise<unknown> {
  const { exitCode, stdout, stderr } = await treewright(...args, '--json');
  expect(stderr).toBe('');
  expect(exitCode).toBe(0);
  return JSON.parse(stdout);
}

describe('inspect', () => {
  it('exits 0 with warnings, which are the answer and not printed twice', async () => {
    expect(await json('inspect', 'v1.tar')).toMatchObject({
      kind: 'archive',
      kernel: { release: '6.1.0' },
      osRelease: { ID: 'test' },
      problems: [{ severity: 'warning' }, { severity: 'warning' }],
      diagnostics: [{ severity: 'warning' }, { severity: 'warning' }],
    });
    const { exitCode, stdout, stderr } = await treewright('inspect', 'v1.tar');
    expect(exitCode).toBe(0);
    expect(stdout.match(/\[input\/no-prepare-root\]/g)).toHaveLength(1);
    expect(stderr).not.toContain('warning');
  });

  it('exits 4 with warnings under --strict, and still answers', async () => {
    const { exitCode, stdout } = await treewright('inspect', 'v1.tar', '--strict', '--json');
    expect(exitCode).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { message: expect.stringContaining('--strict: 2 warnings') as unknown },
      result: { kind: 'archive' },
    });
  });

  it('with --quiet still says what is wrong', async () => {
    const { exitCode, stdout, stderr } = await treewright('inspect', 'broken.tar', '--quiet');
    expect(exitCode).toBe(4);
    expect(stdout).toBe('archive');
    expect(stderr.match(/\[input\/no-kernel\]/g)).toHaveLength(1);
    expect((await treewright('inspect', 'v1.tar', '--quiet')).stderr).toContain('[input/no-prepare-root]');
  });

  it('exits 4 when a deployment would fail', async () => {
    const { exitCode, stdout } = await treewright('inspect', 'broken.tar', '--json');
    expect(exitCode).toBe(4);
    const { kind, problems } = JSON.parse(stdout) as {
      kind: string;
      problems: { code: string; severity: string }[];
    };
    expect(kind).toBe('archive');
    expect(problems).toContainEqual(
      expect.objectContaining({ severity: 'error', code: 'input/no-os-release' }),
    );
    expect((await treewright('inspect', 'broken.tar')).stdout).toContain(
      'A deployment of this tree would fail.',
    );
  });

  it('exits 4 when there is nothing to inspect', async () => {
    const { exitCode, stderr } = await treewright('inspect', 'nowhere');
    expect(exitCode).toBe(4);
    expect(stderr).toMatch(/^error: nowhere cannot be read/m);
  });
});

describe('commit', () => {
  const args = ['commit', '--repo', 'repo', '--branch', 'a/b', '--layout', 'none', '--timestamp', '1000'];

  it('answers with the commit, objects and bytes; the same again writes nothing new', async () => {
    const first = await json(...args, '--source', 'v1.tar', '--subject', 'first');
    expect(first).toMatchObject({
      commit: expect.stringMatching(CHECKSUM) as unknown,
      branch: 'a/b',
      unchanged: false,
      objects: { total: expect.any(Number) as unknown, written: expect.any(Number) as unknown },
      bytes: { content: expect.any(Number) as unknown, written: expect.any(Number) as unknown },
    });
    expect(await json(...args, '--source', 'v1.tar', '--skip-if-unchanged')).toMatchObject({
      commit: (first as { commit: string }).commit,
      unchanged: true,
      objects: { written: 0 },
    });
  });

  it('prints the commit alone with --quiet', async () => {
    const { stdout, stderr } = await treewright(...args, '--source', 'v2.tar', '--quiet');
    expect(stdout).toMatch(CHECKSUM);
    expect(stderr).toBe('');
  });

  it('exits 2 for a branch that is none', async () => {
    const { exitCode } = await treewright('commit', '--repo', 'r', '--branch', '../x', '--source', 'v1.tar');
    expect(exitCode).toBe(2);
  });
});

describe('init, release, rollback, verify', () => {
  it('lead from an archive to verified releases and back', async () => {
    await json('init', 'product', '--source', 'v1.tar', '--machine', 'board');
    const config = ['--config', 'product/treewright.yaml'];
    const v1 = await json('release', ...config, '--version', '1.0');
    expect(v1).toMatchObject({
      version: '1.0',
      product: 'product',
      machine: 'board',
      commit: expect.stringMatching(CHECKSUM) as unknown,
      output: join(directory, 'product/release'),
    });
    await rm(join(directory, 'v1.tar'));
    await promisify(execFile)('cp', [join(directory, 'v2.tar'), join(directory, 'v1.tar')]);
    const v2 = await treewright('release', ...config, '--version', '2.0');
    expect(v2.exitCode).toBe(0);
    expect(v2.stdout).toContain('product 2.0 for board: released');
    expect(v2.stdout).toContain('Next: treewright verify ./product/release');
    const back = await json('rollback', '1.0', ...config);
    expect(back).toMatchObject({ version: '1.0-rollback.1', rollbackOf: '1.0' });

    expect(
      await json('verify', 'product/release', '--root', 'product/release/tuf/1.root.json'),
    ).toMatchObject({
      root: { trusted: true },
      releases: [{ version: '1.0' }, { version: '2.0' }, { version: '1.0-rollback.1' }],
    });
    const object = (back as { commit: string }).commit;
    await writeFile(
      join(directory, 'product/release/ostree/objects', object.slice(0, 2), `${object.slice(2)}.commit`),
      'broken',
    );
    const broken = await treewright('verify', 'product/release', '--json');
    expect(broken.exitCode).toBe(5);
    expect(JSON.parse(broken.stdout)).toMatchObject({
      error: { code: expect.stringMatching(/^trust\//) as unknown },
    });
    expect(broken.stderr).toMatch(/^error: /);
  });
});

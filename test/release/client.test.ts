/** Real libostree as a device: pulls and upgrades over HTTP from a release directory. */
import { execa } from 'execa';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ReleaseReport } from '../../src/release/publish-content.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import type { Suite } from '../reference/tools.ts';
import type { StaticServer } from '../support/http-server.ts';
import { serveDirectory } from '../support/http-server.ts';
import type { TestProject } from '../support/release.ts';
import { makeProject, makeRelease } from '../support/release.ts';

let scratch: string;
let project: TestProject;
let server: StaticServer;
let first: ReleaseReport;
let second: ReleaseReport;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-client-'));
  project = await makeProject(scratch);
  first = await makeRelease(project, { release: 1 });
  second = await makeRelease(project, { release: 2 });
  server = await serveDirectory(project.output);
});
afterAll(async () => {
  await server.close();
  await rm(scratch, { recursive: true, force: true });
});

/** A client's repository that has v1 and then pulls what the branch has now; answers the second pull's requests. */
async function pullUpdate(suite: Suite, extra: readonly string[], name: string): Promise<string[]> {
  const repo = join(scratch, name);
  const ostree = (...args: string[]) => runTool('ostree', [...args, `--repo=${repo}`], { suite });
  await mkdir(repo);
  await ostree('init', '--mode=bare-user');
  await ostree('remote', 'add', ...extra, 'origin', `${server.url}/ostree`);
  await ostree('pull', 'origin', first.commit);
  const before = server.requests.length;
  await ostree('pull', 'origin', 'gateway/stable');
  await ostree('fsck');
  const { stdout } = await ostree('rev-parse', 'origin:gateway/stable');
  expect(stdout.trim()).toBe(second.commit);
  return server.requests.slice(before).map(({ path }) => path);
}

describeReference('ostree pull over HTTP', ['ostree', 'trixie:ostree'], () => {
  test('of 2025.2 takes the parts of the delta and not one loose content object', async () => {
    const requests = await pullUpdate('trixie', ['--no-gpg-verify'], 'pull-trixie');
    expect(requests.filter((path) => /\/deltas\/.*\/\d+$/.test(path)).length).toBeGreaterThan(0);
    expect(requests.filter((path) => path.endsWith('.filez'))).toEqual([]);
  });

  test('of 2022.7 gets the same commit', async () => {
    const requests = await pullUpdate('bookworm', ['--no-gpg-verify'], 'pull-bookworm');
    expect(requests.filter((path) => /\/deltas\/.*\/superblock$/.test(path)).length).toBeGreaterThan(0);
  });

  test.each(['bookworm', 'trixie'] as const)(
    'of %s by commit hash, as aktualizr asks, uses the delta',
    async (suite) => {
      const repo = join(scratch, `by-hash-${suite}`);
      const ostree = (...args: string[]) => runTool('ostree', [...args, `--repo=${repo}`], { suite });
      await mkdir(repo);
      await ostree('init', '--mode=bare-user');
      await ostree('remote', 'add', '--no-gpg-verify', 'origin', `${server.url}/ostree`);
      await ostree('pull', 'origin', 'gateway/stable@' + first.commit);
      const before = server.requests.length;
      await ostree('pull', 'origin', 'gateway/stable@' + second.commit);
      const requests = server.requests.slice(before).map(({ path }) => path);
      expect(requests.some((path) => /\/deltas\/.*\/superblock$/.test(path))).toBe(true);
    },
  );

  test.each(['bookworm', 'trixie'] as const)('%s applies every delta offline', async (suite) => {
    for (const delta of second.deltas) {
      const repo = join(scratch, `offline-${suite}-${delta.from ?? 'nothing'}`);
      const ostree = (...args: string[]) => runTool('ostree', [...args, `--repo=${repo}`], { suite });
      await mkdir(repo);
      await ostree('init', '--mode=bare-user');
      if (delta.from !== undefined) await ostree('pull-local', join(project.output, 'ostree'), delta.from);
      await ostree('static-delta', 'apply-offline', join(project.output, 'ostree', delta.path));
      await ostree('refs', '--create=applied', second.commit);
      await ostree('fsck');
    }
    expect(second.deltas.map(({ fromVersion }) => fromVersion)).toEqual(['1.0', undefined]);
  });
});

describeReference('ostree with ed25519', ['ed25519:ostree'], () => {
  const remote = async (name: string, key: string): Promise<string> => {
    const repo = join(scratch, name);
    await mkdir(repo);
    const ostree = (...args: string[]) =>
      runTool('ostree', [...args, `--repo=${repo}`], { suite: 'ed25519' });
    await ostree('init', '--mode=bare-user');
    await ostree(
      'remote',
      'add',
      '--no-gpg-verify',
      `--sign-verify=ed25519=inline:${key}`,
      'origin',
      `${server.url}/ostree`,
    );
    // The signed summary is checked with the same key.
    await writeFile(
      join(repo, 'config'),
      `${await readFile(join(repo, 'config'), 'utf8')}sign-verify-summary=true\n`,
    );
    return repo;
  };

  test('accepts commit and summary with the release key', async () => {
    const key = (await readFile(join(project.keys, 'trusted.ed25519'), 'utf8')).trim();
    const repo = await remote('signed', key);
    await runTool('ostree', ['pull', `--repo=${repo}`, 'origin', 'gateway/stable'], { suite: 'ed25519' });
    const { stdout } = await runTool('ostree', ['rev-parse', `--repo=${repo}`, 'origin:gateway/stable'], {
      suite: 'ed25519',
    });
    expect(stdout.trim()).toBe(second.commit);
  });

  test('refuses both with another key', async () => {
    const repo = await remote('wrong-key', Buffer.alloc(32, 7).toString('base64'));
    const result = await runTool('ostree', ['pull', `--repo=${repo}`, 'origin', 'gateway/stable'], {
      suite: 'ed25519',
      reject: false,
    });
    expect(result.exitCode).not.toBe(0);
    expect(result.stderr).toMatch(/signature|verif|key/i);
  });
});

describeReference('ostree admin upgrade', ['ostree', 'trixie:ostree'], () => {
  test.each(['bookworm', 'trixie'] as const)(
    'of %s goes from v1 to v2 in a scratch sysroot',
    async (suite) => {
      const sysroot = join(scratch, `sysroot-${suite}`);
      await mkdir(sysroot);
      const admin = (...args: string[]) =>
      runTool('ostree', ['admin', ...args], { suite, env: { OSTREE_SYSROOT: sysroot, OSTREE_SYSROOT_DEBUG: 'mutable-deployments' } }); // prettier-ignore
      const repo = join(sysroot, 'ostree/repo');
      const ostree = (...args: string[]) => runTool('ostree', [...args, `--repo=${repo}`], { suite });
      await admin('init-fs', '--modern', sysroot).catch(() => admin('init-fs', sysroot));
      await admin('os-init', 'gateway');
      await mkdir(join(sysroot, 'boot/loader.0'), { recursive: true });
      await execa('ln', ['-s', 'loader.0', join(sysroot, 'boot/loader')]);
      await writeFile(join(sysroot, 'boot/loader/uEnv.txt'), '');
      await ostree('remote', 'add', '--no-gpg-verify', 'origin', `${server.url}/ostree`);
      await ostree('pull', 'origin', first.commit);
      await ostree('refs', '--create=origin:gateway/stable', first.commit);
      await admin(
        'deploy',
        '--os=gateway',
        '--karg=console=ttyAMA0',
        '--karg=quiet',
        'origin:gateway/stable',
      );
      await admin('upgrade', '--os=gateway');
      const { stdout } = await admin('status');
      expect(stdout).toContain(`gateway ${second.commit}.0`);
      expect(stdout).toContain('Version: 2.0');
      expect(stdout).toContain(`gateway ${first.commit}.0`);
      const deployed = join(sysroot, 'ostree/deploy/gateway/deploy', `${second.commit}.0`);
      expect(await readFile(join(deployed, 'etc/version'), 'utf8')).toBe('2\n');
      await readFile(join(deployed, 'usr/bin/bc'));
      // What the release says a device will have in /boot is what the device has.
      const planned = await readFile(join(project.output, 'releases/2.0/boot/update/uEnv.txt'), 'utf8');
      expect(await readFile(join(sysroot, 'boot/loader/uEnv.txt'), 'utf8')).toBe(planned);
    },
  );
});

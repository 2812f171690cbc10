/** The reference tools themselves: the versions that the facts in docs/ were observed with. */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeReference, referenceTool, runTool } from './tools.ts';

describeReference('reference tools of Debian 12', ['ostree'], () => {
  test('ostree is 2022.7 and makes a repository', async () => {
    const { stdout } = await runTool('ostree', ['--version']);
    expect(stdout).toContain("Version: '2022.7'");
    const directory = await mkdtemp(join(tmpdir(), 'tw-reference-'));
    try {
      await runTool('ostree', ['init', '--repo=r', '--mode=archive'], { cwd: directory });
      await runTool('ostree', ['fsck', '--repo=r'], { cwd: directory });
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('mkimage writes what dumpimage reads', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tw-reference-'));
    try {
      await writeFile(join(directory, 'boot.cmd'), 'echo hello\n');
      await runTool('mkimage', ['-A', 'arm64', '-T', 'script', '-n', 'title', '-d', 'boot.cmd', 'boot.scr'], {
        cwd: directory,
      });
      const { stdout } = await runTool('dumpimage', ['-l', 'boot.scr'], { cwd: directory });
      expect(stdout).toContain('title');
      expect(stdout).toContain('AArch64 Linux Script');
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('the registry, its client and dtc start', async () => {
    expect((await runTool('docker-registry', ['--version'])).stdout).toContain('2.8');
    expect((await runTool('skopeo', ['--version'])).stdout).toContain('1.9');
    expect((await runTool('dtc', ['--version'])).stdout).toContain('1.6');
    expect(existsSync(referenceTool('bspatch'))).toBe(true);
  });

  test('a sysroot is made as root and can be removed again', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tw-reference-'));
    const options = { cwd: directory, asRoot: true };
    try {
      await mkdir(join(directory, 'tree/usr/lib/modules/6.1'), { recursive: true });
      await mkdir(join(directory, 'tree/usr/etc'));
      await mkdir(join(directory, 'sysroot'));
      await writeFile(join(directory, 'tree/usr/lib/os-release'), 'ID=reference\n');
      await writeFile(join(directory, 'tree/usr/lib/modules/6.1/vmlinuz'), 'kernel');
      await runTool('ostree', ['admin', 'init-fs', 'sysroot'], options);
      await runTool('ostree', ['admin', 'os-init', '--sysroot=sysroot', 'device'], options);
      const commit = ['commit', '--repo=sysroot/ostree/repo', '--branch=main', 'tree'];
      await runTool('ostree', [...commit, '--owner-uid=0', '--owner-gid=0'], options);
      await runTool('ostree', ['admin', 'deploy', '--sysroot=sysroot', '--os=device', 'main'], options);
      const { stdout } = await runTool('ostree', ['admin', 'status', '--sysroot=sysroot'], options);
      expect(stdout).toContain('device');
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('a failing program is an error that carries its message, or an answer when asked', async () => {
    await expect(runTool('ostree', ['fsck', '--repo=/nonexistent'])).rejects.toThrow(/nonexistent/);
    const answer = await runTool('ostree', ['fsck', '--repo=/nonexistent'], { reject: false });
    expect(answer.exitCode).toBe(1);
  });

  test('libraries of the caller stay out of the program', async () => {
    const { stdout } = await runTool('ostree', ['--version'], { env: { LD_LIBRARY_PATH: '/nonexistent' } });
    expect(stdout).toContain('libostree');
  });
});

describeReference('reference tools of Debian 13', ['trixie:ostree'], () => {
  test('ostree is 2025.2', async () => {
    const { stdout } = await runTool('ostree', ['--version'], { suite: 'trixie' });
    expect(stdout).toContain("Version: '2025.2'");
  });
});

describeReference('libostree built with ed25519', ['ed25519:ostree'], () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tw-reference-'));
  });
  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  test('a signature made with a key is accepted with that key and refused with another', async () => {
    const options = { suite: 'ed25519', cwd: directory } as const;
    expect((await runTool('ostree', ['--version'], options)).stdout).toContain('sign-ed25519');
    await mkdir(join(directory, 'tree'));
    await writeFile(join(directory, 'tree/file'), 'content');
    await runTool('ostree', ['init', '--repo=r', '--mode=archive'], options);
    const commit = await runTool('ostree', ['commit', '--repo=r', '-b', 'main', 'tree'], options);
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const seed = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url');
    const key = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
    const secret = Buffer.concat([seed, key]).toString('base64');
    await writeFile(join(directory, 'secret'), `${secret}\n`);
    const sign = ['sign', '--repo=r', '--sign-type=ed25519'];
    await runTool('ostree', [...sign, '--keys-file=secret', commit.stdout], options);
    await runTool('ostree', [...sign, '--verify', commit.stdout, key.toString('base64')], options);
    const other = Buffer.alloc(32, 7).toString('base64');
    const refused = await runTool('ostree', [...sign, '--verify', commit.stdout, other], {
      ...options,
      reject: false,
    });
    expect(refused.exitCode).toBe(1);
  });
});

import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { chmod, cp, lstat, mkdir, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { applyLayout } from '../../src/tree/layout.ts';
import { escapePath } from '../../src/tree/tmpfiles.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import { textAt, treeOf, writeTree } from './trees.ts';
import type { Spec } from './trees.ts';

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'tw-seeding-'));
});
afterAll(async () => {
  await rm(work, { recursive: true });
});

const root = process.getuid?.() === 0;
const owner = root ? 33 : 0;

const BUILD: Readonly<Record<string, string | Spec>> = {
  'usr/x': '',
  'etc/init.d/rcS': '',
  'home/user/.profile': 'profile',
  'home/user/odd \t\\ "n%me\'': 'odd',
  'home/user/größe': 'utf-8',
  root: { mode: 0o700 },
  'root/.bashrc': 'rc',
  'var/lib/app': { mode: 0o750, uid: owner },
  'var/lib/app/state.db': { content: 'factory', mode: 0o640, uid: owner },
  'var/lib/app/sub': { mode: 0o1777, uid: owner },
  'var/log': { target: '../tmp' },
  'var/run': { target: '../run' },
  'var/empty': { mode: 0o555 },
};

/** A root as a device has it: the deployed tree, with /var of its own. */
async function device(name: string, init: 'busybox' | 'systemd', build = BUILD): Promise<string> {
  const tree = treeOf(build);
  applyLayout({ tree, init }, 'ostree', () => undefined);
  const path = join(work, name);
  await rm(path, { recursive: true, force: true });
  await writeTree(tree, path);
  return path;
}

/** A later release deployed on the same device: /usr changes, /var stays. */
async function upgrade(path: string, init: 'busybox' | 'systemd', build: typeof BUILD): Promise<void> {
  const next = await device('next', init, build);
  await rm(join(path, 'usr'), { recursive: true });
  await cp(join(next, 'usr'), join(path, 'usr'), {
    recursive: true,
    verbatimSymlinks: true,
    preserveTimestamps: true,
  });
  await rm(next, { recursive: true });
}

async function expectSeeded(path: string): Promise<void> {
  const read = (file: string): Promise<string> => readFile(join(path, 'var', file), 'utf8');
  const mode = async (file: string): Promise<number> => (await lstat(join(path, 'var', file))).mode & 0o7777;
  expect(await read('home/user/.profile')).toBe('profile');
  expect(await read('home/user/odd \t\\ "n%me\'')).toBe('odd');
  expect(await read('home/user/größe')).toBe('utf-8');
  expect(await read('lib/app/state.db')).toBe('factory');
  expect(await mode('lib/app')).toBe(0o750);
  expect(await mode('lib/app/state.db')).toBe(0o640);
  expect(await mode('lib/app/sub')).toBe(0o1777);
  expect(await mode('empty')).toBe(0o555);
  expect(await mode('roothome')).toBe(0o700);
  expect(await mode('home')).toBe(0o755);
  expect(await readlink(join(path, 'var/log'))).toBe('../tmp');
  expect(await readlink(join(path, 'var/run'))).toBe('../run');
  expect((await lstat(join(path, 'var/lib/app/state.db'))).uid).toBe(root ? owner : process.getuid?.());
  expect((await lstat(join(path, 'var/lib/app'))).uid).toBe(root ? owner : process.getuid?.());
}

/** What both ways of seeding promise; `boot` runs the one under test. */
function promises(init: 'busybox' | 'systemd', boot: (path: string) => Promise<void>): void {
  test('brings everything with its mode, owner and links', async () => {
    const path = await device('first', init);
    await boot(path);
    await expectSeeded(path);
  });

  test('never overwrites what is there, at the next boots and after an update', async () => {
    const path = await device('keep', init);
    await boot(path);
    await writeFile(join(path, 'var/lib/app/state.db'), 'user');
    await chmod(join(path, 'var/home/user'), 0o711);
    await boot(path);
    await upgrade(path, init, { ...BUILD, 'var/lib/app/state.db': 'newer factory', 'var/lib/other/x': 'x' });
    await boot(path);
    expect(await readFile(join(path, 'var/lib/app/state.db'), 'utf8')).toBe('user');
    expect((await lstat(join(path, 'var/home/user'))).mode & 0o777).toBe(0o711);
  });

  test('a path that a later release adds is brought to a device that has its directory', async () => {
    const path = await device('add', init);
    await boot(path);
    await upgrade(path, init, { ...BUILD, 'home/user/new': 'new', 'var/lib/second/deep/file': 'deep' });
    await boot(path);
    expect(await readFile(join(path, 'var/home/user/new'), 'utf8')).toBe('new');
    expect(await readFile(join(path, 'var/lib/second/deep/file'), 'utf8')).toBe('deep');
  });

  test('what a device had before its first boot stays', async () => {
    const path = await device('before', init);
    await mkdir(join(path, 'var/home/user'), { recursive: true });
    await writeFile(join(path, 'var/home/user/.profile'), 'mine');
    await boot(path);
    expect(await readFile(join(path, 'var/home/user/.profile'), 'utf8')).toBe('mine');
    expect(await readFile(join(path, 'var/home/user/größe'), 'utf8')).toBe('utf-8');
  });
}

const script = (path: string): string => join(path, 'usr/lib/treewright/seed-factory');

async function runScript(path: string, shell: readonly string[] = ['sh'], kill?: number): Promise<void> {
  const [program = 'sh', ...args] = shell;
  const options = {
    env: { TREEWRIGHT_ROOT: path },
    ...(kill === undefined ? {} : { timeout: kill, killSignal: 'SIGKILL' as const, reject: false }),
  };
  await execa(program, [...args, script(path)], options);
}

describe('the script, run by sh', () => {
  promises('busybox', (path) => runScript(path));

  test('sh finds no fault in its syntax', async () => {
    const path = await device('syntax', 'busybox');
    await execa('sh', ['-n', script(path)]);
    await execa('sh', ['-n', join(path, 'usr/etc/init.d/S00treewright-factory')]);
    if (existsSync('/bin/bash')) await execa('bash', ['--posix', '-n', script(path)]);
  });

  test('what the user removed does not come back, not even with a later release', async () => {
    const path = await device('removed', 'busybox');
    await runScript(path);
    await rm(join(path, 'var/home/user/.profile'));
    await rm(join(path, 'var/log'));
    await runScript(path);
    await upgrade(path, 'busybox', { ...BUILD, 'home/user/new': 'new' });
    await runScript(path);
    await upgrade(path, 'busybox', { ...BUILD, 'home/user/newer': 'newer' });
    await runScript(path);
    expect(existsSync(join(path, 'var/home/user/.profile'))).toBe(false);
    expect(existsSync(join(path, 'var/log'))).toBe(false);
    expect(existsSync(join(path, 'var/home/user/new'))).toBe(true);
    expect(existsSync(join(path, 'var/home/user/newer'))).toBe(true);
  });

  test('killed at any moment, the next boot completes it and no half copy is left', async () => {
    const many: Record<string, string | Spec> = { ...BUILD };
    for (let at = 0; at < 40; at++) many[`opt/app${at}/file`] = 'x'.repeat(1000 + at);
    for (let delay = 5; delay <= 105; delay += 20) {
      const path = await device('killed', 'busybox', many);
      await runScript(path, ['sh'], delay);
      await runScript(path);
      await expectSeeded(path);
      const { stdout } = await execa('find', [join(path, 'var'), '-name', '*.treewright-new']);
      expect(stdout).toBe('');
      for (let at = 0; at < 40; at++) {
        expect((await lstat(join(path, `var/opt/app${at}/file`))).size).toBe(1000 + at);
      }
    }
  });

  test('a /var that cannot be written is told, and the boot goes on', async () => {
    const path = await device('readonly', 'busybox');
    await rm(join(path, 'var'), { recursive: true });
    await writeFile(join(path, 'var'), 'not a directory');
    const result = await execa('sh', [script(path)], { env: { TREEWRIGHT_ROOT: path }, reject: false });
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('treewright: cannot write');
  });
});

describeReference('the script, run by busybox', ['busybox'], () => {
  promises('busybox', async (path) => {
    // Only busybox' own tools, as on a small device.
    const bin = join(work, 'busybox-bin');
    await mkdir(bin, { recursive: true });
    await runTool('busybox', ['--install', '-s', bin]);
    await execa(join(bin, 'sh'), [script(path)], {
      env: { TREEWRIGHT_ROOT: path, PATH: bin },
      extendEnv: false,
    });
  });
});

describeReference('tmpfiles.d, run by systemd-tmpfiles', ['systemd-tmpfiles'], () => {
  promises('systemd', async (path) => {
    const args = [`--root=${path}`, '--create', '--prefix=/var'];
    const { stderr } = await runTool('systemd-tmpfiles', args, { asRoot: true });
    expect(stderr).toBe('');
  });
});

describe('tmpfiles.d lines', () => {
  test('base directories are d lines, the rest are C lines that name neither source nor owner', () => {
    const tree = treeOf(BUILD);
    applyLayout({ tree, init: 'systemd' }, 'ostree', () => undefined);
    const lines = textAt(tree, 'usr/lib/tmpfiles.d/treewright-factory.conf').split('\n');
    expect(lines).toContain('d /var/roothome 0700 0 0 -');
    expect(lines).toContain('C /var/lib/app/state.db - - - -');
    expect(lines).toContain('L /var/log - - - - ../tmp');
    expect(lines).toContain(`C /var/home/user/odd\\x20\\x09\\x5c\\x20\\x22n%%me\\x27 - - - -`);
    const order = (path: string): number => lines.findIndex((line) => line.split(' ')[1] === path);
    expect(order('/var/lib/app')).toBeLessThan(order('/var/lib/app/state.db'));
  });

  test('every name that OSTree stores is one field of the line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        // Of white space systemd takes only the ASCII kind for the end of a field (its WHITESPACE); the rest is part of a name.
        expect(escapePath(name)).not.toMatch(/[ \t\n\v\f\r"']/u);
      }),
    );
  });
});

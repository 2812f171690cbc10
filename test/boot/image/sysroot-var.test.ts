/** /var that the image brings already: what the device would do at its first boot finds nothing to do. */
import { execa } from 'execa';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stateVar } from '../../../src/boot/image/sysroot-var.ts';
import { applyLayout } from '../../../src/tree/layout.ts';
import type { FileTree } from '../../../src/tree/types.ts';
import { lookup } from '../../../src/tree/walk.ts';
import { describeReference, runTool } from '../../reference/tools.ts';
import type { Spec } from '../../tree/trees.ts';
import { treeOf, writeTree } from '../../tree/trees.ts';
import type { Seen } from './sysroots.ts';
import { isRoot, look } from './sysroots.ts';

const owner = isRoot ? 33 : 0;

const BUILD: Readonly<Record<string, string | Spec>> = {
  'usr/x': '',
  'etc/init.d/rcS': '',
  'home/user': { mode: 0o700, uid: owner },
  'home/user/.profile': { content: 'profile', mode: 0o600, uid: owner },
  root: { mode: 0o700 },
  'root/.bashrc': 'rc',
  'opt/vendor/tool': { content: 'tool', mode: 0o755 },
  'var/lib/app': { mode: 0o750, uid: owner },
  'var/lib/app/state.db': { content: 'factory', mode: 0o640, uid: owner },
  'var/lib/app/sub': { mode: 0o1777, uid: owner },
  'var/log': { target: '../tmp' },
  'var/run': { target: '../run' },
  'var/lock': { target: '../tmp' },
  'var/tmp': { mode: 0o1777 },
  'var/tmp/left-behind': 'x',
  'var/empty': { mode: 0o555 },
};

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'sysroot-var-'));
});
afterAll(() => rm(work, { recursive: true }));

function treeFor(init: 'busybox' | 'systemd'): FileTree {
  const tree = treeOf(BUILD);
  applyLayout({ tree, init }, 'ostree', () => undefined);
  return tree;
}

/** A root as the deployed device has it, with the /var of the image; answers its path. */
async function device(init: 'busybox' | 'systemd', libostree: string): Promise<string> {
  const tree = treeFor(init);
  const path = join(work, `${init}-${libostree}`);
  tree.root.entries.set('var', stateVar(tree, { seed: true, libostree }));
  await writeTree(tree, path);
  return path;
}

/** Everything in /var but the record of what was brought there; times are what `cp` keeps and stay out. */
async function variable(path: string): Promise<Map<string, object>> {
  const seen = new Map<string, Seen>(await look(join(path, 'var')));
  return new Map(
    [...seen]
      .filter(([name]) => !name.startsWith('lib/treewright'))
      .map(([name, node]) => [name, { ...node, dated: undefined }]),
  );
}

describe('content of the image', () => {
  test('everything of the factory is there, with its owner and mode', () => {
    const tree = treeFor('systemd');
    const root = { root: stateVar(tree, { seed: true, libostree: '2025.2' }) };
    const stat = (path: string): object => {
      const { uid, mode } = lookup(root, path)?.stat ?? { uid: -1, mode: 0 };
      return { uid, mode: (mode & 0o7777).toString(8) };
    };
    expect(stat('home/user/.profile')).toEqual({ uid: owner, mode: '600' });
    expect(stat('lib/app/state.db')).toEqual({ uid: owner, mode: '640' });
    expect(stat('lib/app/sub')).toEqual({ uid: owner, mode: '1777' });
    expect(stat('roothome')).toEqual({ uid: 0, mode: '700' });
    expect(stat('empty')).toEqual({ uid: 0, mode: '555' });
    expect(stat('tmp')).toEqual({ uid: 0, mode: '1777' });
    expect(lookup(root, 'tmp/left-behind')).toBeUndefined();
    expect(lookup(root, 'log')).toMatchObject({ kind: 'symlink', target: '../tmp' });
  });

  test('a file of the image is another one than that of the factory', () => {
    const tree = treeFor('systemd');
    const seeded = { root: stateVar(tree, { seed: true }) };
    expect(lookup(seeded, 'lib/app/state.db')).not.toBe(
      lookup(tree, 'usr/share/factory/var/lib/app/state.db'),
    );
  });

  test('without seeding it is what libostree leaves, by version', () => {
    const names = (libostree: string): string[] =>
      [...stateVar(treeFor('busybox'), { seed: false, libostree }).entries.keys()].sort();
    const usual = ['.ostree-selabeled', 'lib', 'lock', 'log', 'run', 'tmp'];
    expect(names('2022.7')).toEqual(usual);
    expect(names('2025.2')).toEqual(usual);
    const own = [...stateVar(treeFor('systemd'), { seed: false, libostree: '2025.2' }).entries.keys()];
    expect(own).toEqual(['.ostree-selabeled']);
  });
});

describeReference('the first boot brings nothing more', ['systemd-tmpfiles', 'getfattr'], () => {
  test.each(['2022.7', '2025.2'])('busybox, libostree %s', async (libostree) => {
    const path = await device('busybox', libostree);
    const before = await variable(path);
    await execa('sh', [join(path, 'usr/lib/treewright/seed-factory')], { env: { TREEWRIGHT_ROOT: path } });
    expect(await variable(path)).toEqual(before);
    expect(before.has('lib/app/state.db')).toBe(true);
  });

  test.each(['2022.7', '2025.2'])('systemd, libostree %s', async (libostree) => {
    const path = await device('systemd', libostree);
    const before = await variable(path);
    const { stderr } = await runTool('systemd-tmpfiles', [`--root=${path}`, '--create', '--prefix=/var'], {
      asRoot: true,
    });
    expect(stderr).toBe('');
    expect(await variable(path)).toEqual(before);
    expect(before.has('home/user/.profile')).toBe(true);
  });
});

import { expect, test } from 'vitest';
import { checkDeployable } from '../../src/tree/check.ts';
import { applyLayout } from '../../src/tree/layout.ts';
import type { FileTree } from '../../src/tree/types.ts';
import { emptyDirectory, ensureDirectory } from '../../src/tree/walk.ts';
import { stored, treeOf } from './trees.ts';

const GOOD = {
  'usr/lib/os-release': 'ID=x',
  'usr/lib/ostree/ostree-prepare-root': 'p',
  'usr/lib/modules/6.1.0/modules.dep': '',
  'etc/passwd': 'x',
};
const KERNEL = { release: '6.1.0', imageName: 'Image', image: stored(1), deviceTrees: new Map() };

function deployable(specs: Parameters<typeof treeOf>[0] = {}): FileTree {
  const tree = treeOf({ ...GOOD, ...specs });
  applyLayout({ tree, init: 'systemd', kernel: KERNEL }, 'ostree', () => undefined);
  return tree;
}

const codes = (tree: FileTree): string[] =>
  checkDeployable(tree).map(({ severity, code }) => `${severity} ${code}`);

test('a tree with everything in place has no findings', () => {
  expect(codes(deployable())).toEqual([]);
});

test.each<[string, (tree: FileTree) => void]>([
  ['error input/no-os-release', (tree) => ensureDirectory(tree, 'usr/lib').entries.delete('os-release')],
  ['error input/etc-and-usr-etc', (tree) => ensureDirectory(tree, 'etc')],
  ['error input/no-etc', (tree) => ensureDirectory(tree, 'usr').entries.delete('etc')],
  [
    'error input/no-kernel',
    (tree) => ensureDirectory(tree, 'usr/lib/modules/6.1.0').entries.delete('vmlinuz'),
  ],
  [
    'error input/several-kernels',
    (tree) => ensureDirectory(tree, 'usr/lib/modules/5').entries.set('vmlinuz', stored(2)),
  ],
  ['error input/no-sysroot', (tree) => tree.root.entries.delete('sysroot')],
  ['error input/no-ostree-link', (tree) => tree.root.entries.delete('ostree')],
  ['error input/no-var', (tree) => tree.root.entries.delete('var')],
  ['warning input/var-not-empty', (tree) => ensureDirectory(tree, 'var/lib')],
  ['warning input/dev-not-empty', (tree) => ensureDirectory(tree, 'dev/pts')],
  ['warning input/usr-not-merged', (tree) => tree.root.entries.set('bin', emptyDirectory())],
  ['warning input/no-prepare-root', (tree) => ensureDirectory(tree, 'usr/lib').entries.delete('ostree')],
  [
    'warning input/machine-id-set',
    (tree) => ensureDirectory(tree, 'usr/etc').entries.set('machine-id', stored(3, 33)),
  ],
  ['error input/bad-path', (tree) => tree.root.entries.set('é'.repeat(128), stored(4))],
])('%s', (expected, spoil) => {
  const tree = deployable();
  spoil(tree);
  expect(codes(tree)).toEqual([expected]);
});

test('files of a builder in /usr are told with their names, those of users in /etc and in the factory copy are not', () => {
  const tree = deployable({
    'usr/bin/ping': { content: 'x', uid: 65534 },
    'etc/owned': { content: 'x', uid: 1000 },
    'home/user': { uid: 1000 },
  });
  expect(checkDeployable(tree)).toEqual([
    expect.objectContaining({
      code: 'input/builder-owned',
      message: expect.stringContaining('1 files in /usr') as string,
    }),
  ]);
});

test('an empty machine-id, and one that says uninitialized, are in order', () => {
  const tree = deployable({ 'etc/machine-id': 'uninitialized\n' });
  expect(codes(tree)).toEqual([]);
});

test('what the readers told already is not told again', () => {
  const tree = deployable();
  ensureDirectory(tree, 'usr/lib/modules/6.1.0').entries.delete('vmlinuz');
  const known = { severity: 'error', code: 'input/no-kernel-release', message: 'x' } as const;
  expect(checkDeployable(tree, [known])).toEqual([]);
});

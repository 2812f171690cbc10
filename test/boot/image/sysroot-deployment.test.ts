/** What a deployment shares with the objects of the repository. */
import { expect, test } from 'vitest';
import { deploymentTree } from '../../../src/boot/image/sysroot-deployment.ts';
import type { TreeNode } from '../../../src/tree/types.ts';
import { emptyDirectory, lookup, rootStat } from '../../../src/tree/walk.ts';
import { stored, treeOf } from '../../tree/trees.ts';

// Seen with libostree 2025.2 on ext4, where the 65,000th name fails with EMLINK.
test('an object has no more names than ext4 allows, its own included; the rest are copies', () => {
  const tree = treeOf({ 'usr/etc/x': 'x' });
  const many = emptyDirectory();
  const objects: TreeNode[] = [
    stored(1),
    { kind: 'symlink', stat: rootStat.symlink(), target: 'somewhere' },
    stored(2),
  ];
  for (const [i, node] of objects.entries()) {
    const names = i < 2 ? 65_002 : 64_999;
    for (let n = 0; n < names; n++) many.entries.set(`${i} ${n}`, node);
  }
  tree.root.entries.set('many', many);
  const { root } = deploymentTree(tree);
  const deployed = lookup({ root }, 'many');
  const nodes = deployed?.kind === 'directory' ? [...deployed.entries.values()] : [];
  for (const [i, node] of objects.entries()) {
    expect(nodes.filter((each) => each === node).length, String(i)).toBe(64_999);
  }
  expect(new Set(nodes).size).toBe(3 + 3 + 3);
});

test('/etc shares nothing, and empty files share nothing', () => {
  const tree = treeOf({ 'usr/etc/x': 'x', 'usr/lib/empty': '', 'usr/lib/full': 'full' });
  const { root, timeless } = deploymentTree(tree);
  const same = (path: string, from = path): boolean => lookup({ root }, path) === lookup(tree, from);
  expect(same('usr/lib/full')).toBe(true);
  expect(same('usr/etc/x')).toBe(true);
  expect(same('etc/x', 'usr/etc/x')).toBe(false);
  expect(same('usr/lib/empty')).toBe(false);
  expect(timeless.has(root)).toBe(false);
});

import { describe, expect, test } from 'vitest';
import type { Diagnostic } from '../../src/core/diagnostics.ts';
import { COMMIT_VARIABLES, addBootVariables } from '../../src/tree/boot-variables.ts';
import type { FileTree } from '../../src/tree/types.ts';
import { emptyTree, ensureDirectory, lookup, textFile } from '../../src/tree/walk.ts';

const MODULES = 'usr/lib/modules/6.6';
const TREES = `${MODULES}/dtb`;

function treeWith(...files: string[]): FileTree {
  const tree = emptyTree();
  ensureDirectory(tree, MODULES);
  for (const path of files) {
    const slash = path.lastIndexOf('/');
    ensureDirectory(tree, path.slice(0, slash)).entries.set(path.slice(slash + 1), textFile(''));
  }
  return tree;
}

function textAt(tree: FileTree, path: string): string | undefined {
  const node = lookup(tree, path);
  if (node?.kind !== 'file' || node.content.kind !== 'inline') return undefined;
  return new TextDecoder().decode(node.content.bytes);
}

/** Adds the variables; answers what was said. */
function add(tree: FileTree, kargs: string[], overlays: string[], existing?: string): string[] {
  const told: Diagnostic[] = [];
  addBootVariables(tree, '6.6', { kargs, overlays }, existing, (diagnostic) => told.push(diagnostic));
  return told.map(({ severity, code }) => `${severity} ${code}`);
}

describe('uEnv.txt of the commit', () => {
  test('is not made when there is nothing to say', () => {
    const tree = treeWith();
    expect(add(tree, [], [])).toEqual([]);
    expect(lookup(tree, COMMIT_VARIABLES)).toBeUndefined();
  });

  test('has the arguments in one variable, a backslash doubled as U-Boot wants it', () => {
    const tree = treeWith();
    expect(add(tree, ['a=1', 'b=c\\d'], [])).toEqual([]);
    expect(textAt(tree, COMMIT_VARIABLES)).toBe('bootargs_extra=a=1 b=c\\\\d\n');
  });

  test.each([
    ['fdt_high=0xffffffff', 'fdt_high=0xffffffff\nbootargs_extra=quiet\n'],
    ['# ours\nx=y\n', '# ours\nx=y\nbootargs_extra=quiet\n'],
  ])("keeps the build's own lines: %j", (existing, expected) => {
    const tree = treeWith();
    expect(add(tree, ['quiet'], [], existing)).toEqual([]);
    expect(textAt(tree, COMMIT_VARIABLES)).toBe(expected);
  });

  test('is an error when build and configuration set the same variable', () => {
    const tree = treeWith();
    expect(add(tree, ['quiet'], [], 'bootargs_extra=debug\n')).toEqual(['error input/boot-variables']);
    expect(lookup(tree, COMMIT_VARIABLES)).toBeUndefined();
  });
});

describe('overlays', () => {
  test('stand beside the device trees, in the order of the configuration, wherever the build put them', () => {
    const tree = treeWith(`${TREES}/board.dtb`, `${TREES}/a.dtbo`, `${TREES}/overlays/b.dtbo`);
    expect(add(tree, [], ['b.dtbo', 'a.dtbo'])).toEqual([]);
    expect(textAt(tree, `${TREES}/overlays.txt`)).toBe('fdt_overlays=b.dtbo a.dtbo\n');
  });

  test("without a device tree to choose, U-Boot's own is used", () => {
    const tree = treeWith(`${TREES}/a.dtbo`);
    expect(add(tree, [], ['a.dtbo'])).toEqual([]);
    expect(textAt(tree, `${TREES}/overlays.txt`)).toBe('fdt_overlays=a.dtbo\nostree_fdt=\n');
    const none = treeWith(`${TREES}/a.dtbo`);
    expect(add(none, [], [])).toEqual([]);
    expect(textAt(none, `${TREES}/overlays.txt`)).toBe('ostree_fdt=\n');
  });

  test('of an image that has them inside are a variable', () => {
    const tree = treeWith();
    expect(add(tree, [], ['a.dtbo', 'b.dtbo'])).toEqual([]);
    expect(textAt(tree, COMMIT_VARIABLES)).toBe('fdt_overlays=a.dtbo b.dtbo\n');
  });

  test('that are not there, or listed by the build as well, are errors', () => {
    const missing = treeWith(`${TREES}/board.dtb`);
    expect(add(missing, [], ['a.dtbo'])).toEqual(['error input/no-overlay']);
    const twice = treeWith(`${TREES}/board.dtb`, `${TREES}/a.dtbo`, `${TREES}/overlays.txt`);
    expect(add(twice, [], ['a.dtbo'])).toEqual(['error input/boot-variables']);
    expect(add(twice, [], [])).toEqual([]);
  });
});

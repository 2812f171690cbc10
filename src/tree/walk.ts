import { compareUtf8, utf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';
import type { Directory, FileTree, RegularFile, Stat, TreeNode } from './types.ts';
import { S_IFDIR, S_IFLNK, S_IFREG } from './types.ts';

/** Root-owned metadata without xattrs; `permissions` are the lower twelve bits. */
export const rootStat = {
  directory: (permissions = 0o755): Stat => ({ uid: 0, gid: 0, mode: S_IFDIR | permissions, xattrs: [] }),
  file: (permissions = 0o644): Stat => ({ uid: 0, gid: 0, mode: S_IFREG | permissions, xattrs: [] }),
  symlink: (): Stat => ({ uid: 0, gid: 0, mode: S_IFLNK | 0o777, xattrs: [] }),
};

export function emptyDirectory(stat: Stat = rootStat.directory()): Directory {
  return { kind: 'directory', stat, entries: new Map() };
}

export function emptyTree(): FileTree {
  return { root: emptyDirectory() };
}

/** Entries in the order of their names' bytes, as dirtree objects and reports list them. */
export function sortedEntries(directory: Directory): [string, TreeNode][] {
  return [...directory.entries].sort(([a], [b]) => compareUtf8(a, b));
}

/** The node at `path` (`usr/bin/sh`, no leading slash), without following symlinks; undefined when absent. */
export function lookup(tree: FileTree, path: string): TreeNode | undefined {
  let node: TreeNode | undefined = tree.root;
  for (const part of path.split('/')) {
    if (part === '') continue;
    if (node?.kind !== 'directory') return undefined;
    node = node.entries.get(part);
  }
  return node;
}

/** Linux gives up after 40 links (MAXSYMLINKS). */
const MAX_LINKS = 40;

/** A node found through symlinks, with the path it really has. */
export interface Resolved {
  readonly path: string;
  readonly node: TreeNode;
}

/** Resolves `path` inside the tree as the device would after chroot; undefined when absent or looping. */
export function resolve(tree: FileTree, path: string): Resolved | undefined {
  const pending = path.split('/').filter((part) => part !== '' && part !== '.');
  const done: string[] = [];
  const stack: Directory[] = [tree.root];
  let links = 0;
  let node: TreeNode = tree.root;
  while (pending.length > 0) {
    const part = pending.shift();
    if (part === undefined) break;
    if (part === '..') {
      if (stack.length > 1) stack.pop();
      done.pop();
      node = stack[stack.length - 1] ?? tree.root;
      continue;
    }
    if (node.kind !== 'directory') return undefined;
    const next = node.entries.get(part);
    if (next === undefined) return undefined;
    if (next.kind === 'symlink') {
      if (++links > MAX_LINKS) return undefined;
      const target = next.target.split('/').filter((piece) => piece !== '' && piece !== '.');
      if (next.target.startsWith('/')) {
        done.length = 0;
        stack.length = 1;
        node = tree.root;
      }
      pending.unshift(...target);
      continue;
    }
    done.push(part);
    node = next;
    if (next.kind === 'directory') stack.push(next);
  }
  return { path: done.join('/'), node };
}

/** The directory at `path`, made with its parents where missing (root:root 0755). */
export function ensureDirectory(tree: FileTree, path: string): Directory {
  let directory = tree.root;
  const walked: string[] = [];
  for (const part of path.split('/')) {
    if (part === '') continue;
    walked.push(part);
    const next = directory.entries.get(part);
    if (next === undefined) {
      const made = emptyDirectory();
      directory.entries.set(part, made);
      directory = made;
    } else if (next.kind === 'directory') {
      directory = next;
    } else {
      throw new TreewrightError(
        'input/not-a-directory',
        `/${walked.join('/')} must be a directory, but the root filesystem has a ${next.kind} there`,
        { data: { path: `/${walked.join('/')}` } },
      );
    }
  }
  return directory;
}

/** Calls `visit` for every node below the root, parents first, in the order of names. */
export function walk(tree: FileTree, visit: (path: string, node: TreeNode) => void): void {
  const descend = (directory: Directory, prefix: string): void => {
    for (const [name, node] of sortedEntries(directory)) {
      const path = prefix === '' ? name : `${prefix}/${name}`;
      visit(path, node);
      if (node.kind === 'directory') descend(node, path);
    }
  };
  descend(tree.root, '');
}

/** A generated text file of root's. */
export function textFile(text: string, permissions = 0o644): RegularFile {
  return { kind: 'file', stat: rootStat.file(permissions), content: { kind: 'inline', bytes: utf8(text) } };
}

/** Puts archive entries into a tree in their order, as extraction would, without ever leaving the tree. */
import { TreewrightError } from '../core/errors.ts';
import { splitArchivePath } from '../core/path.ts';
import type { Directory, FileTree, RegularFile, Stat, Symlink, TreeNode } from '../tree/types.ts';
import { emptyDirectory, emptyTree, resolve } from '../tree/walk.ts';

export interface TreeBuilder {
  readonly tree: FileTree;
  directory(path: string, stat: Stat): void;
  /** Places a file or symlink; a later entry replaces an earlier one. */
  place(path: string, node: RegularFile | Symlink): void;
  /** A second name for an earlier entry. False when the target is known as left out. */
  link(path: string, target: string): boolean;
  /** Remembers that `path` was left out, so that hard links to it are left out too. */
  leaveOut(path: string): void;
  /** How many entries went through a symlink that stands for a directory, with the first few. */
  readonly redirected: { count: number; readonly examples: string[] };
}

export function createTreeBuilder(): TreeBuilder {
  const tree = emptyTree();
  const leftOut = new Set<string>();
  const redirected = { count: 0, examples: [] as string[] };

  /** The directory an entry lies in. Missing ones are made root's with 0755, as tar does with its umask. */
  const parentOf = (parts: readonly string[], path: string): Directory => {
    let directory = tree.root;
    const walked: string[] = [];
    for (const part of parts.slice(0, -1)) {
      const next = directory.entries.get(part);
      if (next?.kind === 'directory') {
        directory = next;
      } else if (next === undefined) {
        const made = emptyDirectory();
        directory.entries.set(part, made);
        directory = made;
      } else {
        const below = next.kind === 'symlink' ? resolve(tree, [...walked, part].join('/')) : undefined;
        if (below?.node.kind !== 'directory') {
          throw new TreewrightError(
            'input/bad-archive',
            `the entry ${JSON.stringify(path)} lies below /${[...walked, part].join('/')}, which is a ${next.kind}` +
              (next.kind === 'symlink' ? ` to ${JSON.stringify(next.target)} and leads to no directory` : ''),
            { data: { path } },
          );
        }
        redirected.count++;
        if (redirected.examples.length < 3) redirected.examples.push(path);
        directory = below.node;
        walked.splice(0, walked.length, ...below.path.split('/').filter((piece) => piece !== ''));
        continue;
      }
      walked.push(part);
    }
    return directory;
  };

  const put = (path: string, node: RegularFile | Symlink): void => {
    const parts = splitArchivePath(path);
    const name = parts[parts.length - 1];
    if (name === undefined) {
      throw new TreewrightError('input/bad-archive', `the archive's root is a ${node.kind}, not a directory`);
    }
    const parent = parentOf(parts, path);
    const old = parent.entries.get(name);
    if (old?.kind === 'directory' && old.entries.size > 0) {
      throw new TreewrightError(
        'input/bad-archive',
        `the entry ${JSON.stringify(path)} is a ${node.kind}, but an earlier one made it a directory with content`,
        { data: { path } },
      );
    }
    leftOut.delete(parts.join('/'));
    parent.entries.set(name, node);
  };

  return {
    tree,
    redirected,
    directory: (path, stat) => {
      const parts = splitArchivePath(path);
      const name = parts[parts.length - 1];
      if (name === undefined) {
        tree.root.stat = stat;
        return;
      }
      const parent = parentOf(parts, path);
      const old = parent.entries.get(name);
      if (old?.kind === 'directory') old.stat = stat;
      else parent.entries.set(name, emptyDirectory(stat));
    },
    place: put,
    link: (path, target) => {
      const parts = splitArchivePath(target);
      if (leftOut.has(parts.join('/'))) {
        leftOut.add(splitArchivePath(path).join('/'));
        return false;
      }
      const node = nodeAt(tree, parts);
      if (node === undefined || node.kind === 'directory') {
        throw new TreewrightError(
          'input/bad-archive',
          `${JSON.stringify(path)} is a hard link to ${JSON.stringify(target)}, which ` +
            (node === undefined ? 'is not before it in the archive, or was left out' : 'is a directory'),
          { data: { path, target } },
        );
      }
      put(path, node);
      return true;
    },
    leaveOut: (path) => void leftOut.add(splitArchivePath(path).join('/')),
  };
}

/** The node by that name: symlinks are followed on the way, not at its end. */
function nodeAt(tree: FileTree, parts: readonly string[]): TreeNode | undefined {
  const name = parts[parts.length - 1];
  if (name === undefined) return tree.root;
  const parent = resolve(tree, parts.slice(0, -1).join('/'));
  return parent?.node.kind === 'directory' ? parent.node.entries.get(name) : undefined;
}

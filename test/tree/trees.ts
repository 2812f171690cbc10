/** Small trees from a list of paths, and onto disk for the programs that a device would run. */
import { chmod, lchown, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Diagnostic } from '../../src/core/diagnostics.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { parseChecksum } from '../../src/core/checksum.ts';
import type { FileTree, RegularFile, TreeNode } from '../../src/tree/types.ts';
import { emptyDirectory, emptyTree, ensureDirectory, lookup, rootStat, walk } from '../../src/tree/walk.ts';

export interface Spec {
  /** Content of a file. Absent: a directory, unless `target` is there. */
  readonly content?: string;
  readonly target?: string;
  readonly mode?: number;
  readonly uid?: number;
}

/** `{ 'etc/x': 'content', 'lib': { target: 'usr/lib' }, 'var/lib': {} }`; parents are made. */
export function treeOf(specs: Readonly<Record<string, string | Spec>>): FileTree {
  const tree = emptyTree();
  for (const [path, given] of Object.entries(specs)) {
    const spec: Spec = typeof given === 'string' ? { content: given } : given;
    const { content, target, mode, uid = 0 } = spec;
    const slash = path.lastIndexOf('/');
    const parent = ensureDirectory(tree, path.slice(0, Math.max(0, slash)));
    const name = path.slice(slash + 1);
    let node: TreeNode;
    if (target !== undefined) {
      node = { kind: 'symlink', stat: { ...rootStat.symlink(), uid }, target };
    } else if (content !== undefined) {
      node = {
        kind: 'file',
        stat: { ...rootStat.file(mode ?? 0o644), uid, gid: uid },
        content: { kind: 'inline', bytes: utf8(content) },
      };
    } else {
      const present = parent.entries.get(name);
      const stat = { ...rootStat.directory(mode ?? 0o755), uid, gid: uid };
      node = present?.kind === 'directory' ? Object.assign(present, { stat }) : emptyDirectory(stat);
    }
    parent.entries.set(name, node);
  }
  return tree;
}

/** A stored file: `size` bytes nobody has, told apart by `id`. */
export function stored(id: number, size = 100, mode = 0o644): RegularFile {
  return {
    kind: 'file',
    stat: rootStat.file(mode),
    content: { kind: 'stored', checksum: parseChecksum(id.toString(16).padStart(64, '0')), size },
  };
}

/** Everything in a tree as `path`, `path/`, or `path -> target`. */
export function paths(tree: FileTree, below = ''): string[] {
  const found: string[] = [];
  walk(tree, (path, node) => {
    if (!path.startsWith(below)) return;
    found.push(
      node.kind === 'symlink' ? `${path} -> ${node.target}` : node.kind === 'directory' ? `${path}/` : path,
    );
  });
  return found;
}

export function textAt(tree: FileTree, path: string): string {
  const node = lookup(tree, path);
  if (node?.kind !== 'file' || node.content.kind !== 'inline')
    throw new Error(`no generated file at ${path}`);
  return new TextDecoder().decode(node.content.bytes);
}

/** Collects diagnostics. */
export function collector(): {
  readonly list: Diagnostic[];
  readonly sink: (diagnostic: Diagnostic) => void;
} {
  const list: Diagnostic[] = [];
  return { list, sink: (diagnostic) => void list.push(diagnostic) };
}

/** Writes a tree of inline content below `root`, with owners when this process may give files away. */
export async function writeTree(tree: FileTree, root: string): Promise<void> {
  const pending: [string, TreeNode][] = [];
  walk(tree, (path, node) => pending.push([join(root, path), node]));
  await mkdir(root, { recursive: true });
  for (const [path, node] of pending) {
    if (node.kind === 'directory') await mkdir(path, { recursive: true });
    else if (node.kind === 'symlink') await symlink(node.target, path);
    else if (node.content.kind === 'inline') await writeFile(path, node.content.bytes);
    else throw new Error(`${path} has stored content`);
    if (process.getuid?.() === 0) await lchown(path, node.stat.uid, node.stat.gid);
    if (node.kind !== 'symlink') await chmod(path, node.stat.mode & 0o7777);
  }
}

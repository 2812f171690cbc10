/**
 * Moves /bin, /sbin and /lib* into /usr. libostree protects /usr by a read-only mount and nothing outside it: in a
 * split tree a write to /bin goes through the hard link into the object store and damages every deployment.
 */
import type { DiagnosticSink } from '../core/diagnostics.ts';
import { leaving } from './links.ts';
import type { Directory, FileTree, TreeNode } from './types.ts';
import { ensureDirectory, resolve, rootStat } from './walk.ts';

const TOP = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'];
const SHOWN = 4;

/** Merges when nothing stands in the way; otherwise the tree stays split, with a warning that says what does. */
export function mergeUsr(tree: FileTree, diagnostics: DiagnosticSink): void {
  const split = TOP.flatMap((name) => {
    const node = tree.root.entries.get(name);
    return node?.kind === 'directory' ? [{ name, directory: node }] : [];
  });
  if (split.length === 0) return;
  const usr = ensureDirectory(tree, 'usr');
  const conflicts = split.flatMap(({ name, directory }) => {
    const present = usr.entries.get(name);
    if (present === undefined) return [];
    return present.kind === 'directory' ? findConflicts(tree, directory, present, name) : [`/usr/${name}`];
  });
  if (conflicts.length > 0) {
    const more = conflicts.length > SHOWN ? ', ...' : '';
    diagnostics({
      severity: 'warning',
      code: 'input/usr-not-merged',
      message:
        `/${split.map(({ name }) => name).join(', /')} could not be moved into /usr, because ${conflicts.length} names ` +
        `are in both places (${conflicts.slice(0, SHOWN).join(', ')}${more}); they stay where they are and are not ` +
        'protected against writing. Build with a merged /usr (BR2_ROOTFS_MERGED_USR, or usrmerge in DISTRO_FEATURES)',
    });
    return;
  }
  for (const { name, directory } of split) {
    moveLinks(directory, name, name);
    const present = usr.entries.get(name);
    if (present?.kind === 'directory') merge(tree, directory, present, name);
    else usr.entries.set(name, directory);
    tree.root.entries.set(name, { kind: 'symlink', stat: rootStat.symlink(), target: `usr/${name}` });
  }
  diagnostics({
    severity: 'note',
    code: 'input/usr-merged',
    message: `/${split.map(({ name }) => name).join(', /')} were moved into /usr, with links in their place`,
  });
}

/** What to do with a name that is in both /bin and /usr/bin. */
function choice(
  tree: FileTree,
  own: TreeNode,
  other: TreeNode,
  path: string,
): 'own' | 'other' | 'both' | 'conflict' {
  if (own.kind === 'directory' && other.kind === 'directory') return 'both';
  // A link from one place to the other is what split systems have for compatibility.
  if (own.kind === 'symlink' && resolve(tree, path)?.path === `usr/${path}`) return 'other';
  if (other.kind === 'symlink' && resolve(tree, `usr/${path}`)?.path === path) return 'own';
  if (own.kind === 'symlink' && other.kind === 'symlink' && own.target === other.target) return 'other';
  if (own.kind !== 'file' || other.kind !== 'file') return 'conflict';
  if (own.content.kind !== 'stored' || other.content.kind !== 'stored') return 'conflict';
  return own.content.checksum === other.content.checksum ? 'other' : 'conflict';
}

function findConflicts(tree: FileTree, own: Directory, other: Directory, path: string): string[] {
  return [...own.entries].flatMap(([name, node]) => {
    const present = other.entries.get(name);
    const below = `${path}/${name}`;
    if (present === undefined) return [];
    const chosen = choice(tree, node, present, below);
    if (chosen === 'both' && node.kind === 'directory' && present.kind === 'directory') {
      return findConflicts(tree, node, present, below);
    }
    return chosen === 'conflict' ? [`/${below}`] : [];
  });
}

function merge(tree: FileTree, own: Directory, other: Directory, path: string): void {
  for (const [name, node] of own.entries) {
    const present = other.entries.get(name);
    const below = `${path}/${name}`;
    const chosen = present === undefined ? 'own' : choice(tree, node, present, below);
    if (chosen === 'own') other.entries.set(name, node);
    if (node.kind === 'directory' && present?.kind === 'directory') merge(tree, node, present, below);
  }
}

/** The directory gets one level deeper, so a relative target that leaves it needs one more step up. */
function moveLinks(directory: Directory, path: string, top: string): void {
  for (const [name, node] of directory.entries) {
    if (node.kind === 'directory') moveLinks(node, `${path}/${name}`, top);
    if (node.kind === 'symlink' && leaving(node.target, path, top) !== undefined) {
      directory.entries.set(name, { ...node, target: `../${node.target}` });
    }
  }
}

/**
 * The factory copy: what the build put into /var and the directories that move there. A commit cannot carry /var,
 * and other tools drop its content; here it goes to /usr/share/factory and is copied to /var once, on the device.
 */
import type { DiagnosticSink } from '../core/diagnostics.ts';
import type { LayoutRules, MovedDirectory } from './layout-rules.ts';
import { rebaseTarget } from './links.ts';
import type { Directory, FileTree, TreeNode } from './types.ts';
import { emptyDirectory, ensureDirectory, lookup, resolve, rootStat } from './walk.ts';

/** Where systemd-tmpfiles looks for the source of a `C` line that names none. */
export const FACTORY = 'usr/share/factory';

/** Of these, the directory is kept and its content is not: it belongs to one boot. */
const TRANSIENT = ['tmp', 'run', 'lock'];

/** Takes the writable directories out of the tree, leaves links, and returns what was in them, as /var will have it. */
export function collectFactory(tree: FileTree, rules: LayoutRules, diagnostics: DiagnosticSink): Directory {
  const factory = takeVar(tree, diagnostics);
  for (const rule of rules.moved) moveDirectory(tree, factory, rule, diagnostics);
  for (const { path, permissions } of rules.base) {
    const { parent, name } = place(factory, path);
    if (!parent.entries.has(name)) parent.entries.set(name, emptyDirectory(rootStat.directory(permissions)));
  }
  return factory;
}

function takeVar(tree: FileTree, diagnostics: DiagnosticSink): Directory {
  const old = tree.root.entries.get('var');
  if (old !== undefined && old.kind !== 'directory') {
    diagnostics({
      severity: 'error',
      code: 'input/not-a-directory',
      message: `/var must be a directory, because libostree mounts it; it is a ${old.kind}`,
    });
    return emptyDirectory();
  }
  const factory = old ?? emptyDirectory();
  tree.root.entries.set('var', emptyDirectory(factory.stat));
  for (const name of TRANSIENT) {
    const node = factory.entries.get(name);
    if (node?.kind === 'directory') node.entries.clear();
  }
  return factory;
}

function moveDirectory(
  tree: FileTree,
  factory: Directory,
  { from, to, link, permissions, always }: MovedDirectory,
  diagnostics: DiagnosticSink,
): void {
  const parts = from.split('/');
  const name = parts.pop() ?? from;
  const holder = ensureDirectory(tree, parts.join('/'));
  const node = holder.entries.get(name);
  if (node === undefined && !always) return;
  if (node?.kind === 'file') {
    diagnostics({
      severity: 'error',
      code: 'input/not-a-directory',
      message: `/${from} must be a directory or a symlink, but it is a file`,
    });
    return;
  }
  if (node?.kind === 'symlink') {
    // The build's own arrangement stands; only a directory in /var that it leads to must come to be.
    const target = absoluteTarget(node.target, parts);
    if (target.startsWith('var/')) addBase(factory, target, permissions);
    else if (resolve(tree, from) === undefined) {
      diagnostics({
        severity: 'warning',
        code: 'input/dangling-link',
        message: `/${from} is a symlink to ${node.target}, which is not in the tree`,
      });
    }
    return;
  }
  const content = node ?? emptyDirectory(rootStat.directory(permissions));
  rebaseLinks(content, from, to);
  const { parent, name: last } = place(factory, to);
  const present = parent.entries.get(last);
  if (present?.kind === 'directory') mergeInto(present, content);
  else parent.entries.set(last, content);
  holder.entries.set(name, { kind: 'symlink', stat: rootStat.symlink(), target: link });
}

function absoluteTarget(target: string, directory: readonly string[]): string {
  const parts = target.startsWith('/') ? [] : [...directory];
  for (const part of target.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function addBase(factory: Directory, path: string, permissions: number): void {
  const { parent, name } = place(factory, path);
  if (!parent.entries.has(name)) parent.entries.set(name, emptyDirectory(rootStat.directory(permissions)));
}

/** The directory that holds `path` (`var/a/b`) inside the factory's `var`, made where missing. */
function place(factory: Directory, path: string): { parent: Directory; name: string } {
  const parts = path.split('/').slice(1);
  const name = parts.pop() ?? '';
  const parent = ensureDirectory({ root: factory }, parts.join('/'));
  return { parent, name };
}

/** A relative link that leaves the moved directory would miss its target from the new place; an absolute one does not. */
function rebaseLinks(directory: Directory, from: string, to: string): void {
  const descend = (below: Directory, path: string): void => {
    for (const [name, node] of below.entries) {
      if (node.kind === 'directory') descend(node, `${path}/${name}`);
      if (node.kind !== 'symlink') continue;
      const target = rebaseTarget(node.target, path, from);
      if (target !== node.target) below.entries.set(name, { ...node, target });
    }
  };
  if (from !== to) descend(directory, from);
}

/** Puts `source` over `target`: directories join, anything else of `source` wins. */
function mergeInto(target: Directory, source: Directory): void {
  target.stat = source.stat;
  for (const [name, node] of source.entries) {
    const present: TreeNode | undefined = target.entries.get(name);
    if (present?.kind === 'directory' && node.kind === 'directory') mergeInto(present, node);
    else target.entries.set(name, node);
  }
}

/** Stores the factory copy; what the build has there itself (systemd, Buildroot) is kept. */
export function storeFactory(tree: FileTree, factory: Directory): void {
  const holder = ensureDirectory(tree, FACTORY);
  const present = lookup(tree, `${FACTORY}/var`);
  if (present?.kind === 'directory') mergeInto(present, factory);
  else holder.entries.set('var', factory);
}

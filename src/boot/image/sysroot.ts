/**
 * The physical root of a device before its first boot, as a value: what `ostree admin init-fs`, `os-init`,
 * `pull-local` and `deploy` make of an empty disk, and what lets `ostree admin upgrade` work from there.
 * Source: libostree ostree-sysroot.c, ostree-sysroot-deploy.c, ostree-repo-checkout.c.
 */
import { utf8 } from '../../core/bytes.ts';
import { TreewrightError } from '../../core/errors.ts';
import type { ByteStore } from '../../platform/store.ts';
import { FACTORY } from '../../tree/factory.ts';
import type { Directory, FileTree, RegularFile, TreeNode } from '../../tree/types.ts';
import { emptyDirectory, ensureDirectory, lookup, rootStat, textFile } from '../../tree/walk.ts';
import type { BootPlan } from '../plan.ts';
import { checkOutCommit } from './commit-tree.ts';
import type { Remote } from './sysroot-config.ts';
import { originFile, repositoryConfig } from './sysroot-config.ts';

export interface SysrootOptions {
  /** The branch the device follows. */
  readonly branch: string;
  /** Name of the remote even where its address is not known yet: origin and ref are named by it. */
  readonly remote: Remote;
  /** Mount the physical root read-only (`sysroot.readonly`). */
  readonly readonly: boolean;
  /** Copy the factory content of the layout into /var. */
  readonly seedVar: boolean;
  /** Version of libostree on the device; newer ones keep more directories. */
  readonly libostree?: string;
  /** Files of /boot besides those of the deployment, such as boot.scr: path below /boot, and bytes. */
  readonly bootFiles: ReadonlyMap<string, Uint8Array>;
}

export interface Sysroot {
  /** Hard links are one node at several paths. */
  readonly tree: FileTree;
  /** Directories with the immutable flag: deployments, so that nobody writes beside /usr, /etc and /var. */
  readonly immutable: ReadonlySet<Directory>;
  /** Seconds since 1970: 0 for what is an object of the repository, else the time of the plan. */
  readonly mtime: (node: TreeNode) => number;
}

/** Builds the physical root for the only deployment of `plan`. Content is not read. */
export async function buildSysroot(
  store: ByteStore,
  plan: BootPlan,
  options: SysrootOptions,
): Promise<Sysroot> {
  const [deployment, second] = plan.deployments;
  if (deployment === undefined || second !== undefined) {
    throw new TreewrightError(
      'internal/bad-plan',
      `an image holds one deployment, found ${plan.deployments.length} in the plan`,
    );
  }
  const { osname, commit } = plan;
  const { branch, remote } = options;
  const checkedOut = await checkOutCommit(store, commit);
  const tree: FileTree = { root: emptyDirectory() };
  const file = (path: string, content: RegularFile): void => set(tree, path, content);
  const ref = (path: string): void => file(`ostree/repo/refs/${path}`, textFile(`${commit}\n`));

  // Mount points of old layouts and /tmp, to which a deployment's own /tmp may lead (init-fs).
  for (const name of ['boot', 'dev', 'proc', 'run', 'sys']) ensureDirectory(tree, name);
  tree.root.entries.set('tmp', emptyDirectory(rootStat.directory(0o1777)));

  for (const path of [
    'extensions',
    'objects',
    'refs/heads',
    'refs/mirrors',
    'refs/remotes',
    'state',
    'tmp/cache',
  ]) {
    ensureDirectory(tree, `ostree/repo/${path}`);
  }
  file('ostree/repo/config', textFile(repositoryConfig(remote, options.readonly)));
  for (const [path, node] of checkedOut.objects) set(tree, `ostree/repo/${path}`, node);
  ref(`remotes/${remote.name}/${branch}`);
  // The reference that keeps `ostree admin cleanup` from pruning the deployment.
  ref(`heads/ostree/${plan.bootVersion}/${plan.subBootVersion}/0`);

  const stateroot = `ostree/deploy/${osname}`;
  const root = deploymentTree(checkedOut.tree);
  set(tree, deployment.directory, root);
  file(`${deployment.directory}.origin`, textFile(originFile(remote, branch)));
  if (hasBacking(options.libostree)) addBacking(tree, osname, deployment.directory);
  addVar(tree, `${stateroot}/var`, options.seedVar ? lookup(checkedOut.tree, `${FACTORY}/var`) : undefined);

  for (const entry of plan.bootFiles) {
    if (entry.kind === 'directory') {
      ensureDirectory(tree, entry.path);
      continue;
    }
    const node = checkedOut.content.get(entry.checksum);
    if (node !== undefined) set(tree, entry.path, node);
  }
  for (const { path, target } of plan.links) {
    set(tree, path, { kind: 'symlink', stat: rootStat.symlink(), target });
  }
  const loader = `boot/loader.${plan.bootVersion}`;
  ensureDirectory(tree, `${loader}/entries`);
  for (const { fileName, text } of plan.entries) file(`${loader}/entries/${fileName}`, textFile(text));
  file(`${loader}/uEnv.txt`, textFile(plan.uEnv));
  for (const [path, bytes] of options.bootFiles) {
    file(`boot/${path}`, { kind: 'file', stat: rootStat.file(), content: { kind: 'inline', bytes } });
  }

  const objects = new Set<TreeNode>(checkedOut.content.values());
  const time = plan.timestamp;
  return {
    tree,
    immutable: new Set([root]),
    mtime: (node) => (objects.has(node) ? 0 : time),
  };
}

function set(tree: FileTree, path: string, node: TreeNode): void {
  const cut = path.lastIndexOf('/');
  const parent = cut < 0 ? tree.root : ensureDirectory(tree, path.slice(0, cut));
  parent.entries.set(path.slice(cut + 1), node);
}

/** The checkout of a deployment: /etc is a copy of /usr/etc, which may be changed; everything else is the objects. */
function deploymentTree(commit: FileTree): Directory {
  const root: Directory = {
    kind: 'directory',
    stat: commit.root.stat,
    entries: new Map(commit.root.entries),
  };
  const etc = lookup(commit, 'usr/etc');
  if (etc?.kind === 'directory') root.entries.set('etc', copied(etc));
  // libostree copies empty files instead of linking them, since one inode would collect too many links.
  unlinkEmpty(root);
  return root;
}

/** The same content in inodes of its own. */
function copied(directory: Directory): Directory {
  const entries: Directory['entries'] = new Map();
  for (const [name, node] of directory.entries) {
    entries.set(name, node.kind === 'directory' ? copied(node) : { ...node });
  }
  return { kind: 'directory', stat: directory.stat, entries };
}

function unlinkEmpty(directory: Directory): void {
  for (const [name, node] of directory.entries) {
    if (node.kind === 'directory') unlinkEmpty(node);
    else if (node.kind === 'file' && node.content.kind === 'stored' && node.content.size === 0) {
      directory.entries.set(name, { ...node });
    }
  }
}

/** libostree keeps a place for what a deployment writes to a transient root from 2024.1 on. */
function hasBacking(version: string | undefined): boolean {
  const match = /^(\d{4})\.(\d+)/.exec(version ?? '');
  return match === null || Number(match[1]) * 1000 + Number(match[2]) >= 2024_001;
}

function addBacking(tree: FileTree, osname: string, deployment: string): void {
  const name = deployment.slice(deployment.lastIndexOf('/') + 1);
  const closed = (): Directory => emptyDirectory(rootStat.directory(0o700));
  const transient = closed();
  transient.entries.set('upper', emptyDirectory());
  transient.entries.set('work', closed());
  const own = closed();
  own.entries.set('root-transient', transient);
  const backing = closed();
  backing.entries.set(name, own);
  set(tree, `ostree/deploy/${osname}/backing`, backing);
}

/** /var as `os-init` makes it, over which the content of the build goes. */
function addVar(tree: FileTree, path: string, factory: TreeNode | undefined): void {
  const variable = ensureDirectory(tree, path);
  const { entries } = variable;
  entries.set('lib', emptyDirectory());
  entries.set('log', emptyDirectory());
  entries.set('tmp', emptyDirectory(rootStat.directory(0o1777)));
  entries.set('lock', { kind: 'symlink', stat: rootStat.symlink(), target: '../run/lock' });
  entries.set('run', { kind: 'symlink', stat: rootStat.symlink(), target: '../run' });
  // Says that there is nothing to relabel; without it the next deployment walks all of /var.
  entries.set('.ostree-selabeled', {
    kind: 'file',
    stat: rootStat.file(),
    content: { kind: 'inline', bytes: utf8('') },
  });
  if (factory?.kind === 'directory') merge(variable, copied(factory));
}

function merge(target: Directory, source: Directory): void {
  for (const [name, node] of source.entries) {
    const present = target.entries.get(name);
    if (present?.kind === 'directory' && node.kind === 'directory') {
      present.stat = node.stat;
      merge(present, node);
    } else if (present?.kind !== 'symlink') {
      // /var/run and /var/lock lead to /run whatever a build has there.
      target.entries.set(name, node);
    }
  }
}

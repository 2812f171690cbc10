/**
 * The physical root of a device before its first boot, as a value: what `ostree admin init-fs`, `os-init`,
 * `pull-local` and `deploy` make of an empty disk, and what lets `ostree admin upgrade` work from there.
 * Source: libostree ostree-sysroot.c, ostree-sysroot-deploy.c, ostree-repo-checkout.c.
 */
import { TreewrightError } from '../../core/errors.ts';
import type { ByteStore } from '../../platform/store.ts';
import type { Directory, FileTree, TreeNode } from '../../tree/types.ts';
import { emptyDirectory, emptyTree, ensureDirectory, rootStat, textFile } from '../../tree/walk.ts';
import { isLibostree } from '../libostree-version.ts';
import type { BootPlan } from '../plan.ts';
import { checkOutCommit } from './commit-tree.ts';
import { bootTree, set } from './sysroot-boot.ts';
import type { Remote } from './sysroot-config.ts';
import { keysFile, originFile, repositoryConfig } from './sysroot-config.ts';
import { deploymentTree } from './sysroot-deployment.ts';
import { stateVar } from './sysroot-var.ts';

export interface SysrootOptions {
  /** The branch the device follows. */
  readonly branch: string;
  /** Name of the remote even where its address is not known yet: origin and ref are named by it. */
  readonly remote: Remote;
  /** Mount the physical root read-only (`sysroot.readonly`). */
  readonly readonly: boolean;
  /** Copy the factory content of the layout into /var. */
  readonly seedVar: boolean;
  /** Version of libostree on the device; the newest one when absent. */
  readonly libostree?: string;
  /** Files of /boot besides those of the deployment, such as boot.scr: path below /boot, and bytes. */
  readonly bootFiles: ReadonlyMap<string, Uint8Array>;
  /** /boot is a file system of its own. */
  readonly bootPartition?: boolean;
}

export interface Sysroot {
  /** Hard links are one node at several paths. */
  readonly tree: FileTree;
  /** What the file system of /boot holds, when it has one of its own; `tree` has an empty directory there. */
  readonly boot?: FileTree;
  /** Directories with the immutable flag: deployments, so that nobody writes beside /usr, /etc and /var. */
  readonly immutable: ReadonlySet<Directory>;
  /** Seconds since 1970: 0 for objects of the repository and directories of the deployment, else the plan's time. */
  readonly mtime: (node: TreeNode) => number;
}

/**
 * Builds the physical root for the only deployment of `plan`, whose commit is in `store`. Content is not read.
 *
 * Throws `input/no-usr-etc`, `input/etc-and-usr-etc`, `input/whiteout` for a commit that libostree does not deploy as
 * files and directories, `config/boot-file-exists` for a file of `bootFiles` that the deployment has as well.
 */
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
  const { branch, remote, libostree } = options;
  const version = libostree === undefined ? {} : { libostree };
  const checkedOut = await checkOutCommit(store, commit);
  const tree = emptyTree();
  const text = (path: string, content: string): void => set(tree, path, textFile(content));

  // Mount points of the physical root: the kernel and a static ostree-prepare-root use them when there is no
  // initramfs; /tmp is where a layout leads its own /tmp.
  for (const name of ['dev', 'proc', 'run', 'sys']) ensureDirectory(tree, name);
  tree.root.entries.set('tmp', emptyDirectory(rootStat.directory(0o1777)));

  for (const path of REPOSITORY_DIRECTORIES) ensureDirectory(tree, `ostree/repo/${path}`);
  text('ostree/repo/config', repositoryConfig(remote, options.readonly));
  if (remote.publicKeys.length > 1) text(keysFile(remote), `${remote.publicKeys.join('\n')}\n`);
  for (const [path, node] of checkedOut.objects) set(tree, `ostree/repo/${path}`, node);
  text(`ostree/repo/refs/remotes/${remote.name}/${branch}`, `${commit}\n`);
  // The reference that keeps `ostree admin cleanup` from pruning the deployment.
  text(`ostree/repo/refs/heads/ostree/${plan.bootVersion}/${plan.subBootVersion}/0`, `${commit}\n`);

  const { root, timeless } = deploymentTree(checkedOut.tree, libostree);
  set(tree, deployment.directory, root);
  text(`${deployment.directory}.origin`, originFile(remote, branch));
  if (isLibostree(libostree, 2024, 1)) addBacking(tree, osname, deployment.directory, root);
  set(tree, `ostree/deploy/${osname}/var`, stateVar(checkedOut.tree, { seed: options.seedVar, ...version }));

  for (const { path, target } of plan.links) {
    if (path.startsWith('boot/')) continue;
    set(tree, path, { kind: 'symlink', stat: rootStat.symlink(), target });
  }
  const separate = options.bootPartition ?? false;
  const boot = bootTree(plan, root, { ...version, separate, extra: options.bootFiles });
  set(tree, 'boot', separate ? emptyDirectory() : boot.tree.root);

  const objects = new Set<TreeNode>([...checkedOut.content.values(), ...timeless, ...boot.timeless]);
  return {
    tree,
    ...(separate ? { boot: boot.tree } : {}),
    immutable: new Set([root]),
    mtime: (node) => (objects.has(node) ? 0 : plan.timestamp),
  };
}

/** What `ostree init` makes, and `tmp/cache` of the first pull. */
const REPOSITORY_DIRECTORIES = [
  'extensions',
  'objects',
  'refs/heads',
  'refs/mirrors',
  'refs/remotes',
  'state',
  'tmp/cache',
];

/** A place for what a deployment writes to a transient root. */
function addBacking(tree: FileTree, osname: string, deployment: string, root: Directory): void {
  const name = deployment.slice(deployment.lastIndexOf('/') + 1);
  const closed = (): Directory => emptyDirectory(rootStat.directory(0o700));
  const transient = closed();
  // Lies over the root of the deployment, so it has the same mode.
  transient.entries.set('upper', emptyDirectory(rootStat.directory(root.stat.mode & 0o7777 & ~0o022)));
  transient.entries.set('work', closed());
  const own = closed();
  own.entries.set('root-transient', transient);
  const backing = closed();
  backing.entries.set(name, own);
  set(tree, `ostree/deploy/${osname}/backing`, backing);
}

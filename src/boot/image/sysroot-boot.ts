/**
 * /boot of the physical root: the files of the deployment, the loader directory, and what was added to it.
 * Source: libostree ostree-sysroot-deploy.c (install_deployment_kernel, install_into_boot, copy_dir_recurse).
 */
import { TreewrightError } from '../../core/errors.ts';
import type { Directory, FileTree, RegularFile, Stat, TreeNode } from '../../tree/types.ts';
import { emptyTree, ensureDirectory, lookup, rootStat, textFile } from '../../tree/walk.ts';
import type { BootPlan } from '../plan.ts';
import { isLibostree } from '../libostree-version.ts';
import { contentSize } from './content.ts';

export interface BootTreeOptions {
  readonly libostree?: string;
  /** On a file system of its own nothing can be linked to the deployment. */
  readonly separate: boolean;
  readonly extra: ReadonlyMap<string, Uint8Array>;
}

export interface BootTree {
  /** Paths are relative to /boot. */
  readonly tree: FileTree;
  /** Files that keep the time 0 of the objects they are copies of. */
  readonly timeless: ReadonlySet<TreeNode>;
}

const BOOT = 'boot/';

/** Builds /boot for the only deployment of a plan; `root` is the directory of that deployment. */
export function bootTree(plan: BootPlan, root: Directory, options: BootTreeOptions): BootTree {
  const tree = emptyTree();
  const timeless = new Set<TreeNode>();
  const deployment: FileTree = { root };
  const directories = plan.deployments[0]?.layout.deviceTree?.kind === 'directory';
  const modules = `usr/lib/modules/${plan.deployments[0]?.layout.release ?? ''}`;
  const prefix = plan.deployments[0]?.bootDirectory ?? '';
  for (const entry of plan.bootFiles) {
    const path = entry.path.slice(BOOT.length);
    const below = entry.path.slice(prefix.length + 1);
    if (entry.kind === 'directory') {
      const source = below === '' ? undefined : lookup(deployment, `${modules}/${below}`);
      const made = ensureDirectory(tree, path);
      if (source?.kind === 'directory') made.stat = withXattrs(source.stat, options.libostree);
      continue;
    }
    const source = lookup(deployment, entry.source);
    if (source?.kind !== 'file') {
      throw new TreewrightError('internal/bad-plan', `${entry.source} of the plan is not in the deployment`);
    }
    // A directory of device trees is copied, and times with it; anything else is linked where it can be.
    if (directories && below.includes('/')) {
      const copy: RegularFile = { ...source, stat: withXattrs(source.stat, options.libostree) };
      // An empty file is not linked to its object in the deployment, and has another time.
      if (contentSize(source) > 0) timeless.add(copy);
      set(tree, path, copy);
    } else if (options.separate) {
      set(tree, path, { ...source, stat: { ...source.stat, xattrs: [] } });
    } else {
      set(tree, path, source);
    }
  }
  for (const { path, target } of plan.links) {
    if (!path.startsWith(BOOT)) continue;
    set(tree, path.slice(BOOT.length), { kind: 'symlink', stat: rootStat.symlink(), target });
  }
  const loader = `loader.${plan.bootVersion}`;
  ensureDirectory(tree, `${loader}/entries`);
  for (const { fileName, text } of plan.entries) set(tree, `${loader}/entries/${fileName}`, textFile(text));
  if (plan.uEnv !== undefined) set(tree, `${loader}/uEnv.txt`, textFile(plan.uEnv));
  if (plan.extlinux !== undefined) set(tree, `${loader}/syslinux.cfg`, textFile(plan.extlinux));
  for (const [path, bytes] of options.extra) {
    set(tree, path, { kind: 'file', stat: rootStat.file(), content: { kind: 'inline', bytes } });
  }
  return { tree, timeless };
}

/** libostree copied the xattrs of device trees until 2024.9. */
function withXattrs(stat: Stat, libostree: string | undefined): Stat {
  return isLibostree(libostree, 2024, 9) ? { ...stat, xattrs: [] } : stat;
}

/** Puts a node at a path, making its directories; what is there already is not replaced. */
export function set(tree: FileTree, path: string, node: TreeNode): void {
  const cut = path.lastIndexOf('/');
  const parent = cut < 0 ? tree.root : ensureDirectory(tree, path.slice(0, cut));
  const name = path.slice(cut + 1);
  if (parent.entries.has(name)) {
    throw new TreewrightError(
      'config/boot-file-exists',
      `${path} is written twice to the image: give the added file of /boot another name`,
      {
        data: { path },
      },
    );
  }
  parent.entries.set(name, node);
}

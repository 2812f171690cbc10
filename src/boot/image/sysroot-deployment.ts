/**
 * A deployment as `ostree admin deploy` checks it out: hard links to the objects of the repository, and a copy of
 * /usr/etc as /etc. Source: libostree ostree-repo-checkout.c, prepare_deployment_etc of ostree-sysroot-deploy.c.
 */
import { TreewrightError } from '../../core/errors.ts';
import type { Directory, FileTree, TreeNode } from '../../tree/types.ts';
import { lookup } from '../../tree/walk.ts';
import { isLibostree } from '../libostree-version.ts';

/** libostree makes a character device 0:0 of a file of such a name: a whiteout of overlayfs. */
const WHITEOUT = '.ostree-wh.';

/** What systemd reads as "this directory has seen the present /usr"; libostree removes it, so that it looks again. */
const UPDATED = '.updated';

/** Names an inode may have in ext4 (EXT4_LINK_MAX); where no further link can be made, libostree copies. */
const MAX_LINKS = 65_000;

export interface DeploymentTree {
  readonly root: Directory;
  /** Directories that libostree gives the time 0; files have that of their objects. */
  readonly timeless: ReadonlySet<Directory>;
}

/**
 * The deployment of `commit` by a version of libostree. Nodes of files are those of the commit, hence of the repository, but for empty files:
 * libostree copies them, since a single inode would collect more links than a file system allows.
 */
export function deploymentTree(commit: FileTree, libostree?: string): DeploymentTree {
  const timeless = new Set<Directory>();
  const root = checkOut(commit.root, '', { timeless, links: new Map() });
  const usrEtc = lookup(commit, 'usr/etc');
  const etc = root.entries.get('etc');
  if (usrEtc === undefined) {
    if (etc?.kind === 'directory' && etc.entries.size > 0) {
      throw new TreewrightError(
        'input/no-usr-etc',
        'the commit has its configuration in /etc and not in /usr/etc, which libostree does not deploy; ' +
          'commit it with the layout "ostree" or "meta-updater"',
      );
    }
    return { root, timeless };
  }
  if (usrEtc.kind !== 'directory' || (etc !== undefined && etc.kind !== 'directory')) {
    throw new TreewrightError('input/not-a-directory', '/etc and /usr/etc of the commit must be directories');
  }
  if (etc !== undefined && (etc.entries.size > 0 || !isLibostree(libostree, 2023, 6))) {
    throw new TreewrightError(
      'input/etc-and-usr-etc',
      `the commit has both /etc and /usr/etc, which libostree ${libostree ?? ''} refuses to deploy` +
        (etc.entries.size > 0 ? '' : '; an empty /etc is taken from 2023.6 on'),
    );
  }
  const copy = copied(usrEtc);
  copy.entries.delete(UPDATED);
  root.entries.set('etc', copy);
  // Its entries have changed since it was checked out.
  timeless.delete(root);
  return { root, timeless };
}

interface CheckOut {
  readonly timeless: Set<Directory>;
  /** Names of an object in the deployment so far. */
  readonly links: Map<TreeNode, number>;
}

function checkOut(directory: Directory, path: string, state: CheckOut): Directory {
  const entries: Directory['entries'] = new Map();
  for (const [name, node] of directory.entries) {
    if (node.kind === 'directory') {
      entries.set(name, checkOut(node, `${path}/${name}`, state));
      continue;
    }
    if (name.startsWith(WHITEOUT) && node.kind === 'file') {
      throw new TreewrightError(
        'input/whiteout',
        `${path}/${name} would become a whiteout of overlayfs when libostree deploys it; ` +
          'images with such files are not supported',
        { data: { path: `${path}/${name}` } },
      );
    }
    const links = (state.links.get(node) ?? 0) + 1;
    // The object itself is one name more.
    const linked = links < MAX_LINKS && !isEmpty(node);
    if (linked) state.links.set(node, links);
    entries.set(name, linked ? node : { ...node });
  }
  const made: Directory = { kind: 'directory', stat: directory.stat, entries };
  state.timeless.add(made);
  return made;
}

function isEmpty(node: TreeNode): boolean {
  if (node.kind !== 'file') return false;
  return (node.content.kind === 'stored' ? node.content.size : node.content.bytes.length) === 0;
}

/** The same content in inodes of its own. */
export function copied(directory: Directory): Directory {
  const entries: Directory['entries'] = new Map();
  for (const [name, node] of directory.entries) {
    entries.set(name, node.kind === 'directory' ? copied(node) : { ...node });
  }
  return { kind: 'directory', stat: directory.stat, entries };
}

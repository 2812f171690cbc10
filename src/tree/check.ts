/** What a deployment of a finished tree would refuse or suffer from. */
import type { Diagnostic } from '../core/diagnostics.ts';
import type { ErrorCode } from '../core/errors.ts';
import { utf8 } from '../core/bytes.ts';
import type { Directory, FileTree } from './types.ts';
import { lookup, resolve, sortedEntries, walk } from './walk.ts';

/** NAME_MAX and PATH_MAX of Linux, in bytes; PATH_MAX counts a final NUL. */
const NAME_MAX = 255;
const PATH_MAX = 4096;
/** A machine-id is 32 digits; `uninitialized` and an empty file are shorter. */
const MACHINE_ID = 32;
const SHOWN = 4;

/**
 * Checks a tree that has its layout. Pure. Problems that `known` already has by code are not told again:
 * the source readers know more about a missing kernel than the tree does.
 */
export function checkDeployable(tree: FileTree, known: readonly Diagnostic[] = []): Diagnostic[] {
  const found: Diagnostic[] = [];
  const tell = (severity: Diagnostic['severity'], code: ErrorCode, message: string, path?: string): void => {
    found.push({ severity, code, message, ...(path === undefined ? {} : { where: { kind: 'path', path } }) });
  };
  checkLayout(tree, tell);
  checkKernel(tree, tell);
  checkIdentity(tree, tell);
  checkNames(tree, tell);
  const told = new Set(known.map(({ code }) => code));
  const kernelKnown = known.some(({ code, severity }) => severity === 'error' && KERNEL_CODES.has(code));
  return found.filter(({ code }) => !told.has(code) && !(kernelKnown && KERNEL_CODES.has(code)));
}

type Tell = (severity: Diagnostic['severity'], code: ErrorCode, message: string, path?: string) => void;

const KERNEL_CODES: ReadonlySet<string> = new Set([
  'input/no-kernel',
  'input/no-kernel-release',
  'input/several-kernels',
  'input/bad-kernel-release',
]);

function checkLayout(tree: FileTree, tell: Tell): void {
  const { entries } = tree.root;
  if (entries.get('usr')?.kind !== 'directory')
    tell('error', 'input/no-usr', 'the tree has no directory /usr');
  const etc = entries.has('etc');
  const usrEtc = lookup(tree, 'usr/etc') !== undefined;
  if (etc && usrEtc) {
    tell('error', 'input/etc-and-usr-etc', 'the tree has both /etc and /usr/etc, which libostree refuses');
  } else if (!etc && !usrEtc) {
    tell('error', 'input/no-etc', 'the tree has neither /etc nor /usr/etc');
  }
  if (entries.get('sysroot')?.kind !== 'directory') {
    tell(
      'error',
      'input/no-sysroot',
      'the tree has no directory /sysroot, where the physical root is mounted',
    );
  }
  const ostree = entries.get('ostree');
  if (ostree?.kind !== 'symlink' || !/^\/?sysroot\/ostree\/?$/.test(ostree.target)) {
    tell('error', 'input/no-ostree-link', 'the tree has no symlink /ostree to sysroot/ostree');
  }
  const variable = entries.get('var');
  if (variable?.kind !== 'directory') tell('error', 'input/no-var', 'the tree has no directory /var');
  else if (variable.entries.size > 0) {
    tell('warning', 'input/var-not-empty', '/var has content, which updates never bring to a device');
  }
  const dev = entries.get('dev');
  if (dev?.kind === 'directory' && dev.entries.size > 0) {
    tell('warning', 'input/dev-not-empty', '/dev has content, which is hidden by devtmpfs');
  }
  const split = ['bin', 'sbin', 'lib'].filter((name) => entries.get(name)?.kind === 'directory');
  if (split.length > 0) {
    tell(
      'warning',
      'input/usr-not-merged',
      `/${split.join(', /')} are directories of their own: only /usr is mounted read-only, so a write there damages the object store`,
    );
  }
  // An absolute link to /etc/os-release leads to /usr/etc before the deployment has its /etc.
  const release = ['usr/lib/os-release', 'usr/etc/os-release', 'etc/os-release'].some(
    (path) => resolve(tree, path)?.node.kind === 'file',
  );
  if (!release) {
    tell(
      'error',
      'input/no-os-release',
      'neither /usr/lib/os-release nor /etc/os-release is in the tree, and libostree deploys no tree without; ' +
        'add one with ID and PRETTY_NAME',
    );
  }
}

function checkKernel(tree: FileTree, tell: Tell): void {
  const modules = lookup(tree, 'usr/lib/modules');
  const kernels =
    modules?.kind === 'directory'
      ? sortedEntries(modules).flatMap(([name, node]) =>
          node.kind === 'directory' && node.entries.get('vmlinuz')?.kind === 'file' ? [{ name, node }] : [],
        )
      : [];
  const [kernel] = kernels;
  if (kernel === undefined) {
    tell('error', 'input/no-kernel', 'no kernel is at /usr/lib/modules/<release>/vmlinuz');
    return;
  }
  if (kernels.length > 1) {
    tell(
      'error',
      'input/several-kernels',
      `there are ${kernels.length} kernels (${kernels.map(({ name }) => name).join(', ')}); libostree boots the first it finds`,
    );
  }
  const initramfs = ['initramfs.img', 'initramfs'].some((name) => kernel.node.entries.has(name));
  const prepareRoot = resolve(tree, 'usr/lib/ostree/ostree-prepare-root')?.node.kind === 'file';
  if (!initramfs && !prepareRoot) {
    // Not an error: the boot loader may bring an initramfs of its own.
    tell(
      'warning',
      'input/no-prepare-root',
      'there is neither an initramfs nor /usr/lib/ostree/ostree-prepare-root, so nothing would mount the deployment at boot; ' +
        'build libostree into the image (ostree in Yocto, BR2_PACKAGE_LIBOSTREE) or give an initramfs that has it',
    );
  }
}

function checkIdentity(tree: FileTree, tell: Tell): void {
  const id = lookup(tree, 'usr/etc/machine-id') ?? lookup(tree, 'etc/machine-id');
  if (id?.kind === 'file') {
    const size = id.content.kind === 'stored' ? id.content.size : id.content.bytes.length;
    if (size >= MACHINE_ID) {
      tell(
        'warning',
        'input/machine-id-set',
        '/etc/machine-id holds an id, so all devices would have the same one; let the build leave it empty',
        '/etc/machine-id',
      );
    }
  }
  const usr = tree.root.entries.get('usr');
  const owned = usr?.kind === 'directory' ? builderOwned(usr) : { count: 0, names: [] };
  if (owned.count > 0) {
    tell(
      'warning',
      'input/builder-owned',
      `${owned.count} files in /usr belong to a user id of 1000 or more, mostly the builder's: ` +
        `${owned.names.join(', ')}${owned.count > owned.names.length ? ', ...' : ''}; set their owner in the build`,
    );
  }
}

/** /usr/etc is /etc, and the factory copy is /var: there such owners are in order. */
function builderOwned(usr: Directory): { count: number; names: string[] } {
  const names: string[] = [];
  let count = 0;
  walk({ root: usr }, (path, node) => {
    if (node.stat.uid < 1000 || /^(etc|share\/factory)\//.test(path)) return;
    if (count++ < SHOWN) names.push(`/usr/${path} (${node.stat.uid})`);
  });
  return { count, names };
}

function checkNames(tree: FileTree, tell: Tell): void {
  walk(tree, (path, node) => {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (name.length > NAME_MAX / 4 && utf8(name).length > NAME_MAX) {
      tell(
        'error',
        'input/bad-path',
        `the name ${JSON.stringify(name)} is longer than ${NAME_MAX} bytes`,
        `/${path}`,
      );
    }
    const long = node.kind === 'symlink' ? node.target : path;
    if (long.length > PATH_MAX / 4 && utf8(long).length >= PATH_MAX) {
      tell(
        'error',
        'input/bad-path',
        `a path is longer than Linux takes (${PATH_MAX - 1} bytes)`,
        `/${path}`,
      );
    }
  });
}

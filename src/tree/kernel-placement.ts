/** Kernel, initramfs and device trees where libostree looks for them (ostree-sysroot-deploy.c). */
import type { DiagnosticSink } from '../core/diagnostics.ts';
import type { Directory, FileTree, KernelFiles, RegularFile } from './types.ts';
import { emptyDirectory, ensureDirectory, lookup, rootStat, sortedEntries } from './walk.ts';

const MODULES = 'usr/lib/modules';
const SHOWN = 6;

/** Everything that holds boot files of its own and would be taken before, or beside, ours. */
const BOOT_NAMES = ['vmlinuz', 'initramfs.img', 'initramfs', 'devicetree', 'dtb'];

export function placeKernel(
  tree: FileTree,
  kernel: KernelFiles | undefined,
  diagnostics: DiagnosticSink,
): void {
  if (kernel !== undefined) {
    dropOtherKernels(tree, kernel.release, diagnostics);
    const directory = ensureDirectory(tree, `${MODULES}/${kernel.release}`);
    for (const name of BOOT_NAMES) directory.entries.delete(name);
    directory.entries.set('vmlinuz', kernel.image);
    const initramfs = kernel.initramfs ?? (isFit(kernel.imageName) ? EMPTY : undefined);
    if (initramfs !== undefined) directory.entries.set('initramfs.img', initramfs);
    placeDeviceTrees(directory, kernel.deviceTrees);
  }
  emptyBoot(tree, kernel, diagnostics);
}

/** A FIT image brings its own initramfs; an empty file keeps libostree from adding `init=` to the kernel arguments. */
function isFit(imageName: string): boolean {
  return /^fitImage|\.itb$|\.fit$/.test(imageName);
}

const EMPTY: RegularFile = {
  kind: 'file',
  stat: rootStat.file(),
  content: { kind: 'inline', bytes: new Uint8Array(0) },
};

/**
 * A single device tree becomes the file `devicetree`, which libostree passes to the boot loader by its path.
 * Several, or any overlay, become the directory `dtb`, of which the boot loader picks by name.
 */
function placeDeviceTrees(directory: Directory, trees: ReadonlyMap<string, RegularFile>): void {
  const [first] = trees;
  if (first === undefined) return;
  const [name, file] = first;
  if (trees.size === 1 && name.endsWith('.dtb')) {
    directory.entries.set('devicetree', file);
    return;
  }
  const dtb = emptyDirectory();
  for (const [path, tree] of trees) {
    const parts = path.split('/');
    const last = parts.pop() ?? path;
    ensureDirectory({ root: dtb }, parts.join('/')).entries.set(last, tree);
  }
  directory.entries.set('dtb', dtb);
}

/** libostree boots the first directory with a vmlinuz, in no particular order: there must be one only. */
function dropOtherKernels(tree: FileTree, release: string, diagnostics: DiagnosticSink): void {
  const modules = lookup(tree, MODULES);
  if (modules?.kind !== 'directory') return;
  for (const [name, node] of sortedEntries(modules)) {
    if (name === release || node.kind !== 'directory' || !node.entries.delete('vmlinuz')) continue;
    diagnostics({
      severity: 'warning',
      code: 'input/several-kernels',
      message: `/${MODULES}/${name}/vmlinuz was dropped, because the deployment boots ${release}`,
    });
  }
}

/** The boot partition is mounted over /boot, and libostree fills it: what the build put there cannot be seen. */
function emptyBoot(tree: FileTree, kernel: KernelFiles | undefined, diagnostics: DiagnosticSink): void {
  const boot = tree.root.entries.get('boot');
  if (boot?.kind !== 'directory') {
    tree.root.entries.set('boot', emptyDirectory());
    return;
  }
  const used = new Set<RegularFile>();
  if (kernel !== undefined) {
    used.add(kernel.image);
    if (kernel.initramfs !== undefined) used.add(kernel.initramfs);
    for (const file of kernel.deviceTrees.values()) used.add(file);
  }
  const dropped = sortedEntries(boot)
    .filter(([, node]) => node.kind !== 'file' || !used.has(node))
    .map(([name]) => name);
  boot.entries.clear();
  if (dropped.length === 0) return;
  diagnostics({
    severity: 'note',
    code: 'input/boot-content',
    message:
      `/boot had ${dropped.length} entries that no deployment uses, and they were dropped: ` +
      dropped.slice(0, SHOWN).join(', ') +
      (dropped.length > SHOWN ? ', ...' : ''),
  });
}

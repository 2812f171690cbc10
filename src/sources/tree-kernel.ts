/** Kernel, initramfs and device trees inside a root filesystem. */
import { compareUtf8 } from '../core/bytes.ts';
import { isKernelRelease } from '../formats/kernel-image.ts';
import type { Directory, FileTree, RegularFile } from '../tree/types.ts';
import { resolve, sortedEntries } from '../tree/walk.ts';

/** What depmod and the kernel's own install leave in a directory of modules. */
const MODULE_MARKS = ['modules.order', 'modules.builtin', 'modules.dep', 'kernel', 'vmlinuz'];

export function directoryAt(tree: FileTree, path: string): Directory | undefined {
  const node = resolve(tree, path)?.node;
  return node?.kind === 'directory' ? node : undefined;
}

export function fileAt(tree: FileTree, path: string): RegularFile | undefined {
  const node = resolve(tree, path)?.node;
  return node?.kind === 'file' ? node : undefined;
}

/** The kernel releases that have modules in the tree, in the order of their names. */
export function moduleReleases(tree: FileTree): string[] {
  const releases = new Set<string>();
  for (const place of ['lib/modules', 'usr/lib/modules']) {
    for (const [name, node] of directoryAt(tree, place)?.entries ?? []) {
      if (node.kind === 'directory' && MODULE_MARKS.some((mark) => node.entries.has(mark)))
        releases.add(name);
    }
  }
  return [...releases].sort(compareUtf8);
}

export interface TreeKernel {
  readonly name: string;
  readonly file: RegularFile;
}

/** In the order they are taken when several lie in /boot. */
const IMAGE_NAMES = ['vmlinuz', 'Image', 'Image.gz', 'zImage', 'bzImage', 'uImage', 'fitImage', 'vmlinux'];

/** The kernel image of a release (any, when it is not known), in the modules directory or in /boot. */
export function findTreeKernel(tree: FileTree, release: string | undefined): TreeKernel | undefined {
  if (release !== undefined) {
    for (const place of ['usr/lib/modules', 'lib/modules']) {
      const file = fileAt(tree, `${place}/${release}/vmlinuz`);
      if (file !== undefined) return { name: 'vmlinuz', file };
    }
    for (const name of IMAGE_NAMES) {
      const file = fileAt(tree, `boot/${name}-${release}`);
      if (file !== undefined) return { name, file };
    }
  }
  for (const name of IMAGE_NAMES) {
    const file = fileAt(tree, `boot/${name}`);
    if (file !== undefined) return { name, file };
  }
  if (release !== undefined) return undefined;
  const versioned = bootImages(tree);
  const [only] = versioned;
  return versioned.length === 1 && only !== undefined ? { name: only.name, file: only.file } : undefined;
}

/** The images in /boot that have a release in their names, such as `vmlinuz-6.1.0-50-arm64`. */
export function bootImages(tree: FileTree): (TreeKernel & { readonly release: string })[] {
  const found: (TreeKernel & { readonly release: string })[] = [];
  const boot = directoryAt(tree, 'boot');
  for (const [entry] of boot === undefined ? [] : sortedEntries(boot)) {
    const dash = entry.indexOf('-');
    const name = entry.slice(0, dash);
    const release = entry.slice(dash + 1);
    const file = fileAt(tree, `boot/${entry}`);
    if (dash > 0 && IMAGE_NAMES.includes(name) && isKernelRelease(release) && file !== undefined) {
      found.push({ name, file, release });
    }
  }
  return found;
}

export function findTreeInitramfs(tree: FileTree, release: string): RegularFile | undefined {
  for (const path of [
    `usr/lib/modules/${release}/initramfs.img`,
    `usr/lib/modules/${release}/initramfs`,
    `lib/modules/${release}/initramfs.img`,
    `boot/initramfs-${release}.img`,
    `boot/initrd.img-${release}`,
    `boot/initrd-${release}`,
    'boot/initramfs.img',
    'boot/initrd.img',
  ]) {
    const file = fileAt(tree, path);
    if (file !== undefined) return file;
  }
  return undefined;
}

/** Device trees in the first place that has any: the modules directory, Debian's, /boot with and without the release. */
export function findTreeDeviceTrees(tree: FileTree, release: string): Map<string, RegularFile> {
  for (const modules of [`usr/lib/modules/${release}`, `lib/modules/${release}`]) {
    const only = fileAt(tree, `${modules}/devicetree`);
    if (only !== undefined) return new Map([['devicetree.dtb', only]]);
    const found = deviceTreesBelow(tree, `${modules}/dtb`, true);
    if (found.size > 0) return found;
  }
  for (const place of [
    `usr/lib/linux-image-${release}`,
    `boot/dtbs/${release}`,
    `boot/dtbs-${release}`,
    'boot/dtbs',
    'boot/dtb',
    'boot/devicetree',
  ]) {
    const found = deviceTreesBelow(tree, place, true);
    if (found.size > 0) return found;
  }
  return deviceTreesBelow(tree, 'boot', false);
}

function deviceTreesBelow(tree: FileTree, place: string, deep: boolean): Map<string, RegularFile> {
  const found = new Map<string, RegularFile>();
  const descend = (directory: Directory, prefix: string): void => {
    for (const [name, node] of sortedEntries(directory)) {
      if (node.kind === 'directory' && deep) descend(node, `${prefix}${name}/`);
      // Links beside the real names would be copied to /boot as whole files.
      if (node.kind === 'file' && /\.dtbo?$/.test(name)) found.set(prefix + name, node);
    }
  };
  const directory = directoryAt(tree, place);
  if (directory !== undefined) descend(directory, '');
  return found;
}

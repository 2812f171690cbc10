/**
 * The kernel, initramfs and device trees of a commit, and the boot checksum over them, as libostree finds them in a
 * deployment (get_kernel_from_tree in ostree-sysroot-deploy.c).
 */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { compareUtf8, concatBytes, drain } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import { parseChecksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import type { DirTree } from '../formats/ostree-objects.ts';
import type { ByteStore } from '../platform/store.ts';
import { lookupPath, readContent, readDirTree } from '../repo/read.ts';
import type { KernelFormat } from './kernel-format.ts';
import { KERNEL_HEAD_SIZE, kernelFormat, kernelMemory } from './kernel-format.ts';

/** Something a deployment puts below its own directory in /boot/ostree. */
export type BootFile =
  | {
      readonly kind: 'file';
      /** Relative to `/boot/ostree/<osname>-<bootcsum>`. */
      readonly path: string;
      /** Path in the commit. */
      readonly source: string;
      /** Checksum of the content object. */
      readonly checksum: Checksum;
      /** Bytes of its content. */
      readonly size: number;
    }
  | { readonly kind: 'directory'; readonly path: string };

export interface KernelLayout {
  /** The directory name under usr/lib/modules. */
  readonly release: string;
  /** SHA-256 over the content of kernel, initramfs and device trees, in this order and nothing between them. */
  readonly bootcsum: Checksum;
  readonly format: KernelFormat;
  /** Bytes the kernel takes in memory, as its header tells; 0 where none does. */
  readonly memory: number;
  /** Everything that goes to /boot/ostree, kernel first, directories before what is in them. */
  readonly files: readonly BootFile[];
  /** File names in /boot/ostree/<osname>-<bootcsum>. */
  readonly kernel: string;
  readonly initramfs?: string;
  /** A single device tree, or the directory `dtb` from which the boot loader picks one. */
  readonly deviceTree?: { readonly kind: 'file' | 'directory'; readonly name: string };
}

const MODULES = 'usr/lib/modules';

/** Names of libostree's older layouts carry the checksum: `vmlinuz-<version>-<sha256>`. */
const LEGACY = /^(vmlinuz|initramfs)-.*-?[0-9a-f]{64}$/;

function problem(
  reason: string,
  message: string,
  data: Record<string, string | string[]> = {},
): TreewrightError {
  return new TreewrightError(`input/${reason}`, message, { data });
}

async function legacyNames(
  store: ByteStore,
  commit: Checksum,
): Promise<{ directory: string; names: string[] }> {
  for (const directory of ['usr/lib/ostree-boot', 'boot']) {
    const entry = await lookupPath(store, commit, directory);
    if (entry?.kind !== 'directory') continue;
    return {
      directory,
      names: entry.entries.files.map(({ name }) => name).filter((name) => LEGACY.test(name)),
    };
  }
  return { directory: '', names: [] };
}

/** The one kernel release of a commit. libostree takes the first in directory order, which is any: two are refused. */
async function findRelease(
  store: ByteStore,
  commit: Checksum,
): Promise<{ release: string; entries: DirTree }> {
  const modules = await lookupPath(store, commit, MODULES);
  const found: { release: string; entries: DirTree }[] = [];
  if (modules?.kind === 'directory') {
    for (const { name, tree } of modules.entries.directories) {
      const entries = await readDirTree(store, tree);
      if (entries.files.some((file) => file.name === 'vmlinuz')) found.push({ release: name, entries });
    }
  }
  const [first, ...others] = found;
  const legacy = await legacyNames(store, commit);
  if (first === undefined) {
    if (legacy.names.length > 0) {
      throw problem(
        'legacy-kernel-layout',
        `the kernel is in /${legacy.directory} under a name with its checksum, libostree's old layout; ` +
          `put it at /${MODULES}/<release>/vmlinuz`,
        { names: legacy.names },
      );
    }
    throw problem(
      'no-kernel',
      `no kernel found: expected exactly one file /${MODULES}/<release>/vmlinuz in commit ${commit}`,
    );
  }
  if (others.length > 0) {
    const releases = found.map(({ release }) => release);
    throw problem(
      'several-kernels',
      `kernels of ${releases.join(', ')} stand in /${MODULES}; OSTree would boot whichever it meets first, so ship one`,
      { releases },
    );
  }
  const hasInitramfs = first.entries.files.some(({ name }) => INITRAMFS_NAMES.includes(name));
  if (!hasInitramfs && legacy.names.some((name) => name.startsWith('initramfs-'))) {
    throw problem(
      'legacy-kernel-layout',
      `/${MODULES}/${first.release} has no initramfs but /${legacy.directory} has one in libostree's old layout, ` +
        'which would win; remove it or put it beside the kernel as initramfs.img',
      { names: legacy.names },
    );
  }
  return first;
}

/** The second is what libostree also accepts. */
const INITRAMFS_NAMES: readonly string[] = ['initramfs.img', 'initramfs'];

/** Finds and hashes what a deployment of `commit` boots; content is streamed from the repository. */
export async function readKernelLayout(store: ByteStore, commit: Checksum): Promise<KernelLayout> {
  const { release, entries } = await findRelease(store, commit);
  const directory = `${MODULES}/${release}`;
  const bootcsum = createHash('sha256');
  const files: BootFile[] = [];
  const add = async (name: string, path: string, hashes: readonly Hash[]): Promise<Uint8Array> => {
    const { file, head } = await hashFile(store, entries, `${directory}/${name}`, path, hashes);
    files.push(file);
    return head;
  };
  const has = (name: string): boolean => entries.files.some((file) => file.name === name);

  const kernel = `vmlinuz-${release}`;
  const head = await add('vmlinuz', kernel, [bootcsum]);
  const initramfsSource = INITRAMFS_NAMES.find(has);
  const initramfs = `initramfs-${release}.img`;
  if (initramfsSource !== undefined) await add(initramfsSource, initramfs, [bootcsum]);
  let deviceTree: KernelLayout['deviceTree'];
  const dtb = entries.directories.find(({ name }) => name === 'dtb');
  if (has('devicetree')) {
    deviceTree = { kind: 'file', name: `devicetree-${release}` };
    await add('devicetree', deviceTree.name, [bootcsum]);
  } else if (dtb !== undefined) {
    deviceTree = { kind: 'directory', name: 'dtb' };
    await addDirectory(store, `${directory}/dtb`, 'dtb', dtb.tree, bootcsum, files);
  }
  // The FIPS checksum of the kernel travels along but is not part of the boot checksum.
  if (has('.vmlinuz.hmac')) await add('.vmlinuz.hmac', `.${kernel}.hmac`, []);
  return {
    release,
    bootcsum: parseChecksum(bootcsum.digest('hex')),
    format: kernelFormat(head),
    memory: kernelMemory(head),
    files,
    kernel,
    ...(initramfsSource === undefined ? {} : { initramfs }),
    ...(deviceTree === undefined ? {} : { deviceTree }),
  };
}

async function hashFile(
  store: ByteStore,
  entries: DirTree,
  source: string,
  path: string,
  hashes: readonly Hash[],
): Promise<{ file: BootFile; head: Uint8Array }> {
  const name = source.slice(source.lastIndexOf('/') + 1);
  const entry = entries.files.find((file) => file.name === name);
  if (entry === undefined) throw problem('no-kernel', `/${source} is not in the tree`);
  const content = await readContent(store, entry.checksum);
  if (content.symlinkTarget !== '') {
    await drain(content.chunks);
    throw problem(
      'kernel-is-symlink',
      `/${source} is a symlink to ${JSON.stringify(content.symlinkTarget)}; libostree would link the symlink itself ` +
        'into /boot, where it points nowhere: put the file itself there',
      { path: source },
    );
  }
  const head = await hashContent(content.chunks, hashes);
  return { file: { kind: 'file', path, source, checksum: entry.checksum, size: content.size }, head };
}

async function hashContent(chunks: AsyncIterable<Uint8Array>, hashes: readonly Hash[]): Promise<Uint8Array> {
  const head: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    for (const hash of hashes) hash.update(chunk);
    if (size < KERNEL_HEAD_SIZE) head.push(chunk.slice(0, KERNEL_HEAD_SIZE - size));
    size += chunk.length;
  }
  return concatBytes(head);
}

/** Adds a directory of device trees: names in byte order, files and directories mixed. */
async function addDirectory(
  store: ByteStore,
  source: string,
  path: string,
  tree: Checksum,
  bootcsum: Hash,
  files: BootFile[],
): Promise<void> {
  files.push({ kind: 'directory', path });
  const { files: entries, directories } = await readDirTree(store, tree);
  const children = [
    ...entries.map(({ name, checksum }) => ({ name, checksum, isDirectory: false })),
    ...directories.map(({ name, tree: subtree }) => ({ name, checksum: subtree, isDirectory: true })),
  ].sort((a, b) => compareUtf8(a.name, b.name));
  for (const { name, checksum, isDirectory } of children) {
    const at = { source: `${source}/${name}`, path: `${path}/${name}` };
    if (isDirectory) {
      await addDirectory(store, at.source, at.path, checksum, bootcsum, files);
      continue;
    }
    const content = await readContent(store, checksum);
    if (content.symlinkTarget !== '') {
      await drain(content.chunks);
      // Seen with 2022.7 and 2025.2: "symlinkat: File exists" when the directory is copied a second time.
      throw problem(
        'device-tree-symlink',
        `/${at.source} is a symlink to ${JSON.stringify(content.symlinkTarget)}: libostree deploys that once and fails ` +
          'at the next update; put a copy of the file there',
        { path: at.source },
      );
    }
    await hashContent(content.chunks, [bootcsum]);
    files.push({ kind: 'file', ...at, checksum, size: content.size });
  }
}

/** Small disks for boot scripts: what OSTree leaves in /boot and in two deployments, with files in place of kernels. */
import { initialEnvironments } from '../../../src/boot/initial-environment.ts';
import type { Board, RollbackScheme } from '../../../src/boot/board.ts';
import { renderBootScript } from '../../../src/boot/boot-script.ts';
import { planDisk } from '../../../src/boot/image/disk.ts';
import type { DiskBlob, DiskLayout, FatSource } from '../../../src/boot/image/disk-layout.ts';
import { writeDisk } from '../../../src/boot/image/disk-write.ts';
import { planExt4 } from '../../../src/boot/image/ext4-plan.ts';
import { writeExt4 } from '../../../src/boot/image/ext4.ts';
import { encodeEnvironment } from '../../../src/formats/uboot-env.ts';
import { encodeScriptImage } from '../../../src/formats/uboot-image.ts';
import { createImageFile } from '../../../src/platform/image-file.ts';
import type { Directory, FileTree, RegularFile } from '../../../src/tree/types.ts';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../../src/tree/types.ts';

const MIB = 1 << 20;
const stat = (mode: number) => ({ uid: 0, gid: 0, mode, xattrs: [] });
const directory = (): Directory => ({
  kind: 'directory',
  stat: stat(S_IFDIR | 0o755),
  entries: new Map(),
});

/** A tree of text, bytes, and symlinks (`{ link }`). */
export function treeOf(
  files: Readonly<Record<string, string | Uint8Array | { readonly link: string }>>,
): FileTree {
  const root = directory();
  for (const [path, content] of Object.entries(files)) {
    const parts = path.split('/');
    const name = parts.pop() ?? '';
    let at = root;
    for (const part of parts) {
      const next = at.entries.get(part) ?? directory();
      if (next.kind !== 'directory') throw new Error(`${path} lies below a file`);
      at.entries.set(part, next);
      at = next;
    }
    if (typeof content === 'object' && 'link' in content) {
      at.entries.set(name, { kind: 'symlink', stat: stat(S_IFLNK | 0o777), target: content.link });
    } else {
      const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
      at.entries.set(name, {
        kind: 'file',
        stat: stat(S_IFREG | 0o644),
        content: { kind: 'inline', bytes },
      });
    }
  }
  return { root };
}

/** A deployment as it lies on the disk; its checksum is `letter` 64 times. */
export interface TestDeployment {
  readonly letter: string;
  readonly kernel: string | Uint8Array;
  /** Device trees by name below dtb/. */
  readonly dtb?: Readonly<Record<string, string | Uint8Array>>;
  /** usr/lib/ostree-boot/uEnv.txt */
  readonly uEnv?: string;
  readonly kargs?: string;
}

/** uEnv.txt as libostree writes it, and the files it names. */
export function deploymentFiles(
  deployments: readonly TestDeployment[],
): Record<string, string | Uint8Array | { link: string }> {
  const files: Record<string, string | Uint8Array | { link: string }> = {
    'boot/boot': { link: '.' },
    'boot/loader': { link: 'loader.1' },
    'ostree/boot.1': { link: 'boot.1.1' },
  };
  const lines: string[] = [];
  deployments.forEach(({ letter, kernel, dtb, uEnv, kargs = 'root=LABEL=root rw' }, index) => {
    const checksum = letter.repeat(64);
    const suffix = index === 0 ? '' : String(index + 1);
    const boot = `boot/ostree/os-${checksum}`;
    files[`${boot}/vmlinuz-6.6`] = kernel;
    files[`${boot}/initramfs-6.6.img`] = `initramfs ${letter}`;
    for (const [name, bytes] of Object.entries(dtb ?? {})) files[`${boot}/dtb/${name}`] = bytes;
    const deployment = `ostree/deploy/os/deploy/${checksum}.0`;
    files[`ostree/boot.1.1/os/${checksum}/0`] = { link: `../../../deploy/os/deploy/${checksum}.0` };
    files[`${deployment}/usr/lib/os-release`] = 'ID=test\n';
    if (uEnv !== undefined) files[`${deployment}/usr/lib/ostree-boot/uEnv.txt`] = uEnv;
    lines.push(`kernel_image${suffix}=/boot/ostree/os-${checksum}/vmlinuz-6.6`);
    lines.push(`ramdisk_image${suffix}=/boot/ostree/os-${checksum}/initramfs-6.6.img`);
    if (dtb !== undefined) lines.push(`fdtdir${suffix}=/boot/ostree/os-${checksum}/dtb`);
    lines.push(`bootargs${suffix}=${kargs} ostree=/ostree/boot.1/os/${checksum}/0`);
    if (index === 0 && uEnv !== undefined) lines.push(uEnv);
  });
  files['boot/loader.1/uEnv.txt'] = lines.map((line) => `${line}\n`).join('');
  return files;
}

/** boot.scr of a board; without its last `reset` it returns to the prompt when the kernel does not start. */
export function bootScript(board: Board, rollback: RollbackScheme, { stay }: { stay: boolean }): Uint8Array {
  const text = renderBootScript(board, rollback);
  const script = new TextEncoder().encode(stay ? text.replace(/\nreset\n$/, '\n') : text);
  return encodeScriptImage({ script, name: 'boot script', arch: board.arch, time: 1_700_000_000 });
}

/** The boot state of a board as it lies on a disk: copies at their places, or a file of the FAT partition. */
function stateOf(
  board: Board,
  rollback: RollbackScheme,
  state: Readonly<Record<string, string>>,
): { blobs: DiskBlob[]; files: FatSource[] } {
  const { environment } = board;
  const redundant = environment.kind === 'raw' && environment.redundant !== undefined;
  const copies = initialEnvironments(board, rollback).map(({ location, bytes }, index) => ({
    name: `environment ${index}`,
    offset: location.offset,
    bytes:
      Object.keys(state).length === 0
        ? bytes
        : encodeEnvironment(
            new Map(Object.entries(state)),
            { size: location.size, redundant },
            { flag: 1 - index },
          ),
  }));
  if (environment.kind !== 'fat-file') return { blobs: copies, files: [] };
  return { blobs: [], files: copies.map(({ bytes }) => ({ target: environment.file, bytes })) };
}

/**
 * Writes a disk with these files as its root, and the boot state of the board with `state` over its first values.
 * `layout` is what differs from a disk with one partition.
 */
export async function writeBootDisk(
  path: string,
  board: Board,
  rollback: RollbackScheme,
  files: Readonly<Record<string, string | Uint8Array | { readonly link: string }>>,
  state: Readonly<Record<string, string>> = {},
  layout: Partial<DiskLayout> = {},
): Promise<void> {
  const source = { tree: treeOf(files), immutable: new Set<Directory>(), mtime: () => 1_700_000_000 };
  const ext4 = planExt4(source, {
    label: 'root',
    uuid: new Uint8Array(16).fill(1),
    hashSeed: new Uint8Array(16).fill(2),
    time: 1_700_000_000,
    space: { size: 32 * MIB },
  });
  const stored = stateOf(board, rollback, state);
  const fat =
    layout.fat ?? (stored.files.length > 0 ? { size: 8 * MIB, label: 'boot', files: [] } : undefined);
  const plan = await planDisk(
    {
      table: 'mbr',
      loaders: [],
      blobs: stored.blobs,
      firstPartition: 4 * MIB,
      alignment: MIB,
      time: 1_700_000_000,
      root: { label: 'root', seed: 'test' },
      ...layout,
      ...(fat === undefined ? {} : { fat: { ...fat, files: [...fat.files, ...stored.files] } }),
    },
    ext4.size,
  );
  const image = await createImageFile(path);
  await writeDisk(plan, (target) => writeExt4(ext4, inline, target), image);
}

// eslint-disable-next-line @typescript-eslint/require-await -- the content is here
async function* inline({ content }: RegularFile): AsyncGenerator<Uint8Array> {
  if (content.kind === 'inline') yield content.bytes;
}

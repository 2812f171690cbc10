/** Which reference tools there are and where they come from. */
import { existsSync } from 'node:fs';
import { readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ED25519_BUILD, buildWithEd25519 } from './ostree-ed25519.ts';
import type { RootRecipe } from './roots.ts';
import { SANDBOX_BUILD, buildSandbox } from './uboot-sandbox.ts';

const bin = (path: string, args?: readonly string[]) => (args === undefined ? { path } : { path, args });

/** Debian 12: libostree 2022.7, U-Boot's image tools, a registry and its client, and what runs on a device. */
const BOOKWORM: RootRecipe = {
  name: 'bookworm',
  suite: 'bookworm',
  packages: [
    'ostree', 'u-boot-tools', 'device-tree-compiler', 'docker-registry', 'skopeo', 'bsdiff', 'attr', 'busybox-static',
    'systemd',
  ], // prettier-ignore
  programs: {
    ostree: bin('usr/bin/ostree'),
    mkimage: bin('usr/bin/mkimage'),
    dumpimage: bin('usr/bin/dumpimage'),
    mkenvimage: bin('usr/bin/mkenvimage'),
    dtc: bin('usr/bin/dtc'),
    'docker-registry': bin('usr/bin/docker-registry'),
    skopeo: bin('usr/bin/skopeo', ['--policy', '@/etc/containers/policy.json']),
    getfattr: bin('usr/bin/getfattr'),
    setfattr: bin('usr/bin/setfattr'),
    busybox: bin('usr/bin/busybox'),
    'systemd-tmpfiles': bin('usr/bin/systemd-tmpfiles'),
    bsdiff: bin('usr/bin/bsdiff'),
    bspatch: bin('usr/bin/bspatch'),
  },
};

/** Debian 13: libostree 2025.2, whose pull takes a delta and nothing besides. */
const TRIXIE: RootRecipe = {
  name: 'trixie',
  suite: 'trixie',
  packages: ['ostree'],
  programs: { ostree: bin('usr/bin/ostree') },
};

/** libostree 2022.7 again, with ed25519 signatures. */
const ED25519: RootRecipe = {
  name: 'ed25519',
  suite: 'bookworm',
  packages: ['ostree', 'libsodium23'],
  programs: { ostree: bin('usr/local/bin/ostree') },
  finish: { version: ED25519_BUILD, run: buildWithEd25519 },
};

/** Debian 12: what makes and judges partition tables, FAT file systems and disk images. */
const DISK: RootRecipe = {
  name: 'disk',
  suite: 'bookworm',
  packages: ['genimage', 'mtools', 'dosfstools', 'fdisk', 'gdisk', 'bmap-tools', 'python3-minimal'],
  programs: {
    genimage: bin('usr/bin/genimage'),
    // Names genimage calls.
    mkdosfs: bin('usr/sbin/mkfs.fat'),
    mcopy: bin('usr/bin/mtools'),
    mmd: bin('usr/bin/mtools'),
    mdir: bin('usr/bin/mtools'),
    mtype: bin('usr/bin/mtools'),
    'fsck.vfat': bin('usr/sbin/fsck.fat'),
    sfdisk: bin('usr/sbin/sfdisk'),
    sgdisk: bin('usr/sbin/sgdisk'),
    bmaptool: bin('usr/bin/python3.11', ['-I', '@/usr/bin/bmaptool']),
  },
};

/** What judges ext4 file systems. */
const EXT4: RootRecipe = {
  name: 'ext4',
  suite: 'bookworm',
  packages: ['e2fsprogs'],
  programs: {
    e2fsck: bin('usr/sbin/e2fsck'),
    dumpe2fs: bin('usr/sbin/dumpe2fs'),
    debugfs: bin('usr/sbin/debugfs'),
    resize2fs: bin('usr/sbin/resize2fs'),
  },
};

/** What BitBake runs image tasks under: programs believe to be root, and owners and devices are kept in a database. */
const PSEUDO: RootRecipe = {
  name: 'pseudo',
  suite: 'bookworm',
  packages: ['pseudo'],
  programs: {
    pseudo: {
      path: 'usr/bin/pseudo',
      env: {
        PSEUDO_PREFIX: '@/usr',
        PSEUDO_BINDIR: '@/usr/bin',
        PSEUDO_LIBDIR: '@/usr/lib/libpseudo',
      },
    },
  },
  // Its library is below a name that depends on the machine.
  finish: {
    version: '1',
    run: async (root) => {
      const triplet = (await readdir(join(root, 'usr/lib'))).find((name) =>
        existsSync(join(root, 'usr/lib', name, 'pseudo')),
      );
      await symlink(`${triplet ?? ''}/pseudo`, join(root, 'usr/lib/libpseudo'));
    },
  },
};

/** What reads kas files: Debian 13, because the kas of Debian 12 knows their format up to version 12 only. */
const KAS: RootRecipe = {
  name: 'kas',
  suite: 'trixie',
  packages: ['kas'],
  programs: {
    kas: {
      path: 'usr/bin/python3.13',
      args: ['-s', '-B', '-m', 'kas'],
      env: { PYTHONHOME: '@/usr', PYTHONPATH: '@/usr/lib/python3/dist-packages' },
    },
  },
};

/** Machines to boot in: QEMU, U-Boot for its boards, and depmod for the kernels of guests. Fetched for boot tests only. */
const QEMU: RootRecipe = {
  name: 'qemu',
  suite: 'bookworm',
  packages: ['qemu-system-arm', 'u-boot-qemu', 'kmod'],
  programs: {
    'qemu-system-aarch64': bin('usr/bin/qemu-system-aarch64', ['-L', '@/usr/share/qemu']),
    'qemu-system-arm': bin('usr/bin/qemu-system-arm', ['-L', '@/usr/share/qemu']),
    depmod: bin('usr/bin/depmod'),
  },
  // kmod does what its name says, and Debian's names for it are absolute symlinks.
  finish: { version: '1', run: (root) => symlink('kmod', join(root, 'usr/bin/depmod')) },
};

/** Machines of four architectures for U-Boot alone. Apart from `qemu`, since they need 700 MB. */
const MACHINES: RootRecipe = {
  name: 'machines',
  suite: 'bookworm',
  packages: ['qemu-system-arm', 'qemu-system-misc', 'qemu-system-x86', 'u-boot-qemu'],
  programs: {
    'qemu-system-aarch64': bin('usr/bin/qemu-system-aarch64', ['-L', '@/usr/share/qemu']),
    'qemu-system-arm': bin('usr/bin/qemu-system-arm', ['-L', '@/usr/share/qemu']),
    'qemu-system-riscv64': bin('usr/bin/qemu-system-riscv64', ['-L', '@/usr/share/qemu']),
    'qemu-system-x86_64': {
      path: 'usr/bin/qemu-system-x86_64',
      args: ['-L', '@/usr/share/qemu', '-L', '@/usr/share/seabios'],
      // Its emulation is a module.
      env: { QEMU_MODULE_DIR: '@/usr/lib/x86_64-linux-gnu/qemu' },
    },
  },
};

/** U-Boot as a Linux program, for what it says of scripts, environments and signed images. libc6 is for its folder. */
const SANDBOX: RootRecipe = {
  name: 'sandbox',
  suite: 'bookworm',
  packages: ['libc6'],
  programs: {
    'u-boot-sandbox': bin('usr/bin/u-boot-sandbox'),
    'u-boot-sandbox-redundant': bin('usr/bin/u-boot-sandbox-redundant'),
  },
  finish: { version: SANDBOX_BUILD, run: buildSandbox },
};

export const RECIPES = {
  bookworm: BOOKWORM,
  trixie: TRIXIE,
  ed25519: ED25519,
  disk: DISK,
  ext4: EXT4,
  pseudo: PSEUDO,
  kas: KAS,
  qemu: QEMU,
  machines: MACHINES,
  sandbox: SANDBOX,
} as const;

/** The name of a root of reference tools. */
export type Suite = keyof typeof RECIPES;

/** Those that only boot tests need. */
export const BOOT_SUITES: readonly Suite[] = ['qemu', 'machines', 'sandbox'];

/** Those of the ordinary tests. */
export const SUITES = (Object.keys(RECIPES) as readonly Suite[]).filter(
  (suite) => !BOOT_SUITES.includes(suite),
);

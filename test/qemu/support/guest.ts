/**
 * Root filesystems of devices, made of Debian packages: a kernel with the modules that a virtual machine needs,
 * libostree, libubootenv, and BusyBox or systemd as init. Kept in the cache by what they are made of.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { runTool } from '../../reference/tools.ts';
import {
  downloadPackages,
  downloadWithDependencies,
  findDebianMirror,
  openApt,
  packageField,
  unpackPackages,
} from '../../support/debian-packages.ts';
import { makeOnce } from '../../support/make-once.ts';
import { CACHE } from '../../support/project.ts';
import { BUSYBOX_FILES, SYSTEMD_FILES } from './guest-files.ts';
import type { GuestFiles } from './guest-files.ts';
import { ED25519_PACKAGES, GUEST_OSTREE_BUILD, buildGuestOstree } from './guest-ostree.ts';

/** Rises when what is made of the packages changes. */
const VERSION = 4;

type Arch = 'arm64' | 'arm';

interface GuestRecipe {
  readonly arch: Arch;
  readonly init: 'busybox' | 'systemd';
  /** Of the userland; kernel and BusyBox are Debian 12's in all of them. */
  readonly suite: 'bookworm' | 'trixie';
  readonly packages: readonly string[];
  /** With a libostree of its own. */
  readonly ed25519?: true;
}

const OSTREE = ['ostree', 'ostree-boot', 'libubootenv-tool'];

export const GUESTS = {
  busybox: { arch: 'arm64', init: 'busybox', suite: 'trixie', packages: OSTREE },
  systemd: {
    arch: 'arm64',
    init: 'systemd',
    suite: 'trixie',
    packages: [...OSTREE, 'systemd', 'systemd-sysv', 'libkmod2'],
  },
  arm: { arch: 'arm', init: 'busybox', suite: 'trixie', packages: OSTREE },
  ed25519: {
    arch: 'arm64',
    init: 'busybox',
    suite: 'bookworm',
    packages: [...ED25519_PACKAGES, 'libubootenv-tool'],
    ed25519: true,
  },
} as const satisfies Record<string, GuestRecipe>;

export type GuestName = keyof typeof GUESTS;

export interface Guest {
  readonly arch: Arch;
  readonly init: 'busybox' | 'systemd';
  /** The root filesystem, with the kernel's modules. */
  readonly rootfs: string;
  readonly kernel: string;
  readonly kernelRelease: string;
  /** Its libostree can check ed25519 signatures. */
  readonly verifies: boolean;
}

/** Names of each architecture: Debian's, its packages', its directory of libraries. */
const ARCHES = {
  arm64: { debian: 'arm64', kernel: 'linux-image-arm64', triplet: 'aarch64-linux-gnu' },
  arm: { debian: 'armhf', kernel: 'linux-image-armmp', triplet: 'arm-linux-gnueabihf' },
} as const;

/** Directories of the kernel's modules that a virtual machine uses. */
const MODULES = [
  'kernel/fs/ext4',
  'kernel/fs/jbd2',
  'kernel/fs/mbcache.ko',
  'kernel/lib',
  'kernel/crypto/crc32c_generic.ko',
  'kernel/drivers/virtio',
  'kernel/drivers/block/virtio_blk.ko',
  'kernel/drivers/net/virtio_net.ko',
  'kernel/drivers/net/net_failover.ko',
  'kernel/net/core/failover.ko',
  'kernel/drivers/watchdog/i6300esb.ko',
  'kernel/drivers/char/hw_random',
];

/** Packages that matter only when a package is installed, or that no device of ours runs. */
const NOT_NEEDED = [
  ...['adduser', 'base-passwd', 'bubblewrap', 'debconf', 'dpkg', 'gnupg', 'init-system-helpers', 'passwd'],
  ...['perl', 'perl-base', 'systemd', 'usrmerge', 'gpgv', 'gpg', 'fuse3', 'libfuse3-4', 'libfuse3-3'],
  ...['gsettings-desktop-schemas', 'glib-networking', 'dconf-gsettings-backend', 'sysvinit-utils'],
  ...['dracut', 'initramfs-tools'],
];

const FILES: Readonly<Record<'busybox' | 'systemd', GuestFiles>> = {
  busybox: BUSYBOX_FILES,
  systemd: SYSTEMD_FILES,
};

function cachePath(name: string, parts: readonly unknown[]): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([VERSION, parts]))
    .digest('hex');
  return join(CACHE, 'guest', `${name}-${digest.slice(0, 10)}`);
}

/** Makes a guest, or finds it in the cache. */
export async function makeGuest(name: GuestName): Promise<Guest> {
  const recipe: GuestRecipe = GUESTS[name];
  const { arch, init, suite, packages, ed25519 } = recipe;
  const files = FILES[init];
  const parts = [recipe, NOT_NEEDED, MODULES, files, ed25519 === true ? GUEST_OSTREE_BUILD : ''];
  const target = cachePath(name, parts);
  const kernel = await makeKernel(arch);
  await makeOnce(target, async (rootfs, scratch) => {
    const mirror = await findDebianMirror();
    const apt = await openApt({
      directory: join(scratch, 'apt'),
      mirror,
      suites: [suite],
      architecture: ARCHES[arch].debian,
      assumeInstalled: NOT_NEEDED.filter((each) => !packages.includes(each)),
    });
    const unpacked = join(scratch, 'unpacked');
    await unpackPackages(await downloadWithDependencies(apt, packages), unpacked);
    if (ed25519 === true) {
      const built = cachePath('ostree', [GUEST_OSTREE_BUILD]);
      await makeOnce(built, (directory, own) =>
        buildGuestOstree(directory, { mirror, scratch: own, progress: () => undefined }),
      );
      await copyTree(built, unpacked);
    }
    await cp(kernel.busybox, join(unpacked, 'usr/bin/busybox'));
    await arrange(unpacked, rootfs, arch, init);
    await copyTree(kernel.modules, join(rootfs, 'usr/lib/modules'));
  });
  return {
    ...{ arch, init, rootfs: target, verifies: ed25519 === true },
    ...{ kernel: kernel.image, kernelRelease: kernel.release },
  };
}

/** The newest kernel of Debian 12 for an architecture, and its BusyBox. */
async function makeKernel(
  arch: Arch,
): Promise<{ image: string; modules: string; busybox: string; release: string }> {
  const { debian, kernel } = ARCHES[arch];
  const target = cachePath(`kernel-${arch}`, [MODULES]);
  await makeOnce(target, async (made, scratch) => {
    const apt = await openApt({
      directory: join(scratch, 'apt'),
      mirror: await findDebianMirror(),
      suites: ['bookworm'],
      architecture: debian,
    });
    // The package without a version depends on the newest kernel.
    const depends = (await packageField(apt, kernel, 'Depends')) ?? '';
    const newest = /linux-image-\S+/.exec(depends)?.[0];
    if (newest === undefined) throw new Error(`${kernel} depends on no kernel`);
    const debs = await downloadPackages(apt, [newest, 'busybox-static'], join(scratch, 'debs'));
    const unpacked = join(scratch, 'unpacked');
    await unpackPackages(debs, unpacked);
    const release = newest.replace('linux-image-', '');
    await cp(join(unpacked, 'usr/bin/busybox'), join(made, 'busybox'));
    await cp(join(unpacked, 'boot', `vmlinuz-${release}`), join(made, 'vmlinuz'));
    const modules = join('usr/lib/modules', release);
    const wanted = ['modules.builtin', 'modules.order', 'modules.builtin.modinfo', ...MODULES];
    for (const path of wanted.map((each) => join(modules, each))) {
      if (existsSync(join(unpacked, path))) await copyTree(join(unpacked, path), join(made, path));
    }
    await runTool('depmod', ['-b', join(made, 'usr'), release], { suite: 'qemu' });
    await writeFile(join(made, 'release'), release);
  });
  return {
    image: join(target, 'vmlinuz'),
    modules: join(target, 'usr/lib/modules'),
    busybox: join(target, 'busybox'),
    release: await readFile(join(target, 'release'), 'utf8'),
  };
}

const copyTree = (from: string, to: string): Promise<void> =>
  cp(from, to, { recursive: true, verbatimSymlinks: true });

/** Takes from unpacked packages what runs on a device, in a merged /usr, and adds what maintainer scripts make. */
async function arrange(from: string, to: string, arch: Arch, init: 'busybox' | 'systemd'): Promise<void> {
  const { directories, links, files } = FILES[init];
  const taken = ['usr/bin', 'usr/sbin', `usr/lib/${ARCHES[arch].triplet}`, 'usr/lib/ostree'];
  if (init === 'systemd') taken.push('usr/lib/systemd', 'usr/lib/tmpfiles.d');
  for (const name of await readdir(join(from, 'usr/lib'))) {
    if (/^ld-linux/.test(name)) taken.push(`usr/lib/${name}`);
  }
  for (const path of taken)
    if (existsSync(join(from, path))) await copyTree(join(from, path), join(to, path));
  for (const name of ['bin', 'sbin', 'lib']) await symlink(`usr/${name}`, join(to, name));
  for (const path of directories) await mkdir(join(to, path), { recursive: true });
  for (const [path, { text, mode = 0o644 }] of Object.entries(files)) {
    await mkdir(join(to, path, '..'), { recursive: true });
    await writeFile(join(to, path), text, { mode });
  }
  for (const [path, target] of Object.entries(links)) {
    await mkdir(join(to, path, '..'), { recursive: true });
    await symlink(target, join(to, path));
  }
  const { stdout } = await runTool('busybox', ['--list']);
  for (const applet of stdout.split('\n').filter((name) => name !== '' && name !== 'busybox')) {
    const taken = ['bin', 'sbin'].some((directory) => existsSync(join(to, 'usr', directory, applet)));
    if (!taken) await symlink('busybox', join(to, 'usr/bin', applet));
  }
  await execa('ldconfig', ['-r', to], { reject: false, stdin: 'ignore' });
}

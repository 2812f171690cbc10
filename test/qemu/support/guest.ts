/**
 * The root filesystem of a device, made of Debian packages for arm64: a kernel with the modules a virtual machine
 * needs, libostree, libubootenv, and BusyBox as its init, arranged as Buildroot arranges a system.
 * Kept in the cache by the versions of its packages.
 */
import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  downloadPackages,
  downloadWithDependencies,
  findDebianMirror,
  openApt,
  packageField,
  packageOfDeb,
  unpackPackages,
} from '../../support/debian-packages.ts';
import { CACHE } from '../../support/project.ts';
import { runTool } from '../../reference/tools.ts';

/** Rises when what is made of the packages changes. */
const VERSION = 3;

export interface Guest {
  /** The root filesystem, with the kernel's modules. */
  readonly rootfs: string;
  readonly kernel: string;
  readonly kernelRelease: string;
}

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
  ...[
    'adduser',
    'base-passwd',
    'bubblewrap',
    'debconf',
    'dpkg',
    'gnupg',
    'init-system-helpers',
    'passwd',
    'perl',
  ],
  ...[
    'perl-base',
    'systemd',
    'usrmerge',
    'gpgv',
    'gpg',
    'fuse3',
    'libfuse3-4',
    'libfuse3-3',
    'gsettings-desktop-schemas',
  ],
  ...['glib-networking', 'dconf-gsettings-backend', 'sysvinit-utils', 'dracut', 'initramfs-tools'],
];

const RCS = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin
mountpoint() { grep -q " $1 " /proc/mounts; }
mountpoint /proc || mount -t proc proc /proc
mkdir -p /dev/pts /dev/shm
modprobe i6300esb
for script in /etc/init.d/S??*; do
  [ -x "$script" ] && "$script" start
done
echo "GUEST-BOOTED $(cat /usr/lib/release-number)"
`;

const NETWORK = `#!/bin/sh
[ "$1" = start ] || exit 0
modprobe virtio_net
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
`;

/** Makes the guest, or finds it in the cache. */
export async function makeGuest(): Promise<Guest> {
  const mirror = await findDebianMirror();
  const directory = join(CACHE, 'guest');
  await mkdir(directory, { recursive: true });
  const apt = (suite: string) =>
    openApt({
      directory: join(directory, `apt-${suite}`),
      mirror,
      suites: [suite],
      architecture: 'arm64',
      assumeInstalled: NOT_NEEDED,
    });
  const bookworm = await apt('bookworm');
  const trixie = await apt('trixie');
  // The package without a version depends on the newest kernel.
  const depends = (await packageField(bookworm, 'linux-image-arm64', 'Depends')) ?? '';
  const kernelPackage = /linux-image-\S+/.exec(depends)?.[0] ?? '';
  const kernelDebs = await downloadPackages(
    bookworm,
    [kernelPackage, 'busybox-static'],
    join(directory, 'debs'),
  );
  const wanted = [kernelPackage, 'busybox-static'];
  const debs = [
    ...kernelDebs.filter((path) => wanted.includes(packageOfDeb(path).name)),
    ...(await downloadWithDependencies(trixie, ['ostree', 'ostree-boot', 'libubootenv-tool'])),
  ];
  const digest = createHash('sha256')
    .update(JSON.stringify([VERSION, RCS, NETWORK, MODULES, debs.map(packageOfDeb)]))
    .digest('hex')
    .slice(0, 10);
  const target = join(directory, `arm64-${digest}`);
  const kernelRelease = kernelPackage.replace('linux-image-', '');
  const guest = { rootfs: join(target, 'rootfs'), kernel: join(target, 'Image'), kernelRelease };
  if (existsSync(target)) return guest;
  const work = `${target}.new`;
  await rm(work, { recursive: true, force: true });
  await unpackPackages(debs, join(work, 'unpacked'));
  await arrange(join(work, 'unpacked'), join(work, 'rootfs'), kernelRelease);
  await cp(join(work, 'unpacked/boot', `vmlinuz-${kernelRelease}`), join(work, 'Image'));
  await rm(join(work, 'unpacked'), { recursive: true });
  await rename(work, target);
  return guest;
}

async function arrange(from: string, to: string, kernelRelease: string): Promise<void> {
  const usr = join(to, 'usr');
  for (const directory of ['bin', 'sbin', 'lib', 'share'])
    await mkdir(join(usr, directory), { recursive: true });
  const copy = (path: string): Promise<void> =>
    cp(join(from, path), join(to, path), { recursive: true, verbatimSymlinks: true });
  for (const path of ['usr/bin', 'usr/sbin', 'usr/lib/aarch64-linux-gnu', 'usr/lib/ostree']) {
    if (existsSync(join(from, path))) await copy(path);
  }
  for (const name of await readdir(join(from, 'usr/lib'))) {
    if (/^ld-linux/.test(name)) await copy(`usr/lib/${name}`);
  }
  for (const path of MODULES) {
    const module = `usr/lib/modules/${kernelRelease}/${path}`;
    if (existsSync(join(from, module))) await copy(module);
  }
  for (const name of ['modules.builtin', 'modules.order', 'modules.builtin.modinfo']) {
    await copy(`usr/lib/modules/${kernelRelease}/${name}`);
  }
  for (const name of ['bin', 'sbin', 'lib']) await symlink(`usr/${name}`, join(to, name));
  await runTool('depmod', ['-b', to, kernelRelease], { suite: 'qemu' });
  for (const directory of [
    'dev',
    'proc',
    'sys',
    'run',
    'tmp',
    'mnt',
    'root',
    'var/lib',
    'var/log',
    'etc/init.d',
  ]) {
    await mkdir(join(to, directory), { recursive: true });
  }
  const { stdout } = await runTool('busybox', ['--list']);
  for (const applet of stdout.split('\n')) {
    const path = join(usr, 'bin', applet);
    if (
      applet !== '' &&
      applet !== 'busybox' &&
      !existsSync(path) &&
      !existsSync(join(usr, 'sbin', applet))
    ) {
      await symlink('busybox', path);
    }
  }
  await rm(join(usr, 'sbin/init'), { force: true });
  await symlink('../bin/busybox', join(usr, 'sbin/init'));
  const text = (path: string, content: string): Promise<void> => writeFile(join(to, path), content);
  await text('usr/lib/os-release', 'ID=guest\nPRETTY_NAME="Guest"\n');
  await symlink('../usr/lib/os-release', join(to, 'etc/os-release'));
  await text('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n');
  await text('etc/group', 'root:x:0:\n');
  await text('etc/hostname', 'guest\n');
  await text('etc/inittab', '::sysinit:/etc/init.d/rcS\nconsole::respawn:-/bin/sh\n');
  await text('etc/init.d/rcS', RCS);
  await text('etc/init.d/S10network', NETWORK);
  for (const script of ['rcS', 'S10network']) await chmod(join(to, 'etc/init.d', script), 0o755);
  await execa('ldconfig', ['-r', to], { reject: false, stdin: 'ignore' });
}

/**
 * The demo's build output, like the `output/images` of a build system: rootfs.tar, a kernel and device trees.
 * Real Debian packages for arm64 where the machine has apt, otherwise the small system described beside this file.
 */
import { execa } from 'execa';
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT } from '../../test/support/project.ts';
import { addDescribed, generatedBytes } from './description.ts';
import type { DemoPackages } from './packages.ts';
import type { Placement, TreeTar } from './tree-tar.ts';
import { addArchive, addPackage, createTreeTar } from './tree-tar.ts';

export interface BuildResult {
  /** Entries in rootfs.tar. */
  readonly entries: number;
  readonly kernelRelease: string;
}

const DESCRIPTIONS = join(PROJECT, 'examples/demo');

/** The boards whose device trees the demo ships. */
const DEVICE_TREES = ['freescale/imx8mm-evk.dtb', 'freescale/imx8mm-ddr4-evk.dtb'];

/** Documentation, and character set tables that weigh five times what they are used for here. */
const LEFT_OUT = /^usr\/(?:share\/(?:doc|doc-base|man|menu|lintian|locale|info|initramfs-tools|bug)|lib\/[^/]+\/gconv)(?:\/|$)/;

/** Modules a gateway may need; all of Debian's would be 350 MB. */
const MODULES = new RegExp(
  '^kernel/(?:crypto|lib|fs/(?:ext4|jbd2|mbcache|overlayfs|squashfs|fat|nls|fuse|exfat|isofs)|' +
    'drivers/(?:block|virtio|mmc|leds|gpio|rtc|watchdog|pwm|thermal|i2c|spi|clk|dma|' +
    'net/(?:can|ethernet/freescale|phy|usb|virtio_net)|usb/(?:serial|storage|gadget))|net/(?:can|8021q|bridge|ipv6))(?:/|\\.ko)',
);

/** Applets of BusyBox that belong to the administrator. */
const SBIN = new Set(
  [
    'acpid adjtimex arp blkdiscard blockdev brctl chroot crond devmem fatattr fdisk findfs freeramdisk fsfreeze fstrim',
    'getty halt httpd hwclock ifconfig ifdown ifup init insmod ip ipneigh klogd loadfont loadkmap logread losetup lsmod',
    'mdev mkdosfs mke2fs mkswap modinfo modprobe nameif nologin openvt partprobe pivot_root poweroff reboot rmmod route',
    'run-init setkeycodes start-stop-daemon sulogin svc svok swapoff swapon switch_root sysctl syslogd telnetd tunctl',
    'udhcpc udhcpd uevent vconfig watchdog',
  ].flatMap((line) => line.split(' ')),
);

/** Itself, package tools without a database, and the program that only the second release is to have. */
const NO_LINK = new Set(['busybox', 'bc', 'dpkg', 'dpkg-deb', 'rpm', 'rpm2cpio']);

/** Debian packages as images for the first release. */
export async function buildDebianImages(images: string, packages: DemoPackages): Promise<BuildResult> {
  const { kernelRelease } = packages;
  await mkdir(images, { recursive: true });
  const tar = createTreeTar(join(images, 'rootfs.tar'));
  for (const [link, target] of Object.entries({ bin: 'usr/bin', sbin: 'usr/sbin', lib: 'usr/lib' })) {
    await tar.directory(target);
    await tar.symlink(link, target);
  }
  await addDescribed(tar, join(DESCRIPTIONS, 'system.yaml'));
  for (const deb of packages.base) await addPackage(tar, deb, placeInTree);
  await addPackage(tar, packages.kernel, (path) => placeKernel(path, images, kernelRelease));
  await addApplets(tar, packages);
  return { entries: await tar.finish(), kernelRelease };
}

/** The second release's rootfs.tar: the first one's content and bc with its libraries. */
export async function addDebianCalculator(images: string, packages: DemoPackages): Promise<number> {
  return rebuild(images, async (tar) => {
    for (const deb of packages.calculator) await addPackage(tar, deb, placeInTree);
  });
}

/** The described system as images for the first release. */
export async function buildSmallImages(images: string): Promise<BuildResult> {
  const kernelRelease = '6.1.0-treewright-demo';
  await mkdir(images, { recursive: true });
  const tar = createTreeTar(join(images, 'rootfs.tar'));
  await addDescribed(tar, join(DESCRIPTIONS, 'small-rootfs.yaml'));
  await addDescribed(tar, join(DESCRIPTIONS, 'system.yaml'));
  const entries = await tar.finish();
  await writeFile(join(images, 'Image'), madeUpKernel(kernelRelease));
  return { entries, kernelRelease };
}

/** The second release of the described system. */
export async function addSmallCalculator(images: string): Promise<number> {
  return rebuild(images, (tar) => addDescribed(tar, join(DESCRIPTIONS, 'small-rootfs-bc.yaml')));
}

async function rebuild(images: string, more: (tar: TreeTar) => Promise<void>): Promise<number> {
  const file = join(images, 'rootfs.tar');
  const next = `${file}.new`;
  const tar = createTreeTar(next);
  // What is added first stays: directories keep their modes, and new files replace old ones.
  await addArchive(tar, file, 'directory');
  await more(tar);
  await addArchive(tar, file);
  const entries = await tar.finish();
  await rename(next, file);
  return entries;
}

/** Names of the device trees below `images`. */
export async function deviceTreesOf(images: string): Promise<string[]> {
  return (await readdir(images)).filter((name) => name.endsWith('.dtb')).sort();
}

/** Debian's packages still name /bin, /sbin and /lib; the tree has them merged into /usr. */
function placeInTree(path: string): Placement {
  const merged = path.replace(/^(?:bin|sbin|lib)(?=\/|$)/, 'usr/$&');
  return LEFT_OUT.test(merged) ? undefined : { path: merged };
}

function placeKernel(path: string, images: string, release: string): Placement {
  if (path === `boot/vmlinuz-${release}`) return { outside: join(images, 'Image') };
  const tree = path.startsWith(`usr/lib/linux-image-${release}/`) ? path.split('/').slice(3).join('/') : '';
  if (DEVICE_TREES.includes(tree)) return { outside: join(images, tree.replace(/.*\//, '')) };
  const modules = `lib/modules/${release}/`;
  if (!path.startsWith(modules) || path.endsWith('/')) return undefined;
  const inside = path.slice(modules.length);
  return MODULES.test(inside) || /^modules\./.test(inside) ? placeInTree(path) : undefined;
}

/** Links for every applet the BusyBox of the package has: its table of names lies in the program itself. */
async function addApplets(tar: TreeTar, { base }: DemoPackages): Promise<void> {
  const deb = base.find((path) => path.includes('/busybox-static_'));
  if (deb === undefined) throw new Error('no busybox-static among the packages');
  const { stdout } = await execa('dpkg-deb', ['--fsys-tarfile', deb], {
    stdin: 'ignore',
    encoding: 'buffer',
    stripFinalNewline: false,
  });
  for (const name of appletNames(Buffer.from(stdout))) {
    if (NO_LINK.has(name)) continue;
    if (SBIN.has(name)) await tar.symlink(`usr/sbin/${name}`, '../bin/busybox');
    else await tar.symlink(`usr/bin/${name}`, 'busybox');
  }
}

/** The sorted, zero-terminated names that begin with `[` and end with an empty one. */
function appletNames(program: Buffer): string[] {
  const names: string[] = [];
  const table = program.indexOf('\0[\0[[\0', 0, 'latin1');
  if (table < 0) throw new Error('no table of applets found in busybox');
  for (let start = table + 1; ; ) {
    const end = program.indexOf(0, start);
    if (end <= start) return names;
    names.push(program.toString('latin1', start, end));
    start = end + 1;
  }
}

/** A file with the header of an arm64 kernel image and a version text; its code is one endless loop. */
function madeUpKernel(release: string): Buffer {
  const size = 4_000_000;
  const image = generatedBytes(release, size);
  image.fill(0, 0, 4096);
  image.writeUInt32LE(0x14000000, 0);
  image.writeBigUInt64LE(BigInt(size), 16);
  image.write('ARM\x64', 56, 'latin1');
  image.write(`Linux version ${release} (demo@example) #1 SMP\n\0`, 1024, 'latin1');
  return image;
}

/**
 * Pairs of real trees, one update apart, made of Debian packages: bookworm as released, and with its updates and
 * security fixes. Packages are unpacked, not installed; the initramfs is Debian's own, made by mkinitramfs in the tree.
 */
import { execa } from 'execa';
import {
  appendFile,
  copyFile,
  cp,
  mkdir,
  open,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { makeOnce } from '../test/support/make-once.ts';
import { PROJECT, CACHE } from '../test/support/project.ts';
import { downloadWithDependencies, findDebianMirror, openApt } from '../test/support/debian-packages.ts';

/** A gateway with the cloud kernel (its modules are not compressed), and what mkinitramfs needs. */
const PACKAGES = [
  'base-files', 'systemd', 'systemd-sysv', 'udev', 'dbus', 'bash', 'coreutils', 'util-linux', 'iproute2',
  'openssh-server', 'linux-image-cloud-amd64', 'python3', 'perl', 'curl', 'git', 'nginx', 'locales', 'tzdata', 'vim',
  'gnupg', 'network-manager', 'sudo', 'iptables', 'nftables', 'ca-certificates', 'libglib2.0-data', 'busybox', 'kmod',
  'initramfs-tools', 'strace', 'dash', 'sed', 'grep', 'gzip', 'findutils', 'diffutils', 'hostname', 'login',
  'ncurses-base', 'ncurses-bin', 'sysvinit-utils', 'tar', 'zstd', 'cpio', 'bsdutils', 'debianutils', 'dpkg', 'libc-bin',
  'mawk',
]; // prettier-ignore

const BENCH = join(CACHE, 'bench');

/** One pair as two commits of one archive repository. */
export interface Pair {
  readonly name: string;
  readonly what: string;
  readonly repo: string;
  readonly from: string;
  readonly to: string;
}

type Release = 'old' | 'new';
const RELEASES: readonly Release[] = ['old', 'new'];

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** The root filesystem of a release, unpacked. */
async function rootfs(release: Release): Promise<string> {
  const target = join(BENCH, `root-${release}`);
  await makeOnce(target, async (root) => {
    say(`unpacking the ${release} root filesystem (once) ...`);
    const mirror = await findDebianMirror();
    const security = mirror.uri.replace(/\/debian\/?$/, '/debian-security');
    const apt = await openApt({
      directory: join(BENCH, `apt-${release}`),
      mirror,
      suites: release === 'old' ? ['bookworm'] : ['bookworm', 'bookworm-updates'],
      ...(release === 'old' ? {} : { others: [{ uri: security, suite: 'bookworm-security' }] }),
    });
    for (const deb of await downloadWithDependencies(apt, PACKAGES)) {
      // In a pipe: the kernel's package is larger than what should be held.
      const script = 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"';
      await execa('sh', ['-c', script, 'sh', deb, root], { stdin: 'ignore' });
    }
    await makeInitramfs(root);
  });
  return target;
}

async function kernelRelease(root: string): Promise<string> {
  const image = (await readdir(join(root, 'boot'))).find((name) => name.startsWith('vmlinuz-'));
  if (image === undefined) throw new Error(`no kernel in ${root}/boot`);
  return image.slice('vmlinuz-'.length);
}

/** What packages' scripts would have done, as far as mkinitramfs needs it. Needs root for chroot. */
async function makeInitramfs(root: string): Promise<void> {
  const kernel = await kernelRelease(root);
  const script = [
    'set -e',
    'ln -sf dash "$1/bin/sh"',
    'ln -sf mawk "$1/usr/bin/awk"',
    `echo 'root:x:0:0:root:/root:/bin/bash' >"$1/etc/passwd"`,
    'chroot "$1" /sbin/ldconfig',
    'chroot "$1" /sbin/depmod "$2"',
    'chroot "$1" /usr/sbin/mkinitramfs -o "/boot/initrd.img-$2" "$2" 2>/dev/null',
    'rm -f "$1/etc/ld.so.cache"',
  ].join('\n');
  await execa('sh', ['-c', script, 'sh', root, kernel], {
    env: { SOURCE_DATE_EPOCH: '1700000000' },
    stdin: 'ignore',
  });
}

async function commit(repo: string, branch: string, source: string, timestamp: number): Promise<string> {
  const { stdout } = await execa(process.execPath, [
    join(PROJECT, 'dist/cli/main.js'), 'commit', '--repo', repo, '--branch', branch, '--source', source, '--layout',
    'none', '--timestamp', String(timestamp), '--subject', 'bench', '--json',
  ]); // prettier-ignore
  return (JSON.parse(stdout) as { commit: string }).commit;
}

/** Commits two directories, made by `fill`, and removes them again. */
async function pairOf(
  name: string,
  what: string,
  fill: (directory: string, release: Release) => Promise<void>,
): Promise<Pair> {
  const made = join(BENCH, `pair-${name}`);
  await makeOnce(made, async (directory, scratch) => {
    say(`making the pair "${name}" (once) ...`);
    const commits = [];
    for (const [i, release] of RELEASES.entries()) {
      const tree = join(scratch, 'tree');
      await mkdir(tree);
      await fill(tree, release);
      const tar = join(scratch, 'tree.tar');
      await execa('tar', ['-C', tree, '--sort=name', '--numeric-owner', '--format=posix', '-cf', tar, '.']);
      commits.push(await commit(join(directory, 'repo'), release, tar, 1_700_000_000 + i));
      await rm(tree, { recursive: true });
      await rm(tar);
    }
    await writeFile(join(directory, 'commits.json'), JSON.stringify(commits));
  });
  const [from = '', to = ''] = JSON.parse(await readFile(join(made, 'commits.json'), 'utf8')) as string[];
  return { name, what, repo: join(made, 'repo'), from, to };
}

async function copyTree(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
}

async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** The whole update, with the initramfs as it comes (zstd) and the kernel (LZ4 inside). */
export async function securityUpdate(): Promise<Pair> {
  return pairOf('security', 'root filesystem, one security update apart', async (tree, release) =>
    copyTree(await rootfs(release), tree),
  );
}

/** The same, with the initramfs unpacked by zstd in both releases. */
export async function plainInitramfs(): Promise<Pair> {
  return pairOf('plain-initramfs', 'the same, initramfs not compressed in both', async (tree, release) => {
    await copyTree(await rootfs(release), tree);
    const boot = join(tree, 'boot');
    const image = join(boot, `initrd.img-${await kernelRelease(tree)}`);
    await execa('zstd', ['-d', '-q', '--rm', image, '-o', `${image}.cpio`]);
    await rename(`${image}.cpio`, image);
  });
}

/** What of it a delta can say in terms of the old release: no initramfs, no kernel image, nothing in gzip. */
export async function diffablePart(): Promise<Pair> {
  return pairOf('diffable', 'the same without initramfs, kernel image and *.gz', async (tree, release) => {
    await copyTree(await rootfs(release), tree);
    for (const path of await filesBelow(tree)) {
      if (/\/boot\/(initrd|vmlinuz)|\.gz$/.test(path)) await rm(path);
    }
  });
}

/** `share` of the kernel's modules, by name: 1 is all, 4 every fourth. */
export async function kernelModules(share: number): Promise<Pair> {
  return pairOf(`modules-${share}`, `kernel modules, one in ${share}`, async (tree, release) => {
    const modules = join(await rootfs(release), 'lib/modules');
    const files = (await filesBelow(modules)).filter((path) => path.endsWith('.ko'));
    const names = [...new Set(files.map((path) => path.slice(path.indexOf('/kernel/'))))].sort();
    const taken = new Set(names.filter((_, i) => i % share === 0));
    for (const path of files) {
      if (!taken.has(path.slice(path.indexOf('/kernel/')))) continue;
      const to = join(tree, path.slice(modules.length));
      await mkdir(join(to, '..'), { recursive: true });
      await copyFile(path, to);
    }
  });
}

export async function kernelBump(): Promise<Pair> {
  return pairOf('kernel', 'kernel image and modules under another version', async (tree, release) => {
    const root = await rootfs(release);
    await copyTree(join(root, 'lib/modules'), join(tree, 'modules'));
    const kernel = await kernelRelease(root);
    await copyFile(join(root, 'boot', `vmlinuz-${kernel}`), join(tree, `vmlinuz-${kernel}`));
  });
}

export async function pythonBump(): Promise<Pair> {
  return pairOf('python', 'the python3.11 of both releases', async (tree, release) => {
    const root = await rootfs(release);
    await mkdir(join(tree, 'bin'));
    await copyFile(join(root, 'usr/bin/python3.11'), join(tree, 'bin/python3.11'));
    await copyTree(join(root, 'usr/lib/python3.11'), join(tree, 'python3.11'));
  });
}

export async function renamedTree(): Promise<Pair> {
  return pairOf('renamed', 'libraries moved, renamed and edited', async (tree, release) => {
    const files = await filesBelow(join(await rootfs('old'), 'usr/lib/x86_64-linux-gnu'));
    const directory = join(tree, release === 'old' ? 'opt/vendor-1' : 'srv/libraries');
    await mkdir(directory, { recursive: true });
    for (const [i, path] of files.entries()) {
      if ((await stat(path)).size < 4096) continue;
      const to = join(directory, release === 'old' ? `lib${i}.so` : `module-${i * 7}.bin`);
      await copyFile(path, to);
      if (release === 'new') await appendFile(to, `edited ${i}\n`);
    }
  });
}

/** Size of the large file: beyond what libostree matches (128 MB). */
const LARGE = 300_000_000;

export async function largeFile(): Promise<Pair> {
  return pairOf('large', 'a file of 300 MB, 1 MB replaced by 1.2 MB in its middle', async (tree, release) => {
    const path = join(tree, 'data.img');
    const whole = join(tree, 'whole');
    let size = 0;
    for (const file of await filesBelow(await rootfs('old'))) {
      if (size > LARGE) break;
      const content = await readFile(file);
      await appendFile(whole, content);
      size += content.length;
    }
    if (release === 'old') {
      await rename(whole, path);
      return;
    }
    const content = await open(whole);
    const start = Buffer.alloc(size / 2);
    await content.read(start, 0, start.length, 0);
    const rest = Buffer.alloc(size - start.length - 1_000_000);
    await content.read(rest, 0, rest.length, start.length + 1_000_000);
    await content.close();
    await rm(whole);
    const middle = (await readFile(join(await rootfs('new'), 'usr/bin/python3.11'))).subarray(0, 1_200_000);
    await writeFile(path, Buffer.concat([start, middle, rest]));
  });
}

export async function equalTree(): Promise<Pair> {
  return pairOf('equal', 'the same tree, committed again', async (tree) =>
    copyTree(join(await rootfs('old'), 'usr/lib/python3.11'), tree),
  );
}

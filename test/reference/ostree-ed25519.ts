/**
 * libostree that can sign and check with ed25519. Debian builds it without, so Debian's source package of
 * Debian 12 is built again with libsodium, inside a throw-away folder of unpacked packages entered by chroot: as
 * root, or as root of a user namespace where the kernel grants one. Nothing of the system is changed.
 */
import { execa } from 'execa';
import { copyFile, cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  downloadSource,
  downloadWithDependencies,
  openApt,
  unpackPackages,
} from '../support/debian-packages.ts';
import type { RootContext } from './roots.ts';

/** The compiler and what a build of libostree and its command needs, signatures and HTTP included. */
const BUILD_PACKAGES = [
  ...[
    'gcc',
    'libc6-dev',
    'make',
    'bison',
    'dash',
    'coreutils',
    'sed',
    'grep',
    'gawk',
    'findutils',
    'diffutils',
  ],
  ...['tar', 'xz-utils', 'pkgconf', 'libglib2.0-dev', 'libarchive-dev', 'libcurl4-gnutls-dev', 'liblzma-dev'],
  ...['zlib1g-dev', 'libext2fs-dev', 'libgpgme-dev', 'libsodium-dev'],
];

/** Left out: what a test client does not use. The flags for gpgme stand in for a probe that predates its .pc file. */
const BUILD_SCRIPT = `set -e
export PATH=/usr/sbin:/usr/bin HOME=/build LC_ALL=C.UTF-8 TZ=UTC
cd /build
tar -x --no-same-owner -f source.tar.xz
cd libostree-*
export OT_DEP_GPGME_CFLAGS=-D_FILE_OFFSET_BITS=64 OT_DEP_GPGME_LIBS='-lgpgme -lassuan -lgpg-error'
./configure --prefix=/usr/local --libdir=/usr/local/lib --sysconfdir=/etc --with-ed25519-libsodium --with-curl \\
  --without-soup --without-avahi --without-selinux --without-libmount --without-libsystemd \\
  --disable-rofiles-fuse --disable-introspection --disable-man --disable-gtk-doc --disable-static \\
  --disable-dependency-tracking CFLAGS=-O1
make -j"$JOBS"
make install DESTDIR=/build/out
`;

/** Rises when the build changes. */
export const ED25519_BUILD = `1 ${BUILD_PACKAGES.join(' ')} ${BUILD_SCRIPT}`;

/** How to be root inside the build folder, for the machines where each works; tried in turn. */
const ENTER_SCRIPT = `set -e
root=$1
if [ "$(id -u)" = 0 ] && mknod -m 666 "$root/dev/null" c 1 3 2>/dev/null && : 2>/dev/null >"$root/dev/null"; then
  exec chroot "$root" /bin/sh /build/build.sh
fi
rm -f "$root/dev/null"
exec unshare --user --map-root-user --mount /bin/sh -c \\
  'mount --rbind /dev "$1/dev" && exec chroot "$1" /bin/sh /build/build.sh' sh "$root"
`;

/** Builds libostree and puts it into `root` over Debian's. Takes about half a minute. */
export async function buildWithEd25519(
  root: string,
  { mirror, scratch, progress }: RootContext,
): Promise<void> {
  const apt = await openApt({
    directory: join(scratch, 'apt'),
    mirror,
    suites: ['bookworm'],
    sources: true,
    assumeInstalled: ['adduser', 'base-passwd', 'debconf', 'dpkg', 'gnupg', 'passwd', 'perl', 'usrmerge'],
  });
  const source = (await downloadSource(apt, 'ostree', join(scratch, 'source'))).find((path) =>
    path.endsWith('.orig.tar.xz'),
  );
  if (source === undefined) throw new Error('the source package of ostree holds no .orig.tar.xz');
  const debs = await downloadWithDependencies(apt, BUILD_PACKAGES);
  progress('ed25519: building libostree with libsodium');
  const build = join(scratch, 'build-root');
  await unpackPackages(debs, build);
  await copyFile(source, join(await prepareBuild(build), 'source.tar.xz'));
  await runInBuild(build, BUILD_SCRIPT);
  const options = { recursive: true, verbatimSymlinks: true };
  await cp(join(build, 'build/out/usr/local'), join(root, 'usr/local'), options);
}

/** Adds what maintainer scripts make elsewhere to unpacked packages; answers the directory `build` in them. */
export async function prepareBuild(root: string): Promise<string> {
  for (const name of ['build', 'dev', 'tmp']) await mkdir(join(root, name), { recursive: true });
  await symlink('gawk', join(root, 'usr/bin/awk'));
  await symlink('gcc', join(root, 'usr/bin/cc'));
  return join(root, 'build');
}

/** Runs a shell script as root inside `root`, in which JOBS is the number of processors. */
export async function runInBuild(root: string, script: string): Promise<void> {
  await writeFile(join(root, 'build/build.sh'), script);
  const built = await execa('/bin/sh', ['-c', ENTER_SCRIPT, 'sh', root], {
    stdin: 'ignore',
    all: true,
    reject: false,
    env: { JOBS: String(availableParallelism()) },
  });
  if (built.exitCode !== 0) {
    throw new Error(
      `the build failed (it needs root or user namespaces): ${built.all.split('\n').slice(-4).join(' | ')}`,
    );
  }
}

/**
 * libostree for arm64 that checks ed25519 signatures: Debian 12's source package, cross-built with libsodium in a
 * throw-away root, as test/reference/ostree-ed25519.ts does for the build machine. Debian builds it without.
 */
import { copyFile, cp } from 'node:fs/promises';
import { join } from 'node:path';
import { prepareBuild, runInBuild } from '../../reference/ostree-ed25519.ts';
import type { DebianMirror } from '../../support/debian-packages.ts';
import {
  downloadSource,
  downloadWithDependencies,
  openApt,
  unpackPackages,
} from '../../support/debian-packages.ts';

const TOOLS = [
  ...['gcc-aarch64-linux-gnu', 'libc6-dev-arm64-cross', 'make', 'bison', 'dash', 'coreutils', 'sed', 'grep'],
  ...['gawk', 'findutils', 'diffutils', 'tar', 'xz-utils', 'pkgconf', 'libglib2.0-dev-bin'],
];

const LIBRARIES = [
  ...['libc6-dev', 'libglib2.0-dev', 'libcurl4-gnutls-dev', 'liblzma-dev', 'zlib1g-dev', 'libext2fs-dev'],
  'libsodium-dev',
];

/** What an installed package needs besides, and the build does not. */
const NOT_NEEDED = ['adduser', 'base-passwd', 'debconf', 'dpkg', 'gnupg', 'passwd', 'perl', 'usrmerge'];

/** What it needs on the device. */
export const ED25519_PACKAGES = [
  ...['libglib2.0-0', 'libcurl3-gnutls', 'liblzma5', 'zlib1g', 'libext2fs2', 'libsodium23'],
];

const BUILD_SCRIPT = `set -e
export PATH=/usr/sbin:/usr/bin HOME=/build LC_ALL=C.UTF-8 TZ=UTC PKG_CONFIG_SYSROOT_DIR=/target
export PKG_CONFIG_LIBDIR=/target/usr/lib/aarch64-linux-gnu/pkgconfig:/target/usr/share/pkgconfig
cd /build
tar -x --no-same-owner -f source.tar.xz
cd libostree-*
./configure --host=aarch64-linux-gnu --prefix=/usr --libdir=/usr/lib/aarch64-linux-gnu --sysconfdir=/etc \\
  --with-ed25519-libsodium --with-curl --without-soup --without-avahi --without-selinux --without-libmount \\
  --without-libsystemd --without-gpgme --without-libarchive --disable-rofiles-fuse --disable-introspection \\
  --disable-man --disable-gtk-doc --disable-static --disable-dependency-tracking \\
  CC='aarch64-linux-gnu-gcc --sysroot=/target' CFLAGS=-O1
make -j"$JOBS"
make install-strip DESTDIR=/build/out
`;

/** Rises when the build changes. */
export const GUEST_OSTREE_BUILD = JSON.stringify([1, TOOLS, LIBRARIES, BUILD_SCRIPT]);

/** Builds the command, the library and ostree-prepare-root into `root`. Takes about a minute on two cores. */
export async function buildGuestOstree(root: string, mirror: DebianMirror, scratch: string): Promise<void> {
  const apt = (architecture: string | undefined) =>
    openApt({
      directory: join(scratch, `apt-${architecture ?? 'own'}`),
      mirror,
      suites: ['bookworm'],
      sources: architecture === undefined,
      assumeInstalled: NOT_NEEDED,
      ...(architecture === undefined ? {} : { architecture }),
    });
  const own = await apt(undefined);
  const build = join(scratch, 'build-root');
  await unpackPackages(await downloadWithDependencies(own, TOOLS), build);
  await unpackPackages(await downloadWithDependencies(await apt('arm64'), LIBRARIES), join(build, 'target'));
  const source = (await downloadSource(own, 'ostree', join(scratch, 'source'))).find((path) =>
    path.endsWith('.orig.tar.xz'),
  );
  if (source === undefined) throw new Error('the source package of ostree holds no .orig.tar.xz');
  await copyFile(source, join(await prepareBuild(build), 'source.tar.xz'));
  await runInBuild(build, BUILD_SCRIPT);
  for (const path of ['usr/bin/ostree', 'usr/lib/aarch64-linux-gnu', 'usr/lib/ostree']) {
    const options = { recursive: true, verbatimSymlinks: true };
    await cp(join(build, 'build/out', path), join(root, path), options);
  }
}

/**
 * libostree for arm64 that checks ed25519 signatures: Debian 12's source package, cross-built with libsodium in a
 * throw-away root, as test/reference/ostree-ed25519.ts does for the build machine. Debian builds it without.
 */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import type { RootContext } from '../../reference/roots.ts';
import { buildFromSource } from '../../reference/source-build.ts';
import { downloadWithDependencies, openApt, unpackPackages } from '../../support/debian-packages.ts';

const TOOLS = ['gcc-aarch64-linux-gnu', 'libc6-dev-arm64-cross', 'pkgconf', 'libglib2.0-dev-bin'];

const LIBRARIES = [
  ...['libc6-dev', 'libglib2.0-dev', 'libcurl4-gnutls-dev', 'liblzma-dev', 'zlib1g-dev', 'libext2fs-dev'],
  'libsodium-dev',
];

/** What installing a package needs besides, and the build does not. */
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
export async function buildGuestOstree(root: string, context: RootContext): Promise<void> {
  const { mirror, scratch } = context;
  const build = await buildFromSource(context, {
    name: 'a guest',
    suite: 'bookworm',
    source: 'ostree',
    packages: TOOLS,
    script: BUILD_SCRIPT,
    prepare: async (folder) => {
      const apt = await openApt({
        directory: join(scratch, 'apt-arm64'),
        mirror,
        suites: ['bookworm'],
        architecture: 'arm64',
        assumeInstalled: NOT_NEEDED,
      });
      await unpackPackages(await downloadWithDependencies(apt, LIBRARIES), join(folder, 'target'));
    },
  });
  for (const path of ['usr/bin/ostree', 'usr/lib/aarch64-linux-gnu', 'usr/lib/ostree']) {
    await cp(join(build, 'build/out', path), join(root, path), { recursive: true, verbatimSymlinks: true });
  }
}

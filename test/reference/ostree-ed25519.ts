/** libostree that can sign and check with ed25519. Debian builds it without, so its source package is built with libsodium. */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import type { RootContext } from './roots.ts';
import { BUILD_ESSENTIALS, buildFromSource } from './source-build.ts';

/** What a build of libostree and its command needs, signatures and HTTP included. */
const BUILD_PACKAGES = [
  ...['pkgconf', 'libglib2.0-dev', 'libarchive-dev', 'libcurl4-gnutls-dev', 'liblzma-dev'],
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
export const ED25519_BUILD = `1 ${[...BUILD_ESSENTIALS, ...BUILD_PACKAGES].join(' ')} ${BUILD_SCRIPT}`;

/** Builds libostree and puts it into `root` over Debian's. Takes about half a minute. */
export async function buildWithEd25519(root: string, context: RootContext): Promise<void> {
  const build = await buildFromSource(context, {
    name: 'ed25519',
    suite: 'bookworm',
    source: 'ostree',
    packages: BUILD_PACKAGES,
    script: BUILD_SCRIPT,
  });
  const options = { recursive: true, verbatimSymlinks: true };
  await cp(join(build, 'build/out/usr/local'), join(root, 'usr/local'), options);
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { detectSource } from '../../src/sources/detect.ts';
import { lookup } from '../../src/tree/walk.ts';
import { programOutput } from '../support/program-output.ts';
import { arm64Image, deviceTree, errors, read, rootfsTar, warnings, writeFiles } from './builds.ts';

const DOT_CONFIG = `#
# Automatically generated file; DO NOT EDIT.
# Buildroot 2025.02.16 Configuration
#
BR2_HAVE_DOT_CONFIG=y
BR2_aarch64=y
BR2_ARCH="aarch64"
BR2_NORMALIZED_ARCH="arm64"
BR2_ARCH_IS_64=y
BR2_DEFCONFIG="/src/configs/gateway_defconfig"
BR2_INIT_BUSYBOX=y
BR2_LINUX_KERNEL=y
BR2_LINUX_KERNEL_VERSION="6.1.44"
# BR2_LINUX_KERNEL_UIMAGE is not set
BR2_LINUX_KERNEL_IMAGE=y
BR2_LINUX_KERNEL_INTREE_DTS_NAME="freescale/imx8mm-evk"
BR2_TARGET_ROOTFS_TAR=y
`;

let work: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'tw-buildroot-'));
});
afterEach(async () => {
  await rm(work, { recursive: true });
});

async function output(files: Record<string, string | Uint8Array> = {}, config = DOT_CONFIG): Promise<string> {
  await writeFiles(work, {
    '.config': config,
    'images/rootfs.tar': await rootfsTar(),
    'images/rootfs.cpio.gz': 'the whole system, not an initramfs',
    'images/rootfs.ext2': 'x',
    'images/rootfs.ext4': '-> rootfs.ext2',
    'images/Image': arm64Image('6.1.44'),
    'images/freescale/imx8mm-evk.dtb': deviceTree('evk'),
    'images/overlay.dtbo': deviceTree('overlay'),
    'images/u-boot.dtb': deviceTree('u-boot'),
    'images/rpi-firmware/overlays/x.dtbo': deviceTree('rpi'),
    'target/THIS_IS_NOT_YOUR_ROOT_FILESYSTEM': '',
    'build/packages-file-list.txt':
      'busybox,./bin/busybox\nbusybox,./bin/sh\nzlib,./usr/lib/libz.so\nodd,./x\n',
    'build/busybox-1.36.1/x': '',
    'build/zlib-1.3.1/x': '',
    ...files,
  });
  return work;
}

test('an output directory is recognised, also by its images directory', async () => {
  const path = await output();
  expect(await detectSource(path)).toEqual({ kind: 'buildroot', output: path });
  expect(await detectSource(join(path, 'images'))).toEqual({
    kind: 'buildroot',
    output: join(path, 'images'),
  });
});

test.each(['', 'images'])('everything is read from images/ and .config, given %j', async (below) => {
  const path = await output();
  const build = await read({ kind: 'buildroot', output: join(path, below) });
  expect(build.kind).toBe('buildroot');
  expect(build.facts).toMatchObject({
    machine: 'gateway',
    arch: 'aarch64',
    version: '2025.02.16',
    tool: 'Buildroot 2025.02.16',
    init: 'busybox',
    usrMerged: true,
    packages: [
      { name: 'busybox', version: '1.36.1' },
      { name: 'odd', version: '' },
      { name: 'zlib', version: '1.3.1' },
    ],
    osRelease: { ID: 'buildroot' },
    files: 4,
  });
  expect(build.kernel).toMatchObject({ release: '6.1.44', imageName: 'Image' });
  expect(build.kernel?.initramfs).toBeUndefined();
  expect([...(build.kernel?.deviceTrees.keys() ?? [])]).toEqual(['freescale/imx8mm-evk.dtb', 'overlay.dtbo']);
  expect(lookup(build.tree, 'usr/bin/busybox')?.stat).toMatchObject({ uid: 0, mode: 0o104755 });
  expect(build.diagnostics).toEqual([]);
});

describe('legal-info', () => {
  const HEADER =
    '"PACKAGE","VERSION","LICENSE","LICENSE FILES","SOURCE ARCHIVE","SOURCE SITE","DEPENDENCIES WITH LICENSES"\n';
  const BUSYBOX =
    '"busybox","1.36.1","GPL-2.0, bzip2-1.0.4","LICENSE archival/libarchive/bz/LICENSE","busybox-1.36.1.tar.bz2","https://www.busybox.net/downloads","skeleton [unknown]"\n';
  const ZLIB = '"zlib","1.3.1","unknown","not saved","zlib-1.3.1.tar.xz","/home/builder/zlib",""\n';

  async function packages(manifest: string): Promise<{ packages: unknown; warnings: string[] }> {
    const path = await output({ 'legal-info/manifest.csv': manifest });
    const { facts, diagnostics } = await read({ kind: 'buildroot', output: path });
    return { packages: facts.packages, warnings: diagnostics.map(({ message }) => message) };
  }

  test('says licences, their files and the sources of packages, but no path of the build machine', async () => {
    expect(await packages(HEADER + BUSYBOX + ZLIB)).toEqual({
      packages: [
        {
          name: 'busybox',
          version: '1.36.1',
          licenses: 'GPL-2.0, bzip2-1.0.4',
          licenseFiles: ['LICENSE', 'archival/libarchive/bz/LICENSE'],
          sourceArchive: 'busybox-1.36.1.tar.bz2',
          sourceSite: 'https://www.busybox.net/downloads',
        },
        { name: 'odd', version: '' },
        { name: 'zlib', version: '1.3.1', sourceArchive: 'zlib-1.3.1.tar.xz' },
      ],
      warnings: [],
    });
  });

  test.each([
    [HEADER + BUSYBOX, 'has no zlib 1.3.1, which is built now'],
    [HEADER + BUSYBOX + ZLIB.replace('1.3.1', '1.3'), 'has zlib 1.3, and 1.3.1 is built now'],
    ['name,version\n', 'is not what `make legal-info` writes'],
  ])('of another build is not used: %#', async (manifest, why) => {
    const { packages: found, warnings: [warning, ...more] } = await packages(manifest); // prettier-ignore
    expect(found).toContainEqual({ name: 'busybox', version: '1.36.1' });
    expect(warning).toContain(why);
    expect(more).toEqual([]);
  });
});

test('the kernel .config chooses is taken, not another one that lies about', async () => {
  const config = DOT_CONFIG.replace('BR2_LINUX_KERNEL_IMAGE=y', 'BR2_LINUX_KERNEL_APPENDED_ZIMAGE=y');
  const path = await output({ 'images/zImage.imx6q-board': 'zimage' }, config);
  const build = await read({ kind: 'buildroot', output: path });
  expect(build.kernel).toMatchObject({ imageName: 'zImage.imx6q-board', image: { content: { size: 6 } } });
});

test('with dracut, images/rootfs.cpio is an initramfs', async () => {
  const path = await output({}, `${DOT_CONFIG}BR2_TARGET_ROOTFS_CPIO_DRACUT=y\n`);
  const build = await read({ kind: 'buildroot', output: path });
  expect(build.kernel?.initramfs).toMatchObject({ content: { size: 34 } });
});

test('a kernel without modules is named by its image, or by .config when the image does not tell', async () => {
  const rootfs = await rootfsTar([], /modules/);
  const told = await read({
    kind: 'buildroot',
    output: await output({ 'images/rootfs.tar': rootfs, 'images/Image': arm64Image('6.1.44-custom') }),
  });
  expect(told.kernel?.release).toBe('6.1.44-custom');
  await rm(join(work, 'images/Image'));
  await writeFiles(work, { 'images/Image': 'compressed somehow' });
  const named = await read({ kind: 'buildroot', output: work });
  expect(named.kernel?.release).toBe('6.1.44');
});

test('a compressed archive is taken when it is the only one', async () => {
  const path = await output();
  for (const [program, name] of [
    ['gzip', 'rootfs.tar.gz'],
    ['xz', 'rootfs.tar.xz'],
    ['zstd', 'rootfs.tar.zst'],
    ['bzip2', 'rootfs.tar.bz2'],
  ] as const) {
    const archive = await programOutput(program, ['-c', join(path, 'images/rootfs.tar')]);
    const other = await mkdtemp(join(tmpdir(), 'tw-buildroot-z-'));
    await writeFiles(other, {
      '.config': DOT_CONFIG,
      [`images/${name}`]: archive,
      'images/Image': arm64Image('6.1.44'),
    });
    expect((await read({ kind: 'buildroot', output: other })).facts.files).toBe(4);
    await rm(other, { recursive: true });
  }
});

describe('problems', () => {
  test('no rootfs.tar: the option to set is named', async () => {
    const path = await output();
    await rm(join(path, 'images/rootfs.tar'));
    await expect(read({ kind: 'buildroot', output: path })).rejects.toMatchObject({
      code: 'input/no-rootfs-tar',
      message: expect.stringContaining('BR2_TARGET_ROOTFS_TAR') as string,
    });
  });

  test('target/ is refused, because its owners are the builder’s', async () => {
    const path = await output();
    await expect(read({ kind: 'rootfs', rootfs: join(path, 'target') })).rejects.toMatchObject({
      code: 'input/buildroot-target',
    });
  });

  test('no kernel, several kernels, a kernel that does not fit its modules', async () => {
    const path = await output();
    await rm(join(path, 'images/Image'));
    expect(errors((await read({ kind: 'buildroot', output: path })).diagnostics)).toEqual([
      'input/no-kernel',
    ]);

    await writeFiles(path, { 'images/Image': arm64Image('6.6.1') });
    expect(warnings((await read({ kind: 'buildroot', output: path })).diagnostics)).toEqual([
      'input/kernel-release-mismatch',
    ]);

    await rm(join(path, 'images/rootfs.tar'));
    await writeFiles(path, {
      'images/rootfs.tar': await rootfsTar([{ name: './usr/lib/modules/5.10.0/modules.order' }]),
    });
    const several = await read({ kind: 'buildroot', output: path });
    expect(errors(several.diagnostics)).toEqual(['input/several-kernels']);
    expect(several.diagnostics[0]?.message).toContain('5.10.0, 6.1.44');
    const named = await read({ kind: 'buildroot', output: path, kernelRelease: '6.1.44' });
    expect(errors(named.diagnostics)).toEqual([]);
    expect(named.kernel?.release).toBe('6.1.44');
  });

  test.each([
    ['secret', true],
    ['$$6$$salt$$hash', false],
    ['$y$j9T$salt$hash', true],
    ['', false],
  ])('a root password %j is a text that every make hashes anew: %s', async (password, plain) => {
    const more = `BR2_TARGET_ENABLE_ROOT_LOGIN=y\nBR2_TARGET_GENERIC_ROOT_PASSWD="${password}"\n`;
    const { diagnostics } = await read({ kind: 'buildroot', output: await output({}, DOT_CONFIG + more) });
    expect(warnings(diagnostics)).toEqual(plain ? ['input/plain-root-password'] : []);
    expect(JSON.stringify(diagnostics)).not.toContain('secret');
  });

  test('a root filesystem linked into the kernel, and a missing .config', async () => {
    const path = await output({}, `${DOT_CONFIG}BR2_TARGET_ROOTFS_INITRAMFS=y\n`);
    expect(warnings((await read({ kind: 'buildroot', output: path })).diagnostics)).toEqual([
      'input/rootfs-in-kernel',
    ]);
    await rm(join(path, '.config'));
    const build = await read({ kind: 'buildroot', output: path }, { env: { BR2_VERSION: '2026.02' } });
    expect(warnings(build.diagnostics)).toEqual(['input/no-dot-config']);
    expect(build.facts).toMatchObject({ tool: 'Buildroot 2026.02', arch: 'aarch64' });
    expect(build.kernel?.imageName).toBe('Image');
  });
});

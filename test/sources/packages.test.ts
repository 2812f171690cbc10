/** Which package a file is from, and what builds tell about packages, kernel and layers. */
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BuildOutput, PackageFact } from '../../src/sources/types.ts';
import { lookup } from '../../src/tree/walk.ts';
import { PROJECT } from '../support/project.ts';
import { arm64Image, read, rootfsTar, writeFiles } from './builds.ts';

let work: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'tw-packages-'));
});
afterEach(() => rm(work, { recursive: true }));

/** The package of a path; undefined for a file of none. */
function ownerOf({ tree, owners }: BuildOutput, path: string): string | undefined {
  const node = lookup(tree, path);
  if (node?.kind !== 'file') throw new Error(`${path} is no file`);
  return owners.get(node);
}

describe('Buildroot', () => {
  const build = async (files: Record<string, string>, config = ''): Promise<BuildOutput> => {
    await writeFiles(work, {
      '.config': `BR2_ARCH="aarch64"\nBR2_LINUX_KERNEL=y\nBR2_LINUX_KERNEL_IMAGE=y\n${config}`,
      'images/rootfs.tar': await rootfsTar([
        { name: './usr/lib/libz.so.1.3.1', content: 'zlib' },
        { name: './usr/lib/libz.so', type: 'symlink', linkname: 'libz.so.1.3.1' },
        { name: './etc/hostname', content: 'gateway\n' },
      ]),
      'images/Image': arm64Image('6.1.44'),
      ...files,
    });
    return read({ kind: 'buildroot', output: work });
  };

  test('packages-file-list.txt leads through merged directories, and a link is not what it leads to', async () => {
    const found = await build({
      'build/packages-file-list.txt':
        'busybox,./bin/busybox\nbusybox,./usr/lib/libz.so\nzlib,./lib/libz.so.1.3.1\n' +
        'skeleton,./etc/hostname\nbusybox,./etc/hostname\nzlib,./usr/include/zlib.h\nzlib,./etc/init.d\n',
    });
    expect(ownerOf(found, 'usr/bin/busybox')).toBe('busybox');
    expect(ownerOf(found, 'usr/lib/libz.so.1.3.1')).toBe('zlib');
    // Of two packages the last one, as in Buildroot's size-stats.
    expect(ownerOf(found, 'etc/hostname')).toBe('busybox');
    expect(ownerOf(found, 'usr/lib/os-release')).toBeUndefined();
    expect(found.owners.size).toBe(3);
  });

  test.each([
    [
      'BR2_LINUX_KERNEL_VERSION="6.1.44"\nBR2_KERNEL_MIRROR="https://cdn.kernel.org/pub"\n',
      {
        version: '6.1.44',
        sources: [{ uri: 'https://cdn.kernel.org/pub/linux/kernel/v6.x/linux-6.1.44.tar.xz' }],
      },
    ],
    ['BR2_LINUX_KERNEL_VERSION="6.19-rc1"\n', { version: '6.19-rc1', sources: [] }],
    [
      'BR2_LINUX_KERNEL_CUSTOM_GIT=y\nBR2_LINUX_KERNEL_VERSION="imx-6.6"\n' +
        'BR2_LINUX_KERNEL_CUSTOM_REPO_URL="https://git.example/linux.git"\nBR2_LINUX_KERNEL_CUSTOM_REPO_VERSION="imx-6.6"\n',
      { sources: [{ uri: 'https://git.example/linux.git', revision: 'imx-6.6' }] },
    ],
    [
      'BR2_LINUX_KERNEL_CUSTOM_TARBALL=y\nBR2_LINUX_KERNEL_VERSION="custom"\n' +
        'BR2_LINUX_KERNEL_CUSTOM_TARBALL_LOCATION="https://a.example/linux.tar.xz"\n',
      { sources: [{ uri: 'https://a.example/linux.tar.xz' }] },
    ],
  ])('the sources of the kernel: %j', async (config, expected) => {
    expect((await build({}, config)).facts.kernelSource).toEqual(expected);
  });
});

describe('Yocto', () => {
  const MACHINE = 'shimarm64';
  const LINK = `shim-image-${MACHINE}.rootfs`;
  const MANIFEST =
    `base-files ${MACHINE} 3.0.14-r0\nbusybox-prebuilt cortexa53 1.35.0-r0\n` +
    `kernel-6.1.0-50-arm64 ${MACHINE} 6.1.0-r0\n`;

  /** A deploy directory beside pkgdata, with the SBOM of a real build. */
  const makeBuild = async (
    sbom: 'scarthgap.spdx.tar.zst' | 'wrynose.spdx.json' | undefined,
    files: Record<string, string> = {},
  ): Promise<string> => {
    const deploy = join(work, 'tmp/deploy/images', MACHINE);
    await writeFiles(deploy, {
      [`${LINK}.tar`]: await rootfsTar([{ name: './etc/fstab', content: 'none\n' }]),
      [`${LINK}.manifest`]: MANIFEST,
      [`${LINK}.testdata.json`]: JSON.stringify({ MACHINE, KERNEL_IMAGETYPE: 'Image' }),
      Image: arm64Image('6.1.44'),
    });
    await writeFiles(work, files);
    if (sbom !== undefined) {
      const suffix = sbom.slice(sbom.indexOf('.'));
      await copyFile(join(PROJECT, 'test/fixtures/yocto', sbom), join(deploy, `${LINK}${suffix}`));
    }
    return deploy;
  };

  const PKGDATA = {
    [`tmp/pkgdata/${MACHINE}/runtime/busybox-prebuilt`]:
      'PN: busybox-prebuilt\nLICENSE: GPL-2.0-only & bzip2-1.0.4\nFILES_INFO:busybox-prebuilt: {"/bin/busybox": 1846504}\n',
    [`tmp/pkgdata/${MACHINE}/runtime-reverse/busybox-prebuilt`]: '-> ../runtime/busybox-prebuilt',
    [`tmp/pkgdata/${MACHINE}/runtime/kernel-base`]: 'LICENSE: GPL-2.0-only\nFILES_INFO:kernel-base: {"/lib/modules/6.1.44/modules.dep": 0}\n',
    [`tmp/pkgdata/${MACHINE}/runtime-reverse/kernel-6.1.0-50-arm64`]: '-> ../runtime/kernel-base',
  }; // prettier-ignore

  const byName = (facts: readonly PackageFact[], name: string): PackageFact | undefined =>
    facts.find((each) => each.name === name);

  test.each([
    ['scarthgap.spdx.tar.zst', 'cpe:2.3:*:*:linux_kernel:6.1.0:*:*:*:*:*:*:*'],
    ['wrynose.spdx.json', 'cpe:2.3:*:linux:linux:6.1.0:*:*:*:*:*:*:*'],
  ] as const)('pkgdata tells files and licences, %s the CPE', async (sbom, cpe) => {
    const deploy = await makeBuild(sbom, PKGDATA);
    const build = await read({ kind: 'yocto', deploy });
    expect(byName(build.facts.packages, 'busybox-prebuilt')).toEqual({
      name: 'busybox-prebuilt',
      version: '1.35.0-r0',
      arch: 'cortexa53',
      licenses: 'GPL-2.0-only & bzip2-1.0.4',
      cpe: 'cpe:2.3:*:*:busybox-prebuilt:1.35.0:*:*:*:*:*:*:*',
    });
    expect(byName(build.facts.packages, 'kernel-6.1.0-50-arm64')).toMatchObject({ cpe });
    expect(ownerOf(build, 'usr/bin/busybox')).toBe('busybox-prebuilt');
    expect(ownerOf(build, 'usr/lib/modules/6.1.44/modules.dep')).toBe('kernel-6.1.0-50-arm64');
  });

  test.each(['scarthgap.spdx.tar.zst', 'wrynose.spdx.json'] as const)(
    'without pkgdata, as in a copy of the deploy directory, %s tells files and licences too',
    async (sbom) => {
      const build = await read({ kind: 'yocto', deploy: await makeBuild(sbom) });
      expect(build.facts.packages.map(({ licenses }) => licenses)).toEqual([
        'GPL-2.0-only',
        'GPL-2.0-only',
        'GPL-2.0-only',
      ]);
      expect(ownerOf(build, 'etc/fstab')).toBe('base-files');
      expect(ownerOf(build, 'usr/bin/busybox')).toBe('busybox-prebuilt');
    },
  );

  test('pkgdata may be named; with neither, names and versions are all that is known', async () => {
    const deploy = await makeBuild(undefined, {
      'elsewhere/runtime-reverse/base-files': 'LICENSE: MIT\nFILES_INFO:base-files: {"/etc/fstab": 5}\n',
    });
    const named = await read({ kind: 'yocto', deploy, pkgdata: join(work, 'elsewhere') });
    expect(ownerOf(named, 'etc/fstab')).toBe('base-files');
    const plain = await read({ kind: 'yocto', deploy });
    expect(plain.facts.packages[0]).toEqual({ name: 'base-files', version: '3.0.14-r0', arch: MACHINE });
    expect(plain.owners.size).toBe(0);
  });

  test('an SBOM that cannot be understood does not stop anything', async () => {
    const deploy = await makeBuild(undefined);
    for (const [suffix, content] of [
      ['.spdx.tar.zst', 'no archive'],
      ['.spdx.json', '{"@graph": 1}'],
    ] as const) {
      await writeFiles(deploy, { [`${LINK}${suffix}`]: content });
      expect((await read({ kind: 'yocto', deploy })).facts.packages).toHaveLength(3);
    }
  });

  test('layers and the sources of the kernel, where meta-treewright has told them', async () => {
    const deploy = await makeBuild(undefined, {
      'build-info.json': JSON.stringify({
        variables: {},
        layers: [
          { name: 'meta', branch: 'scarthgap', revision: 'a'.repeat(40), modified: false },
          { name: 'meta-product', branch: '<unknown>', revision: '<unknown>', modified: true },
        ],
      }),
    });
    const source = { uri: 'https://git.yoctoproject.org/linux-yocto.git', revision: 'b'.repeat(40) };
    await writeFiles(deploy, {
      'treewright-kernel-source.json': JSON.stringify({ version: '6.6.52', sources: [source] }),
    });
    const { facts } = await read({ kind: 'yocto', deploy, buildInfo: join(work, 'build-info.json') });
    expect(facts.layers).toEqual([
      { name: 'meta', branch: 'scarthgap', revision: 'a'.repeat(40) },
      { name: 'meta-product' },
    ]);
    expect(facts.kernelSource).toEqual({ version: '6.6.52', sources: [source] });

    await writeFiles(work, { 'other.json': '{"layers": 1}' });
    await expect(read({ kind: 'yocto', deploy, buildInfo: join(work, 'other.json') })).rejects.toMatchObject({
      code: 'input/bad-build-info',
    });
  });
});

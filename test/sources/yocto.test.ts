import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { detectSource } from '../../src/sources/detect.ts';
import { imageIdentity } from '../../src/sources/yocto.ts';
import { programOutput } from '../support/program-output.ts';
import { arm64Image, deviceTree, errors, read, rootfsTar, writeFiles } from './builds.ts';

const MACHINE = 'gateway64';
const STAMP = '20261122120903';
const KERNEL = `6.1.0-r0-${MACHINE}-${STAMP}`;

const TESTDATA = {
  MACHINE,
  DISTRO_VERSION: '5.0.19',
  DISTRO_NAME: 'OpenEmbedded',
  TARGET_ARCH: 'aarch64',
  TUNE_ARCH: 'aarch64',
  IMAGE_BASENAME: 'small-image',
  KERNEL_IMAGETYPE: 'Image',
  KERNEL_DEVICETREE: 'freescale/imx8mm-evk.dtb broadcom/bcm2711-rpi-4-b.dtb',
  INITRAMFS_IMAGE_NAME: "${@['${INITRAMFS_IMAGE}-gateway64', ''][d.getVar('INITRAMFS_IMAGE') == '']}",
  MIRROR_PASSWORD: 'secret',
};

const MANIFEST = `base-files ${MACHINE} 3.0.14-r0\nbusybox cortexa53 1.35.0-r0\nostree cortexa53 2024.5-r0\n`;

let work: string;
let deploy: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'tw-yocto-'));
  deploy = join(work, 'tmp/deploy/images', MACHINE);
});
afterEach(async () => {
  await rm(work, { recursive: true });
});

/** Kernel and device trees are named alike since kirkstone. */
async function kernelFiles(): Promise<Record<string, string | Uint8Array>> {
  await Promise.resolve();
  return {
    Image: `-> Image--${KERNEL}.bin`,
    [`Image--${KERNEL}.bin`]: arm64Image('6.1.44'),
    [`Image-${MACHINE}.bin`]: `-> Image--${KERNEL}.bin`,
    [`imx8mm-evk--${KERNEL}.dtb`]: '-> imx8mm-evk.dtb',
    [`imx8mm-evk-${MACHINE}.dtb`]: '-> imx8mm-evk.dtb',
    'imx8mm-evk.dtb': deviceTree('evk'),
    'bcm2711-rpi-4-b.dtb': deviceTree('rpi'),
    [`bcm2711-rpi-4-b-${MACHINE}.dtb`]: '-> bcm2711-rpi-4-b.dtb',
    [`modules--${KERNEL}.tgz`]: 'modules',
    [`modules-${MACHINE}.tgz`]: `-> modules--${KERNEL}.tgz`,
  };
}

type Generation = 'kirkstone' | 'scarthgap';

/** Files of one image: names with links, as the two generations have them. */
async function imageFiles(
  generation: Generation,
  image: string,
  testdata: object = TESTDATA,
): Promise<Record<string, string | Uint8Array>> {
  const archive = await programOutput('zstd', ['-c'], await rootfsTar());
  const link = generation === 'kirkstone' ? `${image}-${MACHINE}` : `${image}-${MACHINE}.rootfs`;
  const name = generation === 'kirkstone' ? `${image}-${MACHINE}-${STAMP}.rootfs` : `${link}-${STAMP}`;
  const data = generation === 'kirkstone' ? `${image}-${MACHINE}-${STAMP}` : name;
  return {
    [`${name}.tar.zst`]: archive,
    [`${link}.tar.zst`]: `-> ${name}.tar.zst`,
    [`${name}.manifest`]: MANIFEST,
    [`${link}.manifest`]: `-> ${name}.manifest`,
    [`${data}.testdata.json`]: JSON.stringify(testdata),
    [`${link}.testdata.json`]: `-> ${data}.testdata.json`,
    [`${name}.spdx.tar.zst`]: 'sbom',
    [`${link}.spdx.tar.zst`]: `-> ${name}.spdx.tar.zst`,
  };
}

describe.each<Generation>(['kirkstone', 'scarthgap'])('names of %s', (generation) => {
  test('rootfs, kernel, device trees, packages and facts are found', async () => {
    await writeFiles(deploy, { ...(await kernelFiles()), ...(await imageFiles(generation, 'small-image')) });
    expect(await detectSource(deploy)).toEqual({ kind: 'yocto', deploy });
    expect(await detectSource(work)).toEqual({ kind: 'yocto', deploy });
    const build = await read({ kind: 'yocto', deploy });
    expect(build.kind).toBe('yocto');
    expect(build.facts).toMatchObject({
      machine: MACHINE,
      arch: 'aarch64',
      version: '5.0.19',
      tool: 'Yocto OpenEmbedded 5.0.19',
      libostree: '2024.5-r0',
      packages: [
        { name: 'base-files', version: '3.0.14-r0', arch: MACHINE },
        { name: 'busybox', version: '1.35.0-r0', arch: 'cortexa53' },
        { name: 'ostree', version: '2024.5-r0', arch: 'cortexa53' },
      ],
    });
    expect(build.documents.map((path) => basename(path))).toEqual([
      generation === 'kirkstone'
        ? `small-image-${MACHINE}.spdx.tar.zst`
        : `small-image-${MACHINE}.rootfs.spdx.tar.zst`,
      generation === 'kirkstone'
        ? `small-image-${MACHINE}.manifest`
        : `small-image-${MACHINE}.rootfs.manifest`,
    ]);
    expect(build.kernel).toMatchObject({ release: '6.1.44', imageName: 'Image' });
    expect([...(build.kernel?.deviceTrees.keys() ?? [])]).toEqual(['bcm2711-rpi-4-b.dtb', 'imx8mm-evk.dtb']);
    expect(JSON.stringify(build.facts)).not.toContain('secret');
    expect(errors(build.diagnostics)).toEqual([]);
  });

  test('several images: one must be named, by recipe or with the machine', async () => {
    await writeFiles(deploy, {
      ...(await kernelFiles()),
      ...(await imageFiles(generation, 'small-image')),
      ...(await imageFiles(generation, 'small-image-odd')),
    });
    await expect(read({ kind: 'yocto', deploy })).rejects.toMatchObject({
      code: 'input/several-images',
      message: expect.stringContaining(`small-image-${MACHINE}, small-image-odd-${MACHINE}`) as string,
    });
    for (const image of ['small-image', `small-image-${MACHINE}`, 'small-image-odd']) {
      expect((await read({ kind: 'yocto', deploy, image })).facts.files).toBe(4);
    }
    await expect(read({ kind: 'yocto', deploy, image: 'other' })).rejects.toMatchObject({
      code: 'input/no-such-image',
    });
  });
});

test('without links, as a build server keeps files, the latest of each kind is taken', async () => {
  const files = Object.entries({
    ...(await kernelFiles()),
    ...(await imageFiles('scarthgap', 'small-image')),
  });
  const plain = Object.fromEntries(
    files.filter(
      ([name, content]) => typeof content !== 'string' || !content.startsWith('-> ') || name === 'Image',
    ),
  );
  const old = `small-image-${MACHINE}.rootfs-20200101000000.tar.zst`;
  await writeFiles(deploy, { ...plain, [old]: 'not even an archive' });
  const build = await read({ kind: 'yocto', deploy });
  expect(build.facts).toMatchObject({ machine: MACHINE, files: 4 });
});

test('links that were copied as files do not double the device trees', async () => {
  const kernel = Object.fromEntries(
    Object.entries(await kernelFiles()).map(([name, content]) => [
      name,
      name.endsWith('.dtb') ? deviceTree(name.includes('evk') ? 'evk' : 'rpi') : content,
    ]),
  );
  await writeFiles(deploy, { ...kernel, ...(await imageFiles('scarthgap', 'small-image')) });
  const build = await read({ kind: 'yocto', deploy });
  expect([...(build.kernel?.deviceTrees.keys() ?? [])]).toEqual(['bcm2711-rpi-4-b.dtb', 'imx8mm-evk.dtb']);
});

test('KERNEL_DTBVENDORED puts device trees below their vendors', async () => {
  await writeFiles(deploy, {
    ...(await kernelFiles()),
    ...(await imageFiles('scarthgap', 'small-image', { ...TESTDATA, KERNEL_DTBVENDORED: '1' })),
  });
  const build = await read({ kind: 'yocto', deploy });
  expect([...(build.kernel?.deviceTrees.keys() ?? [])]).toEqual([
    'broadcom/bcm2711-rpi-4-b.dtb',
    'freescale/imx8mm-evk.dtb',
  ]);
});

describe('initramfs', () => {
  const withInitramfs = { ...TESTDATA, INITRAMFS_IMAGE: 'initramfs-ostree-image' };

  test('the image that INITRAMFS_IMAGE names is taken, and its own archive is no second image', async () => {
    await writeFiles(deploy, {
      ...(await kernelFiles()),
      ...(await imageFiles('scarthgap', 'small-image', withInitramfs)),
      [`initramfs-ostree-image-${MACHINE}-${STAMP}.cpio.gz`]: 'initramfs!',
      [`initramfs-ostree-image-${MACHINE}.cpio.gz`]: `-> initramfs-ostree-image-${MACHINE}-${STAMP}.cpio.gz`,
      [`initramfs-ostree-image-${MACHINE}.tar.gz`]: 'x',
    });
    const build = await read({ kind: 'yocto', deploy });
    expect(build.kernel?.initramfs).toMatchObject({ content: { size: 10 } });
  });

  test('bundled with the kernel: that kernel is taken, with an empty initramfs beside it', async () => {
    await writeFiles(deploy, {
      ...(await kernelFiles()),
      ...(await imageFiles('scarthgap', 'small-image', { ...withInitramfs, INITRAMFS_IMAGE_BUNDLE: '1' })),
      [`Image-initramfs-${MACHINE}.bin`]: Buffer.concat([arm64Image('6.1.44'), Buffer.from('bundle')]),
    });
    const build = await read({ kind: 'yocto', deploy });
    expect(build.kernel?.image.content).toMatchObject({ size: arm64Image('6.1.44').length + 6 });
    expect(build.kernel?.initramfs).toMatchObject({ content: { kind: 'inline', bytes: new Uint8Array() } });
  });

  test('a FIT image with its initramfs inside', async () => {
    await writeFiles(deploy, {
      ...(await imageFiles('scarthgap', 'small-image', { ...withInitramfs, KERNEL_IMAGETYPE: 'fitImage' })),
      fitImage: deviceTree('without'),
      [`fitImage-initramfs-ostree-image-${MACHINE}-${MACHINE}`]: deviceTree('with initramfs'),
      [`fitImage-its-${MACHINE}`]: 'source',
    });
    const build = await read({ kind: 'yocto', deploy });
    expect(build.kernel).toMatchObject({
      imageName: 'fitImage',
      image: { content: { size: 18 } },
      initramfs: { content: { kind: 'inline' } },
    });
  });
});

test('a directory without an archive names what to set', async () => {
  await writeFiles(deploy, await kernelFiles());
  await expect(read({ kind: 'yocto', deploy })).rejects.toMatchObject({
    code: 'input/no-rootfs-tar',
    message: expect.stringContaining('IMAGE_FSTYPES') as string,
  });
});

test('two machines below one build directory', async () => {
  await writeFiles(deploy, await imageFiles('scarthgap', 'small-image'));
  await writeFiles(join(work, 'tmp/deploy/images/other'), await imageFiles('scarthgap', 'small-image'));
  await expect(detectSource(work)).rejects.toMatchObject({ code: 'input/several-machines' });
});

test.each([
  ['core-image-minimal-qemuarm64.rootfs-20261122120903.tar.zst', 'core-image-minimal-qemuarm64'],
  ['core-image-minimal-qemuarm64.rootfs.tar.bz2', 'core-image-minimal-qemuarm64'],
  ['core-image-minimal-qemuarm64-20220405123456.rootfs.tar.xz', 'core-image-minimal-qemuarm64'],
  ['core-image-minimal-qemuarm64.tar', 'core-image-minimal-qemuarm64'],
  ['core-image-minimal-qemuarm64.rootfs.spdx.tar.zst', undefined],
  ['modules-qemuarm64.tgz', undefined],
  ['core-image-minimal-qemuarm64.rootfs.ext4', undefined],
])('%s belongs to %s', (name, identity) => {
  expect(imageIdentity(name)).toBe(identity);
});

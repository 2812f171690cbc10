import { execa } from 'execa';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Event } from '../../src/core/events.ts';
import { detectSource } from '../../src/sources/detect.ts';
import { lookup } from '../../src/tree/walk.ts';
import { programOutput } from '../support/program-output.ts';
import { arm64Image, deviceTree, errors, read, rootfsTar, warnings, writeFiles } from './builds.ts';
import { makeTar } from './archives.ts';

let work: string;
let dir: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'tw-rootfs-'));
});
afterAll(async () => {
  await rm(work, { recursive: true });
});
beforeEach(async () => {
  dir = await mkdtemp(join(work, 'case-'));
});

const at = (name: string): string => join(dir, name);

describe('compression', () => {
  test('magic bytes decide, not the name', async () => {
    const tar = await rootfsTar();
    for (const [program, name] of [
      ['cat', 'a.tar.gz'],
      ['gzip', 'b.tar'],
      ['bzip2', 'c.tar.xz'],
      ['xz', 'd.img'],
      ['zstd', 'e'],
    ] as const) {
      const args = program === 'cat' ? [] : ['-c'];
      await writeFile(at(name), await programOutput(program, args, tar));
      expect(await detectSource(at(name))).toEqual({ kind: 'rootfs', rootfs: at(name) });
      expect((await read({ kind: 'rootfs', rootfs: at(name) })).facts.files).toBe(4);
    }
  });

  test('an archive of pzstd begins with a skippable frame', async () => {
    const frame = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 0xe9, 0x15, 0, 0]);
    const archive = await programOutput('zstd', ['-c'], await rootfsTar());
    await writeFile(at('rootfs.tar.zst'), Buffer.concat([frame, archive]));
    expect((await read({ kind: 'rootfs', rootfs: at('rootfs.tar.zst') })).facts.files).toBe(4);
  });

  test('a compressed archive that is cut off or damaged is an input error that names the file', async () => {
    const tar = await rootfsTar([
      { name: './noise', content: Buffer.from(Array.from({ length: 90_000 }, (_, i) => (i * i * 31) >> 5)) },
    ]);
    for (const program of ['gzip', 'xz', 'zstd', 'bzip2']) {
      const archive = await programOutput(program, ['-c'], tar);
      await writeFile(at('cut'), archive.subarray(0, archive.length - 1000));
      await expect(read({ kind: 'rootfs', rootfs: at('cut') })).rejects.toMatchObject({
        code: 'input/bad-archive',
        message: expect.stringContaining(at('cut')) as string,
      });
      // What the program has to say about it, not only that it failed.
      if (program === 'gzip') continue;
      await expect(read({ kind: 'rootfs', rootfs: at('cut') })).rejects.toMatchObject({
        message: expect.stringMatching(/failed: .*(end|truncated|incomplete|premature)/i) as string,
      });
    }
  });

  test('images of file systems are named for what they are', async () => {
    const ext4 = Buffer.alloc(4096);
    ext4.set([0x53, 0xef], 1080);
    await writeFiles(dir, { 'x.squashfs': 'hsqs and more', 'x.ext4': ext4, 'x.txt': 'text' });
    await expect(detectSource(at('x.squashfs'))).rejects.toMatchObject({
      code: 'input/not-an-archive',
      message: expect.stringContaining('squashfs') as string,
    });
    await expect(read({ kind: 'rootfs', rootfs: at('x.ext4') })).rejects.toMatchObject({
      code: 'input/not-an-archive',
      message: expect.stringContaining('ext2/3/4') as string,
    });
    await expect(detectSource(at('x.txt'))).rejects.toMatchObject({ code: 'input/not-an-archive' });
    // A FIFO without a writer, which used to hang where no signal reaches.
    await execa('mkfifo', [at('pipe')]);
    await expect(detectSource(at('pipe'))).rejects.toMatchObject({ code: 'input/not-an-archive' });
    await expect(read({ kind: 'rootfs', rootfs: at('pipe') })).rejects.toMatchObject({
      code: 'input/not-an-archive',
    });
    await expect(detectSource('/dev/null')).rejects.toMatchObject({ code: 'input/not-an-archive' });
    await expect(detectSource(at('nowhere'))).rejects.toMatchObject({ code: 'input/unreadable' });
    await expect(detectSource(dir)).rejects.toMatchObject({ code: 'input/unknown-source' });
  });
});

test('progress ends at the size of the file', async () => {
  await writeFile(at('r.tar'), await rootfsTar([{ name: './big', content: new Uint8Array(9 << 20) }]));
  const seen: Event[] = [];
  await read({ kind: 'rootfs', rootfs: at('r.tar') }, { events: (event) => void seen.push(event) });
  const progress = seen.filter((event) => event.type === 'progress');
  expect(progress.length).toBeGreaterThan(1);
  expect(progress[progress.length - 1]).toMatchObject({
    done: (await readFile(at('r.tar'))).length,
    unit: 'bytes',
  });
});

describe('kernel and device trees that are named', () => {
  test('files, directories and globs; directories keep their vendors', async () => {
    await writeFiles(dir, {
      'r.tar': await rootfsTar(),
      'kernel/Image.gz': gzipSync(arm64Image('6.1.44')),
      'initrd.cpio': 'initramfs',
      'dts/freescale/a.dtb': deviceTree('a'),
      'dts/freescale/a.dts': 'source',
      'dts/b.dtbo': deviceTree('b'),
      'more/c-1.dtb': deviceTree('c1'),
      'more/c-2.dtb': deviceTree('c2'),
      'more/d.dtb': deviceTree('d'),
    });
    const build = await read({
      kind: 'rootfs',
      rootfs: at('r.tar'),
      kernel: at('kernel/Image.gz'),
      initramfs: at('initrd.cpio'),
      deviceTrees: [at('dts'), join(dir, 'more/c-*.dtb'), at('more/d.dtb')],
    });
    expect(build.kernel).toMatchObject({
      release: '6.1.44',
      imageName: 'Image.gz',
      initramfs: { content: { size: 9 }, stat: { uid: 0, mode: 0o100644 } },
    });
    expect([...(build.kernel?.deviceTrees.keys() ?? [])]).toEqual([
      'b.dtbo',
      'c-1.dtb',
      'c-2.dtb',
      'd.dtb',
      'freescale/a.dtb',
    ]);
    expect(build.diagnostics).toEqual([]);
  });

  test('the release inside a compressed kernel is found, for a tree without modules', async () => {
    await writeFiles(dir, {
      'r.tar': await rootfsTar([], /modules/),
      'Image.gz': gzipSync(arm64Image('6.12.1-rt5')),
    });
    const build = await read({ kind: 'rootfs', rootfs: at('r.tar'), kernel: at('Image.gz') });
    expect(build.kernel?.release).toBe('6.12.1-rt5');
  });

  test('a kernel that does not tell its release must be named', async () => {
    await writeFiles(dir, { 'r.tar': await rootfsTar([], /modules/), zImage: 'opaque' });
    const spec = { kind: 'rootfs', rootfs: at('r.tar'), kernel: at('zImage') } as const;
    const build = await read(spec);
    expect(errors(build.diagnostics)).toEqual(['input/no-kernel-release']);
    expect((await read({ ...spec, kernelRelease: '6.1.0' })).kernel?.release).toBe('6.1.0');
    expect(errors((await read({ ...spec, kernelRelease: '../../etc' })).diagnostics)).toEqual([
      'input/bad-kernel-release',
    ]);
  });

  test('what is missing or no device tree is refused by name', async () => {
    await writeFiles(dir, {
      'r.tar': await rootfsTar(),
      Image: arm64Image('6.1.44'),
      'x.dtb': 'not one',
      'a/x.dtb': deviceTree('1'),
      'b/x.dtb': deviceTree('2'),
    });
    const spec = { kind: 'rootfs', rootfs: at('r.tar'), kernel: at('Image') } as const;
    const refuse = async (more: object, code: string): Promise<void> => {
      await expect(read({ ...spec, ...more })).rejects.toMatchObject({ code });
    };
    await refuse({ kernel: at('nowhere') }, 'input/unreadable');
    await refuse({ initramfs: at('nowhere') }, 'input/unreadable');
    await refuse({ deviceTrees: [at('none/*.dtb')] }, 'input/no-device-tree');
    await refuse({ deviceTrees: [at('x.dtb')] }, 'input/not-a-device-tree');
    await refuse({ deviceTrees: [at('a'), at('b')] }, 'input/duplicate-device-tree');
  });
});

describe('a kernel inside the tree', () => {
  test.each([
    ['beside its modules', [{ name: 'usr/lib/modules/6.1.44/vmlinuz', content: 'k' }]],
    ['in /boot with its release', [{ name: 'boot/vmlinuz-6.1.44', content: 'k' }]],
    [
      'in /boot by a link',
      [
        { name: 'boot/Image-6.1.44-custom', content: 'k' },
        { name: 'boot/Image', type: 'symlink' as const, linkname: 'Image-6.1.44-custom' },
      ],
    ],
  ])('%s', async (_, extra) => {
    await writeFile(at('r.tar'), await rootfsTar(extra));
    const build = await read({ kind: 'rootfs', rootfs: at('r.tar') });
    expect(build.kernel).toMatchObject({ release: '6.1.44', image: { content: { size: 1 } } });
  });

  test('initramfs and device trees of Debian’s places', async () => {
    await writeFile(
      at('r.tar'),
      await rootfsTar([
        { name: 'boot/vmlinuz-6.1.44', content: arm64Image('6.1.44') },
        { name: 'boot/initrd.img-6.1.44', content: 'initrd' },
        { name: 'usr/lib/linux-image-6.1.44/freescale/a.dtb', content: 'a' },
        { name: 'usr/lib/linux-image-6.1.44/freescale/a-link.dtb', type: 'symlink', linkname: 'a.dtb' },
      ]),
    );
    const build = await read({ kind: 'rootfs', rootfs: at('r.tar') });
    expect(build.kernel?.initramfs).toMatchObject({ content: { size: 6 } });
    expect([...(build.kernel?.deviceTrees.keys() ?? [])]).toEqual(['freescale/a.dtb']);
    expect(warnings(build.diagnostics)).toEqual([]);
  });

  test('two kernels in /boot and no modules', async () => {
    await writeFile(
      at('r.tar'),
      await rootfsTar([{ name: 'boot/vmlinuz-5.1' }, { name: 'boot/vmlinuz-6.1' }], /modules/),
    );
    const build = await read({ kind: 'rootfs', rootfs: at('r.tar') });
    expect(errors(build.diagnostics)).toEqual(['input/several-kernels']);
  });

  test('the layout none asks for no kernel', async () => {
    await writeFile(at('r.tar'), await rootfsTar([], /modules/));
    const build = await read({ kind: 'rootfs', rootfs: at('r.tar') }, { layout: 'none' });
    expect(build.kernel).toBeUndefined();
    expect(build.diagnostics).toEqual([]);
  });
});

describe('facts', () => {
  const facts = async (extra: Parameters<typeof rootfsTar>[0], without?: RegExp): Promise<unknown> => {
    await writeFile(at('f.tar'), await rootfsTar(extra, without));
    return (await read({ kind: 'rootfs', rootfs: at('f.tar') }, { layout: 'none' })).facts;
  };

  test('architecture from programs, version and name from os-release, hard links once', async () => {
    expect(
      await facts([{ name: './usr/bin/sh', type: 'link', linkname: './usr/bin/busybox' }]),
    ).toMatchObject({
      arch: 'aarch64',
      version: '2025.02.16',
      osRelease: { PRETTY_NAME: 'Buildroot 2025.02.16' },
      files: 4,
      usrMerged: true,
      containerRuntimes: [],
    });
  });

  test.each<[string, Parameters<typeof rootfsTar>[0]]>([
    [
      'systemd',
      [
        { name: './usr/sbin/init', type: 'symlink', linkname: '../lib/systemd/systemd' },
        { name: './usr/lib/systemd/systemd' },
      ],
    ],
    ['busybox', []],
    [
      'sysvinit',
      [
        { name: './usr/sbin/init', type: 'symlink', linkname: '/sbin/init.sysvinit' },
        { name: './usr/sbin/init.sysvinit' },
      ],
    ],
    ['openrc', [{ name: './usr/sbin/openrc' }, { name: './etc/runlevels/boot', type: 'directory' }]],
    ['other', [{ name: './usr/sbin/init', content: 'tini' }]],
  ])('init system %s', async (init, extra) => {
    expect(await facts(extra)).toMatchObject({ init });
  });

  test('no init at all, a split /usr, libostree and a container engine', async () => {
    expect(await facts([], /init$/)).toMatchObject({ init: 'none' });
    expect(
      await facts(
        [
          { name: './bin/x' },
          { name: './usr/lib/aarch64-linux-gnu/libostree-1.so.1' },
          { name: './usr/bin/dockerd' },
        ],
        /^\.\/bin$/,
      ),
    ).toMatchObject({ usrMerged: false, libostree: 'unknown', containerRuntimes: ['dockerd'] });
  });

  test('an os-release that names nothing, and files that are all the builder’s', async () => {
    await writeFile(
      at('r.tar'),
      await makeTar([
        { name: './', type: 'directory', uid: 1000 },
        { name: './usr/lib', type: 'directory', uid: 1000 },
      ]),
    );
    const build = await read({ kind: 'rootfs', rootfs: at('r.tar') }, { layout: 'none' });
    // The parents that the archive does not list are root's.
    expect(warnings(build.diagnostics)).toEqual([]);
    await writeFile(
      at('s.tar'),
      await makeTar(
        ['./', './usr', './usr/lib']
          .map((name) => ({ name, type: 'directory' as const, uid: 1000 }))
          .concat(),
      ),
    );
    expect(
      warnings((await read({ kind: 'rootfs', rootfs: at('s.tar') }, { layout: 'none' })).diagnostics),
    ).toEqual(['input/builder-owned']);
    await writeFile(at('t.tar'), await makeTar([{ name: './usr/lib/os-release', content: 'FOO=bar\n' }]));
    const nameless = await read({ kind: 'rootfs', rootfs: at('t.tar') }, { layout: 'none' });
    expect(errors(nameless.diagnostics)).toEqual(['input/no-os-release']);
  });
});

test('a directory is recognised as a root filesystem', async () => {
  await writeFiles(dir, { 'usr/lib/os-release': 'ID=x', 'etc/passwd': 'x' });
  expect(await detectSource(dir)).toEqual({ kind: 'rootfs', rootfs: dir });
  const build = await read({ kind: 'rootfs', rootfs: dir }, { layout: 'none', owner: 'root' });
  expect(build.kind).toBe('directory');
  expect(lookup(build.tree, 'etc/passwd')?.kind).toBe('file');
  expect(build.facts.osRelease).toEqual({ ID: 'x' });
});

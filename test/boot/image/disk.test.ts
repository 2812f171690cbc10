/** Whole disks as sfdisk, sgdisk, fsck.vfat, mtools, bmaptool and genimage see them. */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DiskLayout } from '../../../src/boot/image/disk-layout.ts';
import { bmapOf, writeDisk } from '../../../src/boot/image/disk-write.ts';
import type { DiskPlan } from '../../../src/boot/image/disk-plan.ts';
import { planDisk } from '../../../src/boot/image/disk.ts';
import { renderGenimage } from '../../../src/boot/image/genimage.ts';
import { partFiles, writePartFiles } from '../../../src/boot/image/part-files.ts';
import { renderWks } from '../../../src/boot/image/wks.ts';
import { GPT_TYPE } from '../../../src/formats/gpt.ts';
import type { ByteRange, ImageTarget } from '../../../src/platform/image-file.ts';
import { createImageFile } from '../../../src/platform/image-file.ts';
import { describeReference, runTool } from '../../reference/tools.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

let directory: string;
let loaders: Record<'small' | 'spl' | 'fip' | 'amlogic' | 'dtb', string>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tw-disk-'));
  const make = async (name: string, size: number): Promise<string> => {
    await writeFile(join(directory, name), noise(size, size));
    return join(directory, name);
  };
  loaders = {
    small: await make('boot.img', 400),
    spl: await make('u-boot-with-spl.bin', 700_001),
    fip: await make('fip.bin', 1_500_000),
    amlogic: await make('u-boot.bin.sd.bin', 90_000),
    dtb: await make('bcm2711-rpi-4-b.dtb', 50_000),
  };
});
afterAll(() => rm(directory, { recursive: true }));

function noise(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

const ROOT_SIZE = 3 * MIB;
const ROOT_START = noise(200_000, 3);

/** Stands for a file system: data at both ends, nothing between. */
async function writeRoot(target: ImageTarget): Promise<void> {
  await target.write(0, ROOT_START);
  await target.write(ROOT_SIZE - 5000, noise(5000, 4));
}

function layout(more: Partial<DiskLayout> = {}): DiskLayout {
  return {
    board: 'test-board',
    table: 'mbr',
    loaders: [],
    blobs: [],
    firstPartition: 4 * MIB,
    alignment: MIB,
    time: 1_700_000_000,
    root: { label: 'root', seed: 'gateway 1.0' },
    ...more,
  };
}

const SCRIPT = new TextEncoder().encode('a boot script');

/** Layouts of the boards that presets are for. */
const layouts = (): Record<string, DiskLayout> => ({
  'MBR, loader and environment (QEMU, BeagleBone, Allwinner)': layout({
    loaders: [
      { path: loaders.small, offset: 0 },
      { path: loaders.spl, offset: 8 * KIB },
    ],
    blobs: [
      { name: 'environment', offset: MIB, bytes: noise(16 * KIB, 1) },
      { name: 'redundant environment', offset: MIB + 16 * KIB, bytes: noise(16 * KIB, 2) },
    ],
  }),
  'MBR with FAT (Raspberry Pi)': layout({
    fat: {
      size: 8 * MIB,
      label: 'boot',
      files: [
        { target: 'config.txt', bytes: noise(100, 9) },
        { target: 'boot.scr', bytes: SCRIPT },
        { target: 'overlays/some long name.dtb', path: loaders.dtb },
        { target: 'bcm2711-rpi-4-b.dtb', path: loaders.dtb },
      ],
    },
    data: { size: 2 * MIB, label: 'data' },
  }),
  'MBR, loader around the table (Amlogic)': layout({ loaders: [{ path: loaders.amlogic, offset: 0 }] }),
  'GPT with /boot (i.MX8M)': layout({
    table: 'gpt',
    loaders: [{ path: loaders.spl, offset: 33 * KIB }],
    blobs: [{ name: 'environment', offset: 0x3f0000, bytes: noise(8 * KIB, 1) }],
    boot: { size: MIB, label: 'boot', write: (target) => target.write(1024, noise(1000, 5)) },
  }),
  'GPT with partitions found by name (STM32MP1)': layout({
    table: 'gpt',
    loaderPartitions: [
      { name: 'fsbl1', offset: 34 * 512, size: 1024 * KIB, path: loaders.spl },
      { name: 'fsbl2', offset: 34 * 512 + 1024 * KIB, size: 1024 * KIB, path: loaders.spl },
      { name: 'fip', size: 2 * MIB, path: loaders.fip, type: '19D5DF83-11B0-457B-BE2C-7559C13142A5' },
      { name: 'u-boot-env', size: 512 * KIB },
    ],
    blobs: [{ name: 'environment', offset: 6 * MIB + 512 * KIB - 16 * KIB, bytes: noise(16 * KIB, 1) }],
  }),
  'GPT with EFI system partition (x86-64)': layout({
    table: 'gpt',
    fat: { size: 3 * MIB, label: 'esp', files: [{ target: 'EFI/BOOT/BOOTX64.EFI', path: loaders.dtb }] },
  }),
});

let images = 0;

async function makeDisk(
  disk: DiskLayout,
): Promise<{ plan: DiskPlan; path: string; mapped: readonly ByteRange[] }> {
  const path = join(directory, `${images++}.img`);
  const plan = await planDisk(disk, ROOT_SIZE);
  const image = await createImageFile(path);
  await writeDisk(plan, writeRoot, image);
  return { plan, path, mapped: image.mapped() };
}

interface SfdiskTable {
  readonly label: string;
  readonly id: string;
  readonly firstlba?: number;
  readonly lastlba?: number;
  readonly partitions: readonly {
    readonly start: number;
    readonly size: number;
    readonly type: string;
    readonly uuid?: string;
    readonly name?: string;
    readonly bootable?: boolean;
    readonly attrs?: string;
  }[];
}

/** What sfdisk reads from an image, without the names of device nodes. */
async function tableOf(path: string): Promise<SfdiskTable> {
  const { stdout } = await runTool('sfdisk', ['--json', path], { suite: 'disk' });
  const { partitiontable } = JSON.parse(stdout) as { partitiontable: SfdiskTable };
  const text = JSON.stringify(partitiontable, (key, value: unknown) =>
    key === 'node' || key === 'device' ? undefined : value,
  );
  return JSON.parse(text) as SfdiskTable;
}

async function slice(path: string, start: number, size: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(size);
    await file.read(bytes, 0, size, start);
    return bytes;
  } finally {
    await file.close();
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'accepted',
    (error: unknown) => (error as { code: string }).code,
  );
}

async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'accepted',
    (error: unknown) => (error as Error).message,
  );
}

/** Everything that a disk must hold, read back from an image. */
async function checkContents(plan: DiskPlan, path: string): Promise<void> {
  for (const { path: file, offset, segments } of plan.loaders) {
    const bytes = await readFile(file);
    for (const { from, to } of segments) {
      expect(
        Buffer.compare(await slice(path, offset + from, to - from), bytes.subarray(from, to)),
        file,
      ).toBe(0);
    }
  }
  for (const { name, offset, bytes } of plan.blobs) {
    expect(Buffer.compare(await slice(path, offset, bytes.length), bytes), name).toBe(0);
  }
  for (const { start, name, size, content } of plan.partitions) {
    if (content.kind === 'root') {
      expect(Buffer.compare(await slice(path, start, ROOT_START.length), ROOT_START)).toBe(0);
    } else if (content.kind === 'file') {
      const bytes = await readFile(content.path);
      expect(Buffer.compare(await slice(path, start, bytes.length), bytes), name).toBe(0);
    } else if (content.kind === 'bytes') {
      const expected = Buffer.alloc(size);
      for (const { offset, bytes } of content.blobs) expected.set(bytes, offset);
      expect(Buffer.compare(await slice(path, start, size), expected), name).toBe(0);
    } else if (content.kind === 'fat') {
      const part = join(directory, `${images++}.vfat`);
      await writeFile(part, await slice(path, start, size));
      await runTool('fsck.vfat', ['-n', part], { suite: 'disk' });
      for (const source of content.sources) {
        await runTool('mcopy', ['-n', '-o', '-i', part, `::${source.target}`, join(directory, 'out')], {
          suite: 'disk',
          env: { MTOOLSRC: '/dev/null' },
        });
        const expected = 'bytes' in source ? source.bytes : await readFile(source.path);
        expect(Buffer.compare(await readFile(join(directory, 'out')), expected), source.target).toBe(0);
      }
    }
  }
}

const NAMES = Object.keys(
  ((): Record<string, DiskLayout> => {
    loaders = { small: '', spl: '', fip: '', amlogic: '', dtb: '' };
    return layouts();
  })(),
);

describeReference('a disk', ['disk:sfdisk', 'disk:sgdisk', 'disk:fsck.vfat', 'disk:mcopy'], () => {
  test.for(NAMES)('%s: its table and contents', async (name) => {
    const disk = layouts()[name] ?? layout();
    const { plan, path } = await makeDisk(disk);
    const table = await tableOf(path);
    expect(table.label).toBe(disk.table === 'mbr' ? 'dos' : 'gpt');
    expect(
      table.partitions.map(({ start, size, type, uuid, name: label, bootable, attrs }) => ({
        start: start * 512,
        size: size * 512,
        type: type.toLowerCase(),
        // sfdisk tells no UUIDs of an MBR.
        uuid: uuid?.toLowerCase(),
        label,
        bootable: bootable === true || attrs === 'LegacyBIOSBootable',
      })),
    ).toEqual(
      plan.partitions.map(({ start, size, mbrType, gptType, partUuid, name: label, bootable }) => ({
        start,
        size,
        type: disk.table === 'mbr' ? mbrType.toString(16) : gptType,
        uuid: disk.table === 'mbr' ? undefined : partUuid,
        label: disk.table === 'mbr' ? undefined : label,
        bootable,
      })),
    );
    expect(plan.partitions.filter(({ bootable }) => bootable)).toHaveLength(1);
    if (disk.table === 'gpt') {
      const { stdout } = await runTool('sgdisk', ['-v', path], { suite: 'disk' });
      expect(stdout).toContain('No problems found');
    } else {
      expect(table.id).toBe(`0x${plan.signature.toString(16).padStart(8, '0')}`);
      expect(plan.partitions[0]?.partUuid).toBe(`${table.id.slice(2)}-01`);
    }
    await checkContents(plan, path);
  });

  test('the backup of a GPT alone is enough', async () => {
    const { plan, path } = await makeDisk(layouts()[NAMES[3] ?? ''] ?? layout());
    const before = await tableOf(path);
    const file = await open(path, 'r+');
    await file.write(Buffer.alloc(512), 0, 512, 512);
    await file.close();
    expect(await tableOf(path)).toEqual(before);
    expect(plan.partitions).toHaveLength(2);
  });

  test('a block map is enough to write a disk over old data', async () => {
    for (const name of NAMES) {
      const { plan, path, mapped } = await makeDisk(layouts()[name] ?? layout());
      const used = join(directory, 'used.img');
      await writeFile(used, Buffer.alloc(plan.size, 0xe5));
      const file = await open(used, 'r+');
      for (const { start, end } of mapped)
        await file.write(await slice(path, start, end - start), 0, end - start, start);
      await file.close();
      expect(await tableOf(used)).toEqual(await tableOf(path));
      await checkContents(plan, used);
    }
  });
});

describeReference('a block map', ['disk:bmaptool'], () => {
  test('bmaptool copies by it, and refuses an image or a map that was changed', async () => {
    const { path, mapped } = await makeDisk(layouts()[NAMES[1] ?? ''] ?? layout());
    const bmap = join(directory, 'disk.bmap');
    const text = await bmapOf(path, mapped);
    await writeFile(bmap, text);
    const copy = join(directory, 'copy.img');
    const run = (image: string, map: string): Promise<{ exitCode: number; stderr: string }> =>
      runTool('bmaptool', ['copy', '--bmap', map, image, copy], { suite: 'disk', reject: false });
    expect((await run(path, bmap)).exitCode).toBe(0);
    expect(Buffer.compare(await readFile(copy), await readFile(path))).toBe(0);

    const changed = join(directory, 'changed.img');
    await copyFile(path, changed);
    const file = await open(changed, 'r+');
    await file.write(Buffer.from([1]), 0, 1, (mapped[0]?.start ?? 0) + 300);
    await file.close();
    const refused = await run(changed, bmap);
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toContain('checksum');

    const forged = join(directory, 'forged.bmap');
    await writeFile(forged, text.replace(/chksum="./, 'chksum="g'));
    const odd = await run(path, forged);
    expect(odd.exitCode).not.toBe(0);
    expect(odd.stderr).toContain('checksum mismatch');
  });
});

describeReference('genimage', ['disk:genimage', 'disk:mkdosfs', 'disk:mcopy', 'disk:sfdisk'], () => {
  test.for(NAMES)('%s: makes the same disk', async (name) => {
    const { plan, path } = await makeDisk(layouts()[name] ?? layout());
    const work = await mkdtemp(join(directory, 'genimage-'));
    const input = join(work, 'input');
    await mkdir(input);
    await mkdir(join(work, 'root'));
    await writePartFiles(input, partFiles(plan, 'genimage', writeRoot));
    await writeFile(join(work, 'genimage.cfg'), renderGenimage(plan, 'disk.img'));
    await runTool(
      'genimage',
      [
        '--config',
        'genimage.cfg',
        '--inputpath',
        input,
        '--outputpath',
        'out',
        '--rootpath',
        'root',
        '--tmppath',
        'tmp',
      ],
      { suite: 'disk', cwd: work, env: { MTOOLSRC: '/dev/null' } },
    );
    const theirs = join(work, 'out/disk.img');
    // The first usable sector of genimage 16 is that of the first partition; later versions do as we do.
    const ours = await tableOf(path);
    expect({ ...(await tableOf(theirs)), firstlba: ours.firstlba }).toEqual({
      ...ours,
      firstlba: ours.firstlba,
    });
    await checkContents(plan, theirs);
    expect((await stat(theirs)).size).toBe(plan.size);
    for (const { name: label, start, size, content } of plan.partitions) {
      if (content.kind === 'fat') continue;
      expect(Buffer.compare(await slice(theirs, start, size), await slice(path, start, size)), label).toBe(0);
    }
    await rm(work, { recursive: true });
  });
});

describe('which partition is flagged bootable', () => {
  const flagged = async (more: Partial<DiskLayout>): Promise<readonly string[]> =>
    (await planDisk(layout(more), ROOT_SIZE)).partitions
      .filter(({ bootable }) => bootable)
      .map(({ role }) => role);
  const fat = { size: 4 * MIB, label: 'boot' };
  const boot = { size: MIB, label: 'boot' };

  test('the one that has boot.scr', async () => {
    expect(await flagged({})).toEqual(['root']);
    expect(await flagged({ boot })).toEqual(['boot']);
    expect(await flagged({ fat: { ...fat, files: [{ target: 'config.txt', bytes: SCRIPT }] } })).toEqual([
      'root',
    ]);
    for (const target of [
      'boot.scr',
      'BOOT.SCR',
      'boot/boot.scr',
      'boot.scr.uimg',
      'extlinux/extlinux.conf',
    ]) {
      expect(await flagged({ boot, fat: { ...fat, files: [{ target, bytes: SCRIPT }] } })).toEqual(['fat']);
    }
    expect(await flagged({ fat: { ...fat, files: [{ target: 'old/boot.scr', bytes: SCRIPT }] } })).toEqual([
      'root',
    ]);
    expect(await flagged({ fat: { ...fat, bootable: true, files: [] } })).toEqual(['fat', 'root']);
  });

  test('FAT in a GPT is an EFI system partition when it has a folder EFI, or when told', async () => {
    const type = async (files: readonly string[], purpose?: 'efi' | 'data'): Promise<string | undefined> => {
      const sources = files.map((target) => ({ target, bytes: SCRIPT }));
      const disk = layout({ table: 'gpt', fat: { ...fat, files: sources, ...(purpose && { purpose }) } });
      return (await planDisk(disk, ROOT_SIZE)).partitions[0]?.gptType;
    };
    expect(await type(['kernel8.img'])).toBe(GPT_TYPE.basicData);
    expect(await type(['efi/boot/bootaa64.efi'])).toBe(GPT_TYPE.efiSystem);
    expect(await type(['efi/boot/bootaa64.efi'], 'data')).toBe(GPT_TYPE.basicData);
    expect(await type([], 'efi')).toBe(GPT_TYPE.efiSystem);
  });
});

describe('what lies over something else is refused', () => {
  const refused = async (more: Partial<DiskLayout>): Promise<string> => {
    expect(await codeOf(planDisk(layout(more), ROOT_SIZE))).toBe('config/disk-overlap');
    return messageOf(planDisk(layout(more), ROOT_SIZE));
  };

  test('a loader and the table', async () => {
    const gpt = await refused({ table: 'gpt', loaders: [{ path: loaders.spl, offset: 8 * KIB }] });
    expect(gpt).toContain('the partition table (GPT) (bytes 440 to 17407)');
    expect(gpt).toContain(`${loaders.spl} (bytes 8192 to 708192)`);
    expect(gpt).toContain('table: mbr');
    await refused({ table: 'gpt', loaders: [{ path: loaders.amlogic, offset: 0 }] });
    await refused({ loaders: [{ path: loaders.small, offset: 440 }] });
    await refused({ loaders: [{ path: loaders.small, offset: 500 }] });
    for (const table of ['mbr', 'gpt'] as const) {
      expect(
        await codeOf(planDisk(layout({ table, loaders: [{ path: loaders.small, offset: 0 }] }), ROOT_SIZE)),
      ).toBe('accepted');
    }
  });

  test('a loader and a partition, with the place that is free', async () => {
    const message = await refused({ loaders: [{ path: loaders.spl, offset: 4 * MIB - KIB }] });
    expect(message).toContain('partition 1 "root"');
    const place = Number(/"first-partition" to (\d+)/.exec(message)?.[1]);
    const moved = layout({ loaders: [{ path: loaders.spl, offset: 4 * MIB - KIB }], firstPartition: place });
    expect(await codeOf(planDisk(moved, ROOT_SIZE))).toBe('accepted');
  });

  test('two loaders, an environment in a loader, loader partitions', async () => {
    const blob = { name: 'the environment', offset: 64 * KIB, bytes: SCRIPT };
    expect(await refused({ loaders: [{ path: loaders.spl, offset: KIB }], blobs: [blob] })).toContain(
      'the environment',
    );
    const two = [
      { path: loaders.spl, offset: 32 * KIB },
      { path: loaders.fip, offset: 64 * KIB },
    ];
    expect(await refused({ loaders: two })).toContain(
      `give the boot loader ${loaders.fip} an offset of 733184`,
    );
    const partition = { name: 'fip', size: 2 * MIB, path: loaders.fip };
    expect(await refused({ table: 'gpt', loaderPartitions: [{ ...partition, offset: 0 }] })).toContain(
      'give partition 1 "fip" an offset from 17408 on',
    );
    await refused({
      table: 'gpt',
      loaderPartitions: [
        { ...partition, offset: 5 * MIB },
        { name: 'b', size: MIB, offset: 6 * MIB },
      ],
    });
    // Over the end of the partition it begins in.
    await refused({
      table: 'gpt',
      loaderPartitions: [{ name: 'u-boot-env', size: 64 * KIB }],
      blobs: [{ name: 'environment', offset: 4 * MIB + 60 * KIB, bytes: noise(16 * KIB, 1) }],
    });
    // In a partition that has a file of its own.
    await refused({ table: 'gpt', loaderPartitions: [partition], blobs: [{ ...blob, offset: 4 * MIB }] });
  });

  test('a missing, empty or too large loader, naming it', async () => {
    const path = join(directory, 'not-built.bin');
    const message = await messageOf(planDisk(layout({ loaders: [{ path, offset: KIB }] }), ROOT_SIZE));
    expect(message).toContain('not-built.bin of the board "test-board" is missing');
    expect(message).toContain(path);
    expect(await codeOf(planDisk(layout({ loaders: [{ path, offset: KIB }] }), ROOT_SIZE))).toBe(
      'input/no-loader',
    );
    expect(await codeOf(planDisk(layout({ loaders: [{ path: directory, offset: KIB }] }), ROOT_SIZE))).toBe(
      'input/no-loader',
    );
    const fat = { size: 4 * MIB, label: 'boot', files: [{ target: 'a', path }] };
    expect(await codeOf(planDisk(layout({ fat }), ROOT_SIZE))).toBe('input/no-boot-file');
    const small = {
      table: 'gpt',
      loaderPartitions: [{ name: 'fip', size: MIB, path: loaders.fip }],
    } as const;
    expect(await codeOf(planDisk(layout(small), ROOT_SIZE))).toBe('config/loader-too-large');
  });

  test('values that make no disk', async () => {
    const bad: readonly Partial<DiskLayout>[] = [
      { firstPartition: 0 },
      { firstPartition: 1000 },
      { alignment: 100 },
      { loaderPartitions: [{ name: 'fip', size: MIB }] },
      { table: 'gpt', loaderPartitions: [{ name: 'fip', size: 1000 }] },
      {
        table: 'gpt',
        loaderPartitions: [
          { name: 'a', size: MIB },
          { name: 'a', size: MIB },
        ],
      },
      { blobs: [{ name: 'x', offset: -1, bytes: SCRIPT }] },
    ];
    for (const more of bad) expect(await codeOf(planDisk(layout(more), ROOT_SIZE))).toBe('config/bad-disk');
    await expect(
      makeDisk(layout({ table: 'gpt', root: { label: 'x'.repeat(37), seed: '' } })),
    ).rejects.toMatchObject({
      code: 'config/bad-partition-name',
    });
  });

  test('a file that changes between plan and writing leaves no image', async () => {
    const path = join(directory, 'changing.bin');
    await writeFile(path, noise(1000, 1));
    const plan = await planDisk(layout({ loaders: [{ path, offset: KIB }] }), ROOT_SIZE);
    await writeFile(path, noise(999, 1));
    const image = await createImageFile(join(directory, 'never.img'));
    expect(await codeOf(writeDisk(plan, writeRoot, image))).toBe('input/changed-file');
    await expect(readFile(join(directory, 'never.img'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

test('the same input gives the same bytes, another seed other ids', async () => {
  for (const name of NAMES) {
    const disk = layouts()[name] ?? layout();
    const digest = async (seed: string): Promise<string> => {
      const { path } = await makeDisk({ ...disk, root: { ...disk.root, seed } });
      return createHash('sha256')
        .update(await readFile(path))
        .digest('hex');
    };
    const first = await digest('a');
    expect(await digest('a')).toBe(first);
    expect(await digest('b')).not.toBe(first);
  }
});

describe('a kickstart file for wic', () => {
  test('of a GPT with loader, environment and /boot', async () => {
    const plan = await planDisk(layouts()[NAMES[3] ?? ''] ?? layout(), ROOT_SIZE);
    const [boot, root] = plan.partitions;
    expect(renderWks(plan, 'gateway\n1.0').split('\n')).toEqual([
      '# short-description: gateway 1.0',
      '# The files that are named without a directory come with this one: put them into DEPLOY_DIR_IMAGE.',
      `part --source rawcopy --sourceparams="file=${loaders.spl}" --offset 33 --no-table`,
      'part --source rawcopy --sourceparams="file=1-environment.bin" --offset 4032 --no-table',
      `part --source rawcopy --sourceparams="file=boot.ext4" --fstype ext4 --offset 4096 --fixed-size 1024k --active --part-name boot --part-type ${GPT_TYPE.linux} --uuid ${boot?.partUuid ?? ''}`,
      `part --source rawcopy --sourceparams="file=rootfs.ext4" --fstype ext4 --offset 5120 --fixed-size 3072k --part-name root --part-type ${GPT_TYPE.linux} --uuid ${root?.partUuid ?? ''}`,
      `# A wic that knows the option takes "--diskid ${plan.diskUuid}" as well, and then the disk has its id.`,
      'bootloader --ptable gpt',
      '',
    ]);
  });

  test('is refused where wic cannot do it', async () => {
    const wks = async (more: Partial<DiskLayout>): Promise<string> =>
      renderWks(await planDisk(layout(more), ROOT_SIZE), 'x');
    expect(await codeOf(wks({ loaders: [{ path: loaders.small, offset: 0 }] }))).toBe('config/wks');
    expect(await codeOf(wks({ table: 'gpt', root: { label: 'a b', seed: '' } }))).toBe('config/wks');
    await copyFile(loaders.small, join(directory, 'a,b.bin'));
    expect(await codeOf(wks({ loaders: [{ path: join(directory, 'a,b.bin'), offset: 1024 }] }))).toBe(
      'config/wks',
    );
    expect(await wks({ loaders: [{ path: loaders.small, offset: 512 }] })).toContain('--offset 1s');
  });
});

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { boardNames } from '../../src/config/board-files.ts';
import { loadBoard } from '../../src/config/board.ts';

const names = await boardNames();

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'treewright-boards-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const user = async (text: string): Promise<string> => {
  await writeFile(join(directory, 'mine.yaml'), text);
  return 'mine.yaml';
};

describe('presets', () => {
  test('cover the boards that are promised', () => {
    expect(names).toEqual(
      expect.arrayContaining([
        'beaglebone-black',
        'generic-arm',
        'generic-arm64',
        'generic-riscv64',
        'generic-x86_64',
        'qemu-arm',
        'qemu-arm64',
        'qemu-riscv64',
        'qemu-x86_64',
        'raspberrypi4',
        'stm32mp157',
        'verdin-imx8mm',
      ]),
    );
  });

  test.each(names)(
    '%s is whole, and what its disk and its environment take does not overlap',
    async (name) => {
      const board = await loadBoard(name, directory);
      expect(board.checked).not.toBe('');
      const { environment, disk } = board;
      const locations =
        environment.kind === 'raw' || environment.kind === 'u-boot' ? (environment.locations ?? []) : [];
      if (environment.kind === 'raw') {
        for (const { offset, size } of locations) {
          expect(offset % 512).toBe(0);
          expect(size % 512).toBe(0);
          // Before the first partition, behind partition table and loaders.
          expect(offset).toBeGreaterThanOrEqual(34 * 512);
          expect(offset + size).toBeLessThanOrEqual(disk?.firstPartition ?? 0);
          for (const loader of disk?.loaders ?? []) expect(offset).toBeGreaterThan(loader.offset);
        }
      }
      const [first, second] = locations;
      if (first !== undefined && second !== undefined) {
        expect(Math.abs(first.offset - second.offset)).toBeGreaterThanOrEqual(first.size);
      }
      for (const partition of disk?.loaderPartitions ?? []) {
        expect((partition.offset ?? 0) + partition.size).toBeLessThanOrEqual(disk?.firstPartition ?? 0);
      }
    },
  );
});

test('STM32MP1 has its environment in the last 16 KiB of u-boot-env, the first copy last', async () => {
  const { environment, disk } = await loadBoard('stm32mp157', directory);
  const partition = disk?.loaderPartitions.find(({ name }) => name === 'u-boot-env');
  const end = (partition?.offset ?? 0) + (partition?.size ?? 0);
  expect(environment.kind === 'u-boot' ? environment.locations?.map(({ offset }) => offset) : []).toEqual([
    end - 0x2000,
    end - 0x4000,
  ]);
});

describe('boards of the user', () => {
  test('build on a preset, and say only what differs', async () => {
    const mine = await user(
      'extends: qemu-arm64\nchecked: at my desk\nlimits: { ramdisk: 16MiB }\nenvironment: { kind: u-boot, device: /dev/mmcblk0boot0, offset: "-0x2200", size: 8KiB }\n',
    );
    const board = await loadBoard(mine, directory);
    const preset = await loadBoard('qemu-arm64', directory);
    expect(board.limits).toEqual({ ...preset.limits, ramdisk: 16 * 1024 * 1024 });
    expect(board.addresses).toEqual(preset.addresses);
    expect(board.environment).toEqual({
      kind: 'u-boot',
      locations: [{ device: '/dev/mmcblk0boot0', offset: -0x2200, size: 8192 }],
    });
    expect(board.name).toBe('mine');
  });

  test('faults name the key, and unknown names the nearest preset', async () => {
    const mine = await user('extends: qemu-arm64\nadresses: {}\n');
    await expect(loadBoard(mine, directory)).rejects.toThrow(/adresses/);
    await expect(loadBoard('rasberrypi4', directory)).rejects.toThrow(/did you mean "raspberrypi4"\?/);
    await expect(loadBoard('none.yaml', directory)).rejects.toMatchObject({ code: 'config/no-board' });
  });
});

/**
 * The presets of boards that no QEMU has, in U-Boot's sandbox: the script that a release gets for the board, on a disk
 * laid out like the board's, with the addresses of the board's U-Boot less the start of its memory.
 */
import { mkdir, mkdtemp, readFile, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Board, RollbackScheme } from '../../src/boot/board.ts';
import { environmentLocations } from '../../src/boot/board.ts';
import type { DiskLayout } from '../../src/boot/image/disk-layout.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import { bootScript, deploymentFiles, writeBootDisk } from './support/boot-disk.ts';
import type { Console } from './support/console.ts';
import { presetBoard } from './support/preset-board.ts';
import type { SandboxOptions } from './support/sandbox.ts';
import { SANDBOX_ENVIRONMENT_SIZE, startSandbox } from './support/sandbox.ts';
import type { SavedPlace } from './support/saved-state.ts';
import { savedVariables, setSaved } from './support/saved-state.ts';

const MIB = 1 << 20;

/** What U-Boot of a board sets before a script runs, from its sources (2026.10-rc2). */
interface Facts {
  /** Where its memory begins; the sandbox's begins at 0. */
  readonly memory: number;
  readonly addresses: Readonly<Record<string, number>>;
  readonly fdtfile: string;
  readonly others?: Readonly<Record<string, string>>;
}

/** Those whose attempts this U-Boot, which has a counter of its own, does not count a second time. */
const BOARDS: Readonly<Record<string, Facts>> = {
  // board/raspberrypi/rpi/rpi.env, rpi.c
  raspberrypi4: {
    memory: 0,
    addresses: {
      kernel_addr_r: 0x8_0000,
      scriptaddr: 0x540_0000,
      pxefile_addr_r: 0x550_0000,
      fdt_addr_r: 0x560_0000,
      ramdisk_addr_r: 0x570_0000,
    },
    fdtfile: 'broadcom/bcm2711-rpi-4-b.dtb',
  },
  // include/configs/ti_armv7_common.h, am335x_evm.h; the counter of the clock is in `bootcount` at each start.
  'beaglebone-black': {
    memory: 0x8000_0000,
    addresses: {
      scriptaddr: 0x8000_0000,
      pxefile_addr_r: 0x8010_0000,
      kernel_addr_r: 0x8200_0000,
      fdt_addr_r: 0x8800_0000,
      ramdisk_addr_r: 0x8808_0000,
      fdtoverlay_addr_r: 0x8900_0000,
    },
    fdtfile: 'am335x-boneblack.dtb',
    others: { bootcount: '7' },
  },
  // include/configs/verdin-imx8mm.h, CONFIG_SYS_LOAD_ADDR
  'verdin-imx8mm': {
    // It begins at 0x4000_0000; nothing that the script uses lies before this.
    memory: 0x4800_0000,
    addresses: {
      kernel_addr_r: 0x4820_0000,
      fdt_addr_r: 0x5020_0000,
      scriptaddr: 0x5028_0000,
      ramdisk_addr_r: 0x5030_0000,
    },
    fdtfile: 'imx8mm-verdin-wifi-dev.dtb',
  },
};

const hex = (value: number): string => `0x${value.toString(16)}`;

let directory = '';
let deviceTree: Uint8Array = new Uint8Array();
let overlay: Uint8Array = new Uint8Array();

async function compile(name: string, source: string): Promise<Uint8Array> {
  const input = `/dts-v1/;\n${source}`;
  await runTool('dtc', ['-q', '-@', '-O', 'dtb', '-o', name, '-'], { cwd: directory, input });
  return readFile(join(directory, name));
}

/** A zImage as far as bootz looks at it: the magic number, and where it begins and ends. Elsewhere only text. */
function kernel(board: Board, letter: string): Uint8Array {
  const bytes = new TextEncoder().encode(`${'kernel '.repeat(500)}${letter}`);
  if (board.bootCommand === 'bootz') {
    const header = new DataView(bytes.buffer);
    [0x016f_2818, 0, bytes.length].forEach((value, index) => header.setUint32(0x24 + 4 * index, value, true));
  }
  return bytes;
}

/** The board's own partitions, without their content. */
function layoutOf({ disk }: Awaited<ReturnType<typeof presetBoard>>['config']): Partial<DiskLayout> {
  if (disk === undefined) return {};
  return {
    table: disk.table,
    firstPartition: disk.firstPartition,
    loaderPartitions: disk.loaderPartitions.map(({ name, offset, size }) => ({
      name,
      size,
      ...(offset === undefined ? {} : { offset }),
    })),
    ...(disk.fat === undefined ? {} : { fat: { size: 8 * MIB, label: disk.fat.label, files: [] } }),
  };
}

async function bench(name: string, { memory, addresses, fdtfile, others = {} }: Facts) {
  const { board, config } = await presetBoard(name);
  const rollback: RollbackScheme = { counting: config.counting ?? 'script', attempts: 2 };
  const own = join(directory, name);
  await mkdir(own);
  const disk = join(own, 'disk.img');
  const layout = layoutOf(config);
  const dtb = {
    [fdtfile]: deviceTree,
    'overlays/sensor.dtbo': overlay,
    'overlays.txt': 'fdt_overlays=sensor.dtbo\n',
  };
  const deployment = (letter: string) => ({
    letter,
    kernel: kernel(board, letter),
    dtb,
    uEnv: `bootargs_extra=of_${letter}\n`,
    kargs: ['root=LABEL=root', 'rw', ...config.kargs].join(' '),
  });
  await writeBootDisk(
    disk,
    board,
    rollback,
    {
      ...deploymentFiles([deployment('b'), deployment('a')]),
      'boot/boot.scr': bootScript(board, rollback, { stay: false }),
      'boot/stay.scr': bootScript(board, rollback, { stay: true }),
    },
    {},
    layout,
  );
  // Room for an environment at the end of the disk, where this board's is at the end of another device.
  await truncate(disk, (await stat(disk)).size + MIB);
  const locations = environmentLocations(board.environment);
  const place: SavedPlace = {
    disk,
    offsets: locations.length === 0 ? [MIB] : locations.map(({ offset }) => offset),
    size: locations[0]?.size ?? SANDBOX_ENVIRONMENT_SIZE,
  };
  const partition = `0:${1 + (layout.loaderPartitions?.length ?? 0) + (layout.fat === undefined ? 0 : 1)}`;
  const run = (script: string): string =>
    `setenv devtype mmc; setenv devnum 0; setenv distro_bootpart ${partition.slice(2)}; setenv fdt_addr \${fdtcontroladdr}; ` +
    `load mmc ${partition} \${scriptaddr} /boot/${script} && source \${scriptaddr}`;
  const environmentPartition = layout.loaderPartitions?.find(({ name: each }) => each === 'u-boot-env')?.name;
  const options: SandboxOptions = {
    directory: own,
    disk: 'disk.img',
    redundant: board.environment.kind === 'u-boot' && place.offsets.length > 1,
    ...(environmentPartition === undefined ? { environment: place.offsets } : { environmentPartition }),
    variables: {
      ...Object.fromEntries(
        Object.entries(addresses).map(([variable, address]) => [variable, hex(address - memory)]),
      ),
      ...others,
      fdtfile,
      bootcmd: run('boot.scr'),
      stay: run('stay.scr'),
      bootdelay: '0',
    },
  };
  return { board, rollback, place, options, kargs: config.kargs };
}

async function withSandbox<T>(options: SandboxOptions, use: (uboot: Console) => Promise<T>): Promise<T> {
  const uboot = await startSandbox(options);
  try {
    return await use(uboot);
  } finally {
    await uboot.cut();
  }
}

describeReference('board presets in the sandbox', ['sandbox:u-boot-sandbox', 'bookworm:dtc'], () => {
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tw-presets-'));
    deviceTree = await compile(
      'board.dtb',
      '/ { #address-cells = <1>; #size-cells = <1>; compatible = "some,board"; memory { device_type = "memory"; reg = <0 0x1000>; }; soc: soc { led { }; }; };',
    );
    overlay = await compile('sensor.dtbo', '/plugin/;\n&soc { sensor { compatible = "some,sensor"; }; };');
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  test.each(Object.entries(BOARDS))(
    '%s: everything is loaded where it belongs, attempts are counted',
    async (name, facts) => {
      const { board, rollback, place, options, kargs } = await bench(name, facts);
      const own = options.directory;

      await withSandbox(
        { ...options, variables: { ...options.variables, bootdelay: '-1' } },
        async (uboot) => {
          await uboot.expect(/=> /, 90);
          const said = await uboot.command('run stay');
          expect(said).toContain('ostree: the deployment cannot be started');
          const arguments_ = [
            'root=LABEL=root',
            'rw',
            ...kargs,
            `ostree=/ostree/boot.1/os/${'b'.repeat(64)}/0`,
            'of_b',
          ];
          expect(await uboot.command('echo ${bootargs}')).toContain(`${arguments_.join(' ')}\n`);
          const wanted = kernel(board, 'b');
          await uboot.command(
            `host save hostfs - ${board.addresses.kernel} kernel ${wanted.length.toString(16)}`,
          );
          expect(new Uint8Array(await readFile(join(own, 'kernel')))).toEqual(wanted);
          await uboot.command(`host save hostfs - ${board.addresses.ramdisk} ramdisk b`);
          expect(await readFile(join(own, 'ramdisk'), 'utf8')).toBe('initramfs b');
          expect(await uboot.command('echo ${ostree_ramdisk}:${ostree_ramdisk_size}')).toMatch(
            board.bootCommand === 'zboot' ? /:b\n/ : /:b:\n/,
          );
          if (board.bootCommand === 'zboot') return;
          const tree = await uboot.command(
            'fdt addr ${ostree_fdt_addr}; fdt print /soc; echo at ${ostree_fdt_addr}',
          );
          expect(tree).toContain('compatible = "some,sensor"');
          expect(tree).toContain('led {');
          if (board.bootCommand === 'bootz') expect(said).toContain('continuing, as we cannot run Linux');
        },
      );

      await withSandbox(options, async (uboot) => {
        await uboot.expect(/ostree: \/boot\/ostree\/os-b{64}\/vmlinuz-6.6 .* of_b\n/, 90);
        await uboot.expect(/the deployment cannot be started/, 60);
      });
      await setSaved(place, { upgrade_available: '1', bootcount: '0', rollback: '0' });
      await withSandbox(options, async (uboot) => {
        for (const count of [1, 2]) {
          await uboot.expect(new RegExp(`ostree: upgrade_available=1 bootcount=${count} rollback=0\n`), 90);
          await uboot.expect(/ostree: \/boot\/ostree\/os-b{64}\/vmlinuz-6.6 .* of_b\n/, 60);
          await uboot.expect(/the deployment cannot be started/, 60);
          expect(await savedVariables(place)).toMatchObject({
            upgrade_available: '1',
            bootcount: String(count),
          });
        }
        await uboot.expect(/ostree: 2 attempts failed, rolling back/, 90);
        await uboot.expect(/ostree: upgrade_available=0 bootcount=0 rollback=1\n/, 60);
        await uboot.expect(/ostree: \/boot\/ostree\/os-a{64}\/vmlinuz-6.6 .* of_a\n/, 60);
      });
      const state = { upgrade_available: '0', bootcount: '0', rollback: '1', bootlimit: '2' };
      expect(await savedVariables(place)).toMatchObject(state);
      if (rollback.counting === 'u-boot') {
        expect(await savedVariables(place)).toMatchObject({ altbootcmd: 'setenv rollback 1; run bootcmd' });
      }
      await setSaved(place, { rollback: '0' });
      await withSandbox(options, (uboot) =>
        uboot.expect(/rollback=0\nostree: \/boot\/ostree\/os-b{64}\/vmlinuz-6.6 .* of_b\n/, 90),
      );
    },
  );
});

/** Where the script itself keeps the boot state, and for whom: redundant copies, a file on FAT, each profile. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Board, RollbackScheme } from '../../src/boot/board.ts';
import { distroBoard } from '../../src/boot/board.ts';
import type { RollbackProfile } from '../../src/boot/profiles.ts';
import { encodeEnvironment } from '../../src/formats/uboot-env.ts';
import { describeReference } from '../reference/tools.ts';
import { bootScript, deploymentFiles, writeBootDisk } from './support/boot-disk.ts';
import type { Console } from './support/console.ts';
import type { SandboxOptions } from './support/sandbox.ts';
import { startSandbox } from './support/sandbox.ts';
import { readSaved, savedVariables } from './support/saved-state.ts';

const MIB = 1 << 20;
const SIZE = 0x4000;
const OFFSETS = [MIB, MIB + 64 * 1024];
const location = (offset: number) => ({ device: '/dev/mmcblk0', offset, size: SIZE });

const SINGLE: Board = {
  ...distroBoard('arm64'),
  environment: { kind: 'raw', command: 'mmc', location: location(MIB) },
};
const REDUNDANT: Board = {
  ...SINGLE,
  environment: {
    kind: 'raw',
    command: 'mmc',
    location: location(MIB),
    redundant: location(MIB + 64 * 1024),
  },
};
const FAT: Board = {
  ...SINGLE,
  environment: { kind: 'fat-file', partition: 'mmc 0:1', file: 'uboot.env', location: location(0) },
};

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tw-state-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const ARMED = { bootcount: '0', bootlimit: '2', rollback: '0', upgrade_available: '1' };

async function withDisk<T>(
  board: Board,
  rollback: RollbackScheme,
  state: Readonly<Record<string, string>>,
  use: (start: (during: (uboot: Console) => Promise<void>) => Promise<void>, disk: string) => Promise<T>,
): Promise<T> {
  const disk = join(directory, 'disk.img');
  const deployment = (letter: string) => ({
    letter,
    kernel: 'not a kernel',
    uEnv: `bootargs_extra=of_${letter}\n`,
  });
  const files = {
    ...deploymentFiles([deployment('b'), deployment('a')]),
    'boot/boot.scr': bootScript(board, rollback, { stay: false }),
  };
  await writeBootDisk(disk, board, rollback, files, state);
  const part = board.environment.kind === 'fat-file' ? 2 : 1;
  const options: SandboxOptions = {
    directory,
    disk: 'disk.img',
    variables: {
      bootdelay: '0',
      kernel_addr_r: '0x2000000',
      fdt_addr_r: '0x4000000',
      ramdisk_addr_r: '0x5000000',
      bootcmd: `setenv devtype mmc; setenv devnum 0; setenv distro_bootpart ${part}; load mmc 0:${part} 0x1000000 /boot/boot.scr && source 0x1000000`,
    },
  };
  return use(async (during) => {
    const uboot = await startSandbox(options);
    try {
      await during(uboot);
    } finally {
      await uboot.cut();
    }
  }, disk);
}

/** Two attempts of the new deployment, then the previous one. */
async function rollsBack(uboot: Console, available: string): Promise<void> {
  for (const count of [1, 2]) {
    await uboot.expect(
      new RegExp(`ostree: upgrade_available=${available} bootcount=${count} rollback=0\n`),
      60,
    );
    await uboot.expect(/ostree: \/boot\/ostree\/os-b{64}\/vmlinuz-6.6 .* of_b\n/, 20);
  }
  await uboot.expect(/ostree: 2 attempts failed, rolling back/, 60);
  await uboot.expect(/ostree: \/boot\/ostree\/os-a{64}\/vmlinuz-6.6 .* of_a\n/, 20);
}

describeReference('the saved boot state', ['sandbox:u-boot-sandbox'], () => {
  test('two copies: written in turn, the flag rises over 255, a damaged copy is passed over', async () => {
    const rollback: RollbackScheme = { counting: 'script', attempts: 2 };
    await withDisk(REDUNDANT, rollback, ARMED, async (start, disk) => {
      const place = { disk, offsets: OFFSETS, size: SIZE };
      const put = async (offset: number, bytes: Uint8Array): Promise<void> => {
        const file = await open(disk, 'r+');
        await file.write(bytes, 0, bytes.length, offset);
        await file.close();
      };
      const copy = (state: Record<string, string>, flag: number): Uint8Array =>
        encodeEnvironment(new Map(Object.entries(state)), { size: SIZE, redundant: true }, { flag });
      const [first = 0, second = 0] = OFFSETS;
      // The newer copy is the first one; what is written goes to the second, past 255.
      await put(first, copy({ ...ARMED, bootlimit: '9' }, 255));
      await put(second, copy({ ...ARMED, bootlimit: '9', bootcount: '7' }, 254));
      await start(async (uboot) => {
        await uboot.expect(/boot state loaded from copy 1\n/, 60);
        await uboot.expect(/upgrade_available=1 bootcount=1 rollback=0\n/, 20);
      });
      let copies = await readSaved(place);
      expect(copies.map(({ offset, flag }) => [offset, flag])).toEqual([
        [second, 0],
        [first, 255],
      ]);
      expect(copies[0]?.variables.get('bootcount')).toBe('1');
      await start(async (uboot) => {
        await uboot.expect(/boot state loaded from copy 2\n/, 60);
        await uboot.expect(/upgrade_available=1 bootcount=2 rollback=0\n/, 20);
      });
      copies = await readSaved(place);
      expect(copies.map(({ offset, flag }) => [offset, flag])).toEqual([
        [first, 1],
        [second, 0],
      ]);
      // The power went while the first copy was written: the second one, an attempt older, holds.
      await put(first + 100, new TextEncoder().encode('damaged'));
      await start(async (uboot) => {
        await uboot.expect(/boot state loaded from copy 2\n/, 60);
        await uboot.expect(/upgrade_available=1 bootcount=2 rollback=0\n/, 20);
      });
      expect((await readSaved(place)).map(({ offset, flag }) => [offset, flag])).toEqual([
        [first, 1],
        [second, 0],
      ]);
      await put(first, new Uint8Array(SIZE));
      await put(second, new Uint8Array(SIZE));
      await start(async (uboot) => {
        await uboot.expect(/no saved boot state, starting from defaults/, 60);
        await uboot.expect(/of_b\n/, 20);
      });
    });
  });

  test('a file of a FAT partition', async () => {
    const rollback: RollbackScheme = { counting: 'script', attempts: 2 };
    await withDisk(FAT, rollback, ARMED, async (start) => {
      await start((uboot) => rollsBack(uboot, '1'));
      await start(async (uboot) => {
        await uboot.expect(/boot state loaded/, 60);
        await uboot.expect(/ostree: upgrade_available=0 bootcount=0 rollback=1\n/, 20);
      });
    });
  });

  const profiles: readonly [
    name: string,
    RollbackProfile,
    armed: Record<string, string>,
    after: Record<string, string>,
  ][] = [
    // uboot_generic knows no upgrade_available: every boot counts until the client sets bootcount back.
    [
      'aktualizr, uboot_generic',
      'aktualizr',
      { bootcount: '0', rollback: '0' },
      { bootcount: '0', rollback: '1' },
    ],
    [
      'aktualizr, uboot_masked',
      'aktualizr',
      { bootcount: '0', rollback: '0', upgrade_available: '1' },
      { bootcount: '0', rollback: '1', upgrade_available: '0' },
    ],
    [
      'aktualizr-lite',
      'aktualizr-lite',
      { bootcount: '0', rollback: '0', upgrade_available: '1', bootupgrade_available: '1' },
      { bootcount: '0', rollback: '1', upgrade_available: '0', bootupgrade_available: '1' },
    ],
    [
      'torizon',
      'torizon',
      { bootcount: '0', rollback: '0', upgrade_available: '1' },
      { bootcount: '0', rollback: '1', upgrade_available: '0' },
    ],
  ];
  test.each(profiles)('%s: counts and rolls back', async (_name, profile, armed, after) => {
    const rollback: RollbackScheme = { counting: 'script', attempts: 2, profile };
    await withDisk(SINGLE, rollback, { ...armed, bootlimit: '2' }, async (start, disk) => {
      await start((uboot) => rollsBack(uboot, armed['upgrade_available'] ?? ''));
      const place = { disk, offsets: [MIB], size: SIZE };
      expect(await savedVariables(place)).toEqual({ ...after, bootlimit: '2' });
      // And stays with the previous one, without counting.
      await start(async (uboot) => {
        await uboot.expect(/bootcount=0 rollback=1\n/, 60);
        await uboot.expect(/ostree: \/boot\/ostree\/os-a{64}\/vmlinuz-6.6 .* of_a\n/, 20);
      });
    });
  });
});

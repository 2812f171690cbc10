/** boot.scr in the U-Boot of each architecture: what it counts, chooses, loads and passes on. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Board, RollbackScheme } from '../../src/boot/board.ts';
import { bootCommandFor } from '../../src/boot/board.ts';
import { loadBoard } from '../../src/config/board.ts';
import { decodeEnvironment } from '../../src/formats/uboot-env.ts';
import { boardOf } from '../../src/release/board.ts';
import { describeReference } from '../reference/tools.ts';
import { bootScript, deploymentFiles, writeBootDisk } from './support/boot-disk.ts';
import type { Console } from './support/console.ts';
import { openConsole } from './support/console.ts';
import { ubootMachine } from './support/uboot-machine.ts';

const ARCHES = ['arm64', 'arm', 'riscv64', 'x86_64'] as const;
type Arch = (typeof ARCHES)[number];

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tw-uboot-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function presetBoard(arch: Arch): Promise<Board> {
  const { bootCommand, ...board } = boardOf(await loadBoard(`qemu-${arch}`, directory));
  return { ...board, bootCommand: bootCommand ?? bootCommandFor('unknown', board.arch) };
}

const ROLLBACK: RollbackScheme = { counting: 'script', attempts: 2 };

/** The state on the disk after the machine was cut. */
async function savedState(disk: string, board: Board): Promise<Record<string, string>[]> {
  const bytes = await readFile(disk);
  const { environment } = board;
  if (environment.kind !== 'raw') throw new Error('no raw environment');
  const redundant = environment.redundant !== undefined;
  return [environment.location, environment.redundant]
    .filter((location) => location !== undefined)
    .map(({ offset, size }) => {
      const copy = decodeEnvironment(bytes.subarray(offset, offset + size), { size, redundant });
      return {
        ...Object.fromEntries(copy.variables),
        ...(copy.flag === undefined ? {} : { flag: String(copy.flag) }),
      };
    });
}

async function withMachine<T>(arch: Arch, disk: string, use: (machine: Console) => Promise<T>): Promise<T> {
  const { program, args } = ubootMachine(arch, disk);
  const machine = openConsole(program, args);
  try {
    return await use(machine);
  } finally {
    await machine.cut();
  }
}

describeReference('boot.scr in U-Boot', ['machines:qemu-system-aarch64'], () => {
  test.each(ARCHES)(
    '%s: two attempts of the new deployment, then the previous one with its own arguments',
    async (arch) => {
      const board = await presetBoard(arch);
      const disk = join(directory, `${arch}.img`);
      const files = {
        ...deploymentFiles([
          { letter: 'b', kernel: 'not a kernel', uEnv: 'bootargs_extra=of_b quiet\n' },
          { letter: 'a', kernel: 'not a kernel', uEnv: 'bootargs_extra=of_a\n' },
        ]),
        'boot/boot.scr': bootScript(board, ROLLBACK, { stay: false }),
      };
      await writeBootDisk(disk, board, ROLLBACK, files, {
        bootcount: '0',
        bootlimit: '2',
        rollback: '0',
        upgrade_available: '1',
      });
      await withMachine(arch, disk, async (machine) => {
        for (const count of [1, 2]) {
          await machine.expect(new RegExp(`ostree: upgrade_available=1 bootcount=${count} rollback=0\n`), 60);
          await machine.expect(/ostree: \/boot\/ostree\/os-b{64}\/vmlinuz-6.6 .* of_b quiet\n/, 10);
          await machine.expect(/the deployment cannot be started/, 20);
        }
        await machine.expect(/ostree: 2 attempts failed, rolling back/, 60);
        await machine.expect(/ostree: starting the previous deployment/, 10);
        await machine.expect(/ostree: upgrade_available=0 bootcount=0 rollback=1\n/, 10);
        // Debian's for x86-64 has no setexpr, which finds the commit's own arguments.
        const own = arch === 'x86_64' ? '' : ' of_a';
        await machine.expect(
          new RegExp(`ostree: /boot/ostree/os-a{64}/vmlinuz-6.6 .*ostree=\\S*a{64}/0${own}\n`),
          10,
        );
      });
      expect(await savedState(disk, board)).toEqual([
        { bootcount: '0', bootlimit: '2', rollback: '1', upgrade_available: '0' },
      ]);
    },
  );
});

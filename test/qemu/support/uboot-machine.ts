/** Virtual machines of each architecture that start U-Boot from Debian's u-boot-qemu. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Suite } from '../../reference/recipes.ts';
import { RECIPES } from '../../reference/recipes.ts';
import { rootPath } from '../../reference/roots.ts';
import { referenceTool } from '../../reference/tools.ts';

export type Arch = 'arm64' | 'arm' | 'riscv64' | 'x86_64';

const MACHINES: Readonly<
  Record<
    Arch,
    { program: string; args: readonly string[]; firmware: readonly [option: string, file: string] }
  >
> = {
  arm64: {
    program: 'qemu-system-aarch64',
    args: ['-M', 'virt', '-cpu', 'cortex-a57'],
    firmware: ['-bios', 'qemu_arm64/u-boot.bin'],
  },
  arm: {
    program: 'qemu-system-arm',
    args: ['-M', 'virt', '-cpu', 'cortex-a15'],
    firmware: ['-bios', 'qemu_arm/u-boot.bin'],
  },
  riscv64: {
    program: 'qemu-system-riscv64',
    args: ['-M', 'virt'],
    firmware: ['-kernel', 'qemu-riscv64_smode/u-boot.bin'],
  },
  x86_64: {
    program: 'qemu-system-x86_64',
    args: ['-M', 'pc'],
    firmware: ['-bios', 'qemu-x86_64/u-boot.rom'],
  },
};

export interface MachineSettings {
  readonly suite?: Suite;
  /** MiB. */
  readonly memory?: number;
  /** Devices besides the disk. */
  readonly devices?: readonly string[];
}

/** The machine's own QEMU and U-Boot where it has both, else the reference tools'. */
function emulator(program: string, file: string, suite: Suite): { program: string; firmware: string } {
  const own = { program: `/usr/bin/${program}`, firmware: `/usr/lib/u-boot/${file}` };
  if (existsSync(own.program) && existsSync(own.firmware)) return own;
  return {
    program: referenceTool(program, suite),
    firmware: join(rootPath(RECIPES[suite]), own.firmware),
  };
}

/** The program and arguments of a machine with `disk` as its only disk, on the first virtio bus. */
export function ubootMachine(
  arch: Arch,
  disk: string,
  { suite = 'machines', memory = 512, devices = ['-net', 'none'] }: MachineSettings = {},
): { program: string; args: string[] } {
  const {
    args,
    firmware: [option, file],
  } = MACHINES[arch];
  const { program, firmware } = emulator(MACHINES[arch].program, file, suite);
  return {
    program,
    args: [
      ...args,
      ...['-m', String(memory), '-nographic', '-accel', 'tcg'],
      ...[option, firmware],
      ...['-drive', `if=none,id=d0,file=${disk},format=raw,cache=writeback`],
      ...['-device', 'virtio-blk-pci,drive=d0,romfile='],
      ...devices,
    ],
  };
}

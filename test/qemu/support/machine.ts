/** A device in QEMU, whose console ends in a shell that a test talks to. */
import type { Console } from './console.ts';
import { openConsole } from './console.ts';
import { ubootMachine } from './uboot-machine.ts';

export interface MachineOptions {
  /** The disk image, which the machine writes to. */
  readonly disk: string;
  readonly arch: 'arm64' | 'arm';
  /** MiB. */
  readonly memory?: number;
}

export interface Machine extends Console {
  /** Runs a command in the console's shell; answers what it printed and its exit code. */
  run(command: string, seconds?: number): Promise<{ readonly output: string; readonly exitCode: number }>;
}

const DEVICES = [
  ...['-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0,romfile='],
  ...['-device', 'virtio-rng-pci', '-device', 'i6300esb'],
];

/** Starts a machine. Whoever starts it cuts it, also after a failure. */
export function startMachine({ disk, arch, memory = 512 }: MachineOptions): Machine {
  const { program, args } = ubootMachine(arch, disk, { suite: 'qemu', memory, devices: DEVICES });
  const console = openConsole(program, args);
  let commands = 0;
  return {
    ...console,
    run: async (command, seconds = 60) => {
      const marker = `${++commands}`;
      // The console repeats what is typed: the quotes keep that from being taken for the answer.
      console.type(`echo "BEGIN"-${marker}-; ${command}; echo "END"-$?-${marker}-`);
      await console.expect(new RegExp(`^.*BEGIN-${marker}-\\n`, 'm'), seconds);
      const [, output = '', exitCode] = await console.expect(
        new RegExp(`([^]*?)END-(\\d+)-${marker}-`),
        seconds,
      );
      return { output, exitCode: Number(exitCode) };
    },
  };
}

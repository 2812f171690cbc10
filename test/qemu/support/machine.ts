/** A virtual machine with a serial console that a test talks to. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { RECIPES } from '../../reference/recipes.ts';
import { rootPath } from '../../reference/roots.ts';
import { referenceTool } from '../../reference/tools.ts';

export interface MachineOptions {
  /** The disk image, which the machine writes to. */
  readonly disk: string;
  readonly arch?: 'arm64' | 'arm';
  /** MiB. */
  readonly memory?: number;
  readonly processors?: number;
}

export interface Machine {
  /** Everything the console has said, carriage returns left out. */
  readonly log: () => string;
  /** Waits for text that comes after what was waited for before; answers the match. */
  expect(pattern: RegExp, seconds: number): Promise<RegExpExecArray>;
  /** Types a line. */
  type(line: string): void;
  /** Runs a command in the console's shell; answers what it printed and its exit code. */
  run(command: string, seconds?: number): Promise<{ readonly output: string; readonly exitCode: number }>;
  /** Pulls the plug. Harmless twice. */
  cut(): Promise<void>;
}

const KINDS = {
  arm64: { program: 'qemu-system-aarch64', cpu: 'cortex-a57', loader: 'qemu_arm64' },
  arm: { program: 'qemu-system-arm', cpu: 'cortex-a15', loader: 'qemu_arm' },
} as const;

/** The machine's own QEMU and U-Boot where it has both, else the reference tools'. */
function emulator(arch: 'arm64' | 'arm'): { program: string; firmware: string } {
  const { program, loader } = KINDS[arch];
  const own = { program: `/usr/bin/${program}`, firmware: `/usr/lib/u-boot/${loader}/u-boot.bin` };
  if (existsSync(own.program) && existsSync(own.firmware)) return own;
  return {
    program: referenceTool(program, 'qemu'),
    firmware: join(rootPath(RECIPES.qemu), own.firmware),
  };
}

/** Starts a machine. Whoever starts it cuts it, also after a failure. */
export function startMachine({
  disk,
  arch = 'arm64',
  memory = 512,
  processors = 1,
}: MachineOptions): Machine {
  const { program, firmware } = emulator(arch);
  const child: ChildProcess = spawn(
    program,
    [
      ...['-M', 'virt', '-cpu', KINDS[arch].cpu, '-smp', String(processors), '-m', String(memory)],
      ...['-nographic', '-accel', 'tcg', '-bios', firmware],
      ...['-drive', `if=none,id=d0,file=${disk},format=raw,cache=writeback`],
      ...['-device', 'virtio-blk-pci,drive=d0,romfile='],
      ...['-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0,romfile='],
      ...['-device', 'virtio-rng-pci', '-device', 'i6300esb'],
    ],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
  let text = '';
  let seen = 0;
  let ended = false;
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const each of [...waiting]) each();
  };
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8').replaceAll('\r', '');
    wake();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
  });
  const closed = new Promise<void>((resolve) => {
    child.once('close', () => {
      ended = true;
      wake();
      resolve();
    });
  });
  const expectText = (pattern: RegExp, seconds: number): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const from = seen;
      const stop = (): void => {
        clearTimeout(timer);
        waiting.delete(look);
      };
      const give = (why: string): void => {
        stop();
        reject(
          new Error(`${why} while waiting for ${String(pattern)}; the console said:\n${text.slice(-4000)}`),
        );
      };
      const look = (): void => {
        const match = pattern.exec(text.slice(from));
        if (match !== null) {
          seen = from + match.index + match[0].length;
          stop();
          resolve(match);
        } else if (ended) give('the machine ended');
      };
      const timer = setTimeout(() => give(`${seconds} s passed`), seconds * 1000);
      waiting.add(look);
      look();
    });
  let commands = 0;
  const machine: Machine = {
    log: () => text,
    expect: expectText,
    type: (line) => void child.stdin?.write(`${line}\n`),
    run: async (command, seconds = 60) => {
      const marker = `${++commands}`;
      // The console repeats what is typed: the quotes keep that from being taken for the answer.
      machine.type(`echo "BEGIN"-${marker}-; ${command}; echo "END"-$?-${marker}-`);
      await expectText(new RegExp(`^.*BEGIN-${marker}-\\n`, 'm'), seconds);
      const from = seen;
      const match = await expectText(new RegExp(`END-(\\d+)-${marker}-`), seconds);
      return { output: text.slice(from, seen - match[0].length), exitCode: Number(match[1]) };
    },
    cut: async () => {
      if (!ended) child.kill('SIGKILL');
      await closed;
    },
  };
  return machine;
}

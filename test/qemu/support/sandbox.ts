/** U-Boot's sandbox with a disk image as its first MMC, and with the variables and environment of some board. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { referenceTool, runTool } from '../../reference/tools.ts';
import type { Console } from './console.ts';
import { openConsole } from './console.ts';

/** Its memory begins at 0. Clearing it is most of what a start costs. */
export const SANDBOX_MEMORY = 192 << 20;

/** CONFIG_ENV_SIZE of both programs. */
export const SANDBOX_ENVIRONMENT_SIZE = 0x2000;

export interface SandboxOptions {
  /** Where it runs; what it loads from `hostfs` is found here, and its device tree is written here. */
  readonly directory: string;
  /** Name of the disk image in that directory, a multiple of 1 MiB. */
  readonly disk: string;
  /** Bytes from the start of the disk, or a negative number from its end; two for redundant copies. */
  readonly environment?: readonly number[];
  /** GPT partition with the environment at its end, instead. */
  readonly environmentPartition?: string;
  readonly redundant?: boolean;
  /** What U-Boot of the board sets by itself; `bootdelay` -1 gives the prompt. */
  readonly variables?: Readonly<Record<string, string>>;
}

function text(value: string): string {
  return `"${value.replace(/[\\"]/g, '\\$&')}"`;
}

function cell(value: number): string {
  return `<0x${(value >>> 0).toString(16)}>`;
}

/** /config/environment is taken over the saved environment; the rest of /config says where that one is. */
function deviceTree({ disk, environment, environmentPartition, variables }: SandboxOptions): string {
  const places = ['u-boot,mmc-env-offset', 'u-boot,mmc-env-offset-redundant'];
  return `/dts-v1/;
/ {
  compatible = "sandbox";
  model = "sandbox";
  #address-cells = <1>;
  #size-cells = <1>;
  aliases { mmc0 = "/mmc"; };
  chosen { stdout-path = "/serial"; };
  config {
    ${(environment ?? []).map((offset, copy) => `${places[copy] ?? ''} = ${cell(offset)};`).join(' ')}
    ${environmentPartition === undefined ? '' : `u-boot,mmc-env-partition = ${text(environmentPartition)};`}
    environment {
      ${Object.entries(variables ?? {})
        .map(([name, value]) => `${name} = ${text(value)};`)
        .join('\n      ')}
    };
  };
  serial { compatible = "sandbox,serial"; u-boot,dm-pre-reloc; };
  reset { compatible = "sandbox,reset"; };
  timer { compatible = "sandbox,timer"; clock-frequency = <1000000>; };
  mmc { compatible = "sandbox,mmc"; filename = ${text(disk)}; non-removable; };
};
`;
}

/** U-Boot asks whether a key was pressed by reading, which on anything but a terminal would wait for one. */
const START = 'dd iflag=nonblock count=0 status=none; exec "$0" "$@"';

/** Starts U-Boot; `reset` starts it again. Whoever starts it cuts it. */
export async function startSandbox(options: SandboxOptions): Promise<Console> {
  const { directory } = options;
  await writeFile(join(directory, 'sandbox.dts'), deviceTree(options));
  await runTool('dtc', ['-q', '-O', 'dtb', '-o', 'sandbox.dtb', 'sandbox.dts'], { cwd: directory });
  const program = options.redundant === true ? 'u-boot-sandbox-redundant' : 'u-boot-sandbox';
  return openConsole(
    '/bin/sh',
    ['-c', START, referenceTool(program, 'sandbox'), '-d', 'sandbox.dtb'],
    directory,
  );
}

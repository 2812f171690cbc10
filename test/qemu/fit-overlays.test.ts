/** Device tree overlays inside a FIT image, applied by U-Boot's sandbox. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeKernelFit } from '../../src/boot/fit/kernel.ts';
import type { FitArch } from '../../src/formats/fit-source.ts';
import { describeReference, referenceTool, runTool } from '../reference/tools.ts';
import type { Console } from './support/console.ts';
import { startSandbox } from './support/sandbox.ts';

/** Sandbox takes no other. */
const ARCH = 'sandbox' as FitArch;

// eslint-disable-next-line @typescript-eslint/require-await -- the content is here
async function* content(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

describeReference('overlays of a FIT image', ['sandbox:u-boot-sandbox', 'mkimage', 'dtc'], () => {
  const path = process.env['PATH'];
  let directory: string;
  let sandbox: Console;

  beforeAll(async () => {
    process.env['PATH'] = [dirname(referenceTool('mkimage')), path].join(delimiter);
    directory = await mkdtemp(join(tmpdir(), 'fit-overlays-'));
    const trees = {
      'board.dtb': '/ { #address-cells = <1>; #size-cells = <1>; leds: leds { }; };',
      'overlays/red.dtbo': '/plugin/; &leds { red { label = "red"; }; };',
      'overlays/vendor/blue.dtbo': '/plugin/; &leds { blue { label = "blue"; }; };',
    };
    const compiled = new Map<string, Uint8Array>();
    for (const [name, source] of Object.entries(trees)) {
      const file = join(directory, 'tree');
      await writeFile(`${file}.dts`, `/dts-v1/; ${source}`);
      await runTool('dtc', ['-q', '-@', '-O', 'dtb', '-o', `${file}.dtb`, `${file}.dts`]);
      compiled.set(name, new Uint8Array(await readFile(`${file}.dtb`)));
    }
    for (const [name, overlays] of [
      ['chosen', []],
      ['configured', ['red.dtbo']],
    ] as const) {
      const fit = await makeKernelFit(
        {
          release: '6.6',
          arch: ARCH,
          format: 'arm64-image',
          kernel: content(Buffer.alloc(4096, 'kernel')),
          deviceTrees: new Map([...compiled].map(([tree, bytes]) => [tree, content(bytes)])),
        },
        { compression: 'none', overlays },
      );
      await writeFile(join(directory, `${name}.fit`), fit);
    }
    await writeFile(join(directory, 'disk.img'), new Uint8Array(1 << 20));
    sandbox = await startSandbox({ directory, disk: 'disk.img', variables: { bootdelay: '-1' } });
  });

  afterAll(async () => {
    process.env['PATH'] = path;
    await sandbox.cut();
    await rm(directory, { recursive: true, force: true });
  });

  /** The labels of the LEDs in the device tree that a kernel would get. */
  async function labels(fit: string, configuration: string): Promise<string[]> {
    const said = await sandbox.command(
      `load hostfs - 0x1000000 ${fit}.fit; bootm start 0x1000000#${configuration}; bootm loados; bootm fdt; fdt print /leds`,
    );
    return [...said.matchAll(/label = "(\w+)"/g)].map(([, label]) => label ?? '');
  }

  test('are added by their names to the configuration of a device tree, and may be part of it', async () => {
    expect(await labels('chosen', 'conf-board.dtb')).toEqual([]);
    expect(await labels('chosen', 'conf-board.dtb#conf-red.dtbo')).toEqual(['red']);
    expect((await labels('chosen', 'conf-board.dtb#conf-red.dtbo#conf-vendor_blue.dtbo')).sort()).toEqual([
      'blue',
      'red',
    ]);
    expect(await labels('configured', 'conf-board.dtb')).toEqual(['red']);
  });
});

/** What a U-Boot that demands signatures takes and refuses: Debian's, with our public key in its device tree. */
import { execa } from 'execa';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RollbackScheme } from '../../src/boot/board.ts';
import { renderBootScript } from '../../src/boot/boot-script.ts';
import { makeKernelFit } from '../../src/boot/fit/kernel.ts';
import type { FitSigning } from '../../src/boot/fit/mkimage.ts';
import { makeFit } from '../../src/boot/fit/mkimage.ts';
import { makeScriptFit } from '../../src/boot/fit/script.ts';
import { utf8 } from '../../src/core/bytes.ts';
import { loadBoard } from '../../src/config/board.ts';
import { encodeScriptImage } from '../../src/formats/uboot-image.ts';
import { boardOf } from '../../src/release/board.ts';
import { describeReference, referenceTool, runTool } from '../reference/tools.ts';
import { writeSigningKey } from '../support/signing-key.ts';
import { deploymentFiles, writeBootDisk } from './support/boot-disk.ts';
import type { Console } from './support/console.ts';
import { openConsole } from './support/console.ts';
import { ubootMachine } from './support/uboot-machine.ts';

const ROLLBACK: RollbackScheme = { counting: 'script', attempts: 2 };
const TIME = 1_700_000_000;
const SCRIPT = utf8('echo "SCRIPT"-ran\n');

let directory: string;
/** QEMU's device tree, with the public key twice: for configurations and for images. */
let control: string;
const path = process.env['PATH'];
const trees = new Map<string, Uint8Array>();

const signedBy = (key: string): FitSigning => ({
  keys: join(directory, 'keys'),
  key,
  algorithm: 'sha256,rsa2048',
});

/** An arm64 Image that does nothing for ever. */
function idleKernel(): Uint8Array {
  const bytes = Buffer.alloc(8192, 'kernel');
  bytes.fill(0, 0, 64);
  bytes.writeUInt32LE(0x14000000, 0);
  bytes.writeUInt32LE(0x10000, 16);
  bytes.writeUInt32LE(0b1010, 24);
  bytes.write('ARM\x64', 56, 'latin1');
  return bytes;
}

// eslint-disable-next-line @typescript-eslint/require-await -- the content is here
async function* content(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function kernelFit(signing: FitSigning | undefined): Promise<Uint8Array> {
  return makeKernelFit(
    {
      release: '6.6',
      arch: 'arm64',
      format: 'arm64-image',
      kernel: content(idleKernel()),
      initramfs: content(Buffer.alloc(5000, 'initramfs')),
      deviceTrees: new Map([...trees].map(([name, bytes]) => [name, content(bytes)])),
    },
    { compression: 'none', overlays: [], ...(signing === undefined ? {} : { signing }) },
  );
}

const scriptFit = (key: string, script = SCRIPT): Promise<Uint8Array> =>
  makeScriptFit({ script, arch: 'arm64', signing: signedBy(key), time: TIME });

/** A copy with one occurrence of a text replaced by another of the same length: the first after `after`. */
function changed(bytes: Uint8Array, after: string, from: string, to: string): Uint8Array {
  const copy = Buffer.from(bytes);
  const at = copy.indexOf(from, copy.indexOf(after));
  if (copy.indexOf(after) < 0 || at < 0 || from.length !== to.length) throw new Error(`no ${from} in it`);
  copy.write(to, at);
  return copy;
}

async function compile(source: string): Promise<Uint8Array> {
  const file = join(directory, 'tree');
  await writeFile(`${file}.dts`, source);
  await runTool('dtc', ['-q', '-@', '-O', 'dtb', '-o', `${file}.dtb`, `${file}.dts`]);
  return new Uint8Array(await readFile(`${file}.dtb`));
}

/** Adds the public keys of what two images are signed with, as the documentation says it. */
async function controlTree(): Promise<string> {
  const file = join(directory, 'control.dtb');
  const { program, args } = ubootMachine('arm64', '/dev/null');
  await execa(program, [...args, '-M', `virt,dumpdtb=${file}`], { stdin: 'ignore' });
  for (const key of ['dev', 'dev-image']) {
    const fit = join(directory, 'key.fit');
    await writeFile(fit, await scriptFit(key));
    await runTool('mkimage', ['-F', '-k', join(directory, 'keys'), '-K', file, '-r', fit]);
  }
  const { stdout } = await runTool('dtc', ['-q', '-I', 'dtb', '-O', 'dts', file]);
  const text = stdout.replace(/(key-dev-image \{\n\s*required = )"conf"/, '$1"image"');
  if (text === stdout) throw new Error('mkimage has written no key-dev-image');
  await writeFile(`${file}.dts`, text);
  await runTool('dtc', ['-q', '-I', 'dts', '-O', 'dtb', '-o', file, `${file}.dts`]);
  return file;
}

async function withMachine<T>(disk: string, use: (machine: Console) => Promise<T>): Promise<T> {
  const { program, args } = ubootMachine('arm64', disk);
  const machine = openConsole(program, [...args, '-dtb', control]);
  try {
    return await use(machine);
  } finally {
    await machine.cut();
  }
}

async function presetBoard() {
  return { ...boardOf(await loadBoard('qemu-arm64', directory)), bootCommand: 'fit' as const };
}

describeReference(
  'a U-Boot that demands signatures',
  ['machines:qemu-system-aarch64', 'mkimage', 'dtc'],
  () => {
    beforeAll(async () => {
      process.env['PATH'] = [dirname(referenceTool('mkimage')), path].join(delimiter);
      directory = await mkdtemp(join(tmpdir(), 'fit-signature-'));
      for (const key of ['dev', 'foreign']) await writeSigningKey(join(directory, 'keys'), key);
      for (const end of ['key', 'crt']) {
        const file = (name: string): string => join(directory, 'keys', `${name}.${end}`);
        await copyFile(file('dev'), file('dev-image'));
      }
      const base = (name: string): string =>
        `/dts-v1/; / { #address-cells = <2>; #size-cells = <2>; compatible = "${name}"; leds: leds { }; };`;
      trees.set('vendor/a.dtb', await compile(base('a')));
      trees.set('vendor/b.dtb', await compile(base('b')));
      trees.set('overlays/led.dtbo', await compile('/dts-v1/; /plugin/; &leds { led { label = "red"; }; };'));
      control = await controlTree();
    });

    afterAll(async () => {
      process.env['PATH'] = path;
      await rm(directory, { recursive: true, force: true });
    });

    test('takes scripts and kernels of its key, and none that are changed, mixed, unsigned or of another key', async () => {
      const fit = await kernelFit(signedBy('dev'));
      const script = await scriptFit('dev');
      const disk = join(directory, 'prompt.img');
      await writeBootDisk(disk, await presetBoard(), ROLLBACK, {
        'own.scr': script,
        'foreign.scr': await scriptFit('foreign'),
        'unsigned.scr': await makeFit({
          source: {
            description: 'unsigned',
            images: [{ name: 'script-1', description: 's', type: 'script', arch: 'arm64', file: 'script' }],
            defaultImage: 'script-1',
            configurations: [{ name: 'conf-1', description: 's', script: 'script-1' }],
            defaultConfiguration: 'conf-1',
          },
          files: new Map([['script', SCRIPT]]),
          time: TIME,
        }),
        'changed.scr': changed(script, 'echo', 'ran', 'bad'),
        'legacy.scr': encodeScriptImage({ script: SCRIPT, name: 'script', arch: 'arm64', time: TIME }),
        'own.fit': fit,
        'foreign.fit': await kernelFit(signedBy('foreign')),
        'unsigned.fit': await kernelFit(undefined),
        'kernel.fit': changed(fit, 'ARM\x64', 'kernel', 'Kernel'),
        'initramfs.fit': changed(fit, 'initramfsinitramfs', 'initramfs', 'Initramfs'),
        // Both device trees are signed; the configuration that joins them with the kernel is, too.
        'mixed.fit': changed(fit, 'configurations', 'fdt-vendor_a.dtb\0', 'fdt-vendor_b.dtb\0'),
      });
      await withMachine(disk, async (machine) => {
        await machine.expect(/Hit any key to stop autoboot/, 60);
        machine.type('');
        const address = '${ramdisk_addr_r}';
        const load = (file: string): string => `load virtio 0:1 ${address} /${file}`;
        const source = (file: string): Promise<string> => machine.command(`${load(file)}; source ${address}`);
        expect(await source('own.scr')).toContain('SCRIPT-ran');
        for (const file of ['foreign.scr', 'unsigned.scr', 'changed.scr']) {
          expect(await source(file), file).not.toMatch(/SCRIPT-(ran|bad)/);
        }
        const start = (file: string, configuration = 'conf-vendor_a.dtb'): Promise<string> =>
          machine.command(
            `${load(file)}; if bootm start ${address}#${configuration}; then echo "FIT"-taken; else echo "FIT"-refused; fi`,
          );
        const taken = await start('own.fit');
        expect(taken).toContain('FIT-taken');
        expect(taken).toContain('sha256,rsa2048:dev+');
        expect(await start('mixed.fit', 'conf-vendor_b.dtb')).toContain('FIT-taken');
        for (const file of ['foreign.fit', 'unsigned.fit', 'kernel.fit', 'initramfs.fit', 'mixed.fit']) {
          expect(await start(file), file).toContain('FIT-refused');
        }
        // What docs/formats/fit.md warns of: this U-Boot has CONFIG_LEGACY_IMAGE_FORMAT, and `verify` ends all checks.
        expect(await source('legacy.scr')).toContain('SCRIPT-ran');
        await machine.command('setenv verify no');
        expect(await source('foreign.scr')).toContain('SCRIPT-ran');
      });
    });

    test('boots with our script: a deployment of another key fails its attempts, the previous one starts', async () => {
      const board = { ...(await presetBoard()), prepare: ['setenv fdtfile vendor/b.dtb'] };
      const disk = join(directory, 'rollback.img');
      const text = renderBootScript(board, ROLLBACK, { signed: true });
      const files = {
        ...deploymentFiles([
          { letter: 'b', kernel: await kernelFit(signedBy('foreign')), uEnv: 'verify=no\n' },
          { letter: 'a', kernel: await kernelFit(signedBy('dev')), uEnv: 'bootargs_extra=quiet\n' },
        ]),
        'boot/boot.scr': await scriptFit('dev', utf8(text)),
      };
      const onTrial = { bootcount: '0', bootlimit: '2', rollback: '0', upgrade_available: '1' };
      await writeBootDisk(disk, board, ROLLBACK, files, onTrial);
      await withMachine(disk, async (machine) => {
        for (const count of [1, 2]) {
          await machine.expect(new RegExp(`ostree: upgrade_available=1 bootcount=${count} rollback=0\n`), 60);
          await machine.expect(/Failed to verify required signature/, 20);
          await machine.expect(/the deployment cannot be started/, 20);
        }
        await machine.expect(/ostree: starting the previous deployment/, 60);
        await machine.expect(/Using 'conf-vendor_b\.dtb' configuration/, 20);
        await machine.expect(/Starting kernel/, 20);
      });
    });
  },
);

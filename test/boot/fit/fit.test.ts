import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FitSettings, KernelFitParts } from '../../../src/boot/fit/kernel.ts';
import { makeKernelFit } from '../../../src/boot/fit/kernel.ts';
import type { FitSigning } from '../../../src/boot/fit/mkimage.ts';
import { makeScriptFit } from '../../../src/boot/fit/script.ts';
import { utf8 } from '../../../src/core/bytes.ts';
import { decodeFdt } from '../../../src/formats/fdt.ts';
import { decodeFit } from '../../../src/formats/fit-image.ts';
import { FIT_ALGORITHMS } from '../../../src/formats/fit-source.ts';
import { describeReference, referenceTool, runTool } from '../../reference/tools.ts';
import { writeSigningKey } from '../../support/signing-key.ts';
import { programBytes } from '../../support/small-rootfs.ts';

let directory: string;
let signing: FitSigning;
const path = process.env['PATH'];

const TREES = { 'freescale/board.dtb': 'board', 'other.dtb': 'other' };
const trees = new Map<string, Uint8Array>();
const kernel = programBytes(1, 300_000);
const initramfs = programBytes(2, 70_001);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'fit-test-'));
  const keys = join(directory, 'keys');
  await writeSigningKey(keys, 'dev');
  await writeSigningKey(keys, 'other');
  await writeSigningKey(keys, 'large', 4096);
  signing = { keys, key: 'dev', algorithm: 'sha256,rsa2048' };
});

afterAll(async () => {
  process.env['PATH'] = path;
  await rm(directory, { recursive: true, force: true });
});

// eslint-disable-next-line @typescript-eslint/require-await -- the content is here
async function* content(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const parts = (changes: Partial<KernelFitParts> = {}): KernelFitParts => ({
  release: '6.6.1',
  arch: 'arm64',
  format: 'arm64-image',
  kernel: content(kernel),
  initramfs: content(initramfs),
  deviceTrees: new Map([...trees].map(([name, bytes]) => [name, content(bytes)])),
  ...changes,
});

const settings = (changes: Partial<FitSettings> = {}): FitSettings => ({
  compression: 'none',
  overlays: [],
  ...changes,
});

async function compile(source: string): Promise<Uint8Array> {
  const input = join(directory, 'tree.dts');
  await writeFile(input, source);
  await runTool('dtc', ['-q', '-@', '-I', 'dts', '-O', 'dtb', '-o', join(directory, 'tree.dtb'), input]);
  return new Uint8Array(await readFile(join(directory, 'tree.dtb')));
}

/** What `dumpimage` finds in image number `index`. */
async function extract(fit: Uint8Array, index: number): Promise<Buffer> {
  const file = join(directory, 'extract.fit');
  const out = join(directory, 'extracted');
  await writeFile(file, fit);
  await runTool('dumpimage', ['-T', 'flat_dt', '-p', String(index), '-o', out, file]);
  return readFile(out);
}

async function list(fit: Uint8Array): Promise<string> {
  const file = join(directory, 'list.fit');
  await writeFile(file, fit);
  return (await runTool('dumpimage', ['-l', file])).stdout;
}

describeReference('FIT images', ['mkimage', 'dumpimage', 'dtc'], () => {
  beforeAll(async () => {
    // The programs that treewright itself calls are those of the reference suite.
    process.env['PATH'] = [dirname(referenceTool('mkimage')), path].join(delimiter);
    for (const [name, label] of Object.entries(TREES)) {
      trees.set(name, await compile(`/dts-v1/; / { compatible = "${label}"; leds: leds { }; };`));
    }
    trees.set('overlays/led.dtbo', await compile('/dts-v1/; /plugin/; &leds { led { label = "red"; }; };'));
  });

  test('hold what went in, kernel last, under the names that Yocto gives to configurations', async () => {
    const fit = await makeKernelFit(parts(), settings());
    const text = await list(fit);
    const lines = (pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, found]) => found ?? '');
    expect(lines(/^ Image \d+ \((.*)\)/gm)).toEqual([
      'fdt-freescale_board.dtb',
      'fdt-other.dtb',
      'fdt-led.dtbo',
      'ramdisk-1',
      'kernel-1',
    ]);
    expect(lines(/^ Configuration \d+ \((.*)\)/gm)).toEqual([
      'conf-freescale_board.dtb',
      'conf-other.dtb',
      'conf-led.dtbo',
    ]);
    expect(lines(/Default Configuration: '(.*)'/g)).toEqual(['conf-freescale_board.dtb']);
    expect(lines(/Sign algo: (.*)/g)).toEqual([]);
    expect(lines(/Hash algo: +(.*)/g)).toEqual(Array.from({ length: 5 }, () => 'sha256'));
    expect(text).toContain('Kernel Image (no loading done)');
    // Compressed, since there is an overlay to apply to it.
    expect(gunzipSync(await extract(fit, 0))).toEqual(Buffer.from(trees.get('freescale/board.dtb') ?? []));
    expect(await extract(fit, 2)).toEqual(Buffer.from(trees.get('overlays/led.dtbo') ?? []));
    expect((await extract(fit, 3)).equals(initramfs)).toBe(true);
    expect((await extract(fit, 4)).equals(kernel)).toBe(true);
  });

  test('the same parts and key give the same bytes, with a signature on every image and configuration', async () => {
    const make = (key = 'dev'): Promise<Uint8Array> =>
      makeKernelFit(parts(), settings({ signing: { ...signing, key } }));
    const fit = await make();
    expect(Buffer.from(await make()).equals(fit)).toBe(true);
    expect(Buffer.from(await make('other')).equals(fit)).toBe(false);
    const { images, configurations } = decodeFit(fit);
    expect([...images, ...configurations].map(({ signatures }) => signatures)).toEqual(
      Array.from({ length: 8 }, () => [256]),
    );
    const text = await list(fit);
    expect(text.match(/Sign value: +[0-9a-f]{512}$/gm)).toHaveLength(8);
    expect(text).not.toContain('unavailable\n  Timestamp');
  });

  test('a public key that mkimage puts into the tree of a U-Boot belongs to what was signed', async () => {
    const fit = join(directory, 'signed.fit');
    await writeFile(fit, await makeKernelFit(parts(), settings({ signing })));
    const control = join(directory, 'control.dtb');
    await writeFile(control, await compile('/dts-v1/; / { };'));
    await runTool('mkimage', ['-F', '-k', signing.keys, '-K', control, '-r', fit], {
      env: { SOURCE_DATE_EPOCH: '0' },
    });
    const node = decodeFdt(new Uint8Array(await readFile(control))).children.get('signature')?.children;
    expect([...(node?.keys() ?? [])]).toEqual(['key-dev']);
    expect(new TextDecoder().decode(node?.get('key-dev')?.properties.get('required'))).toBe('conf\0');
    const key = createPublicKey(await readFile(join(signing.keys, 'dev.key')));
    const modulus = Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url');
    expect(Buffer.from(node?.get('key-dev')?.properties.get('rsa,modulus') ?? [])).toEqual(modulus);
  });

  test('configured overlays are applied by every configuration, signed with it', async () => {
    const { configurations } = decodeFit(await makeKernelFit(parts(), settings({ overlays: ['led.dtbo'] })));
    expect(configurations.map(({ name, fdt }) => [name, fdt])).toEqual([
      ['conf-freescale_board.dtb', ['fdt-freescale_board.dtb', 'fdt-led.dtbo']],
      ['conf-other.dtb', ['fdt-other.dtb', 'fdt-led.dtbo']],
      ['conf-led.dtbo', ['fdt-led.dtbo']],
    ]);
    await expect(makeKernelFit(parts(), settings({ overlays: ['lde.dtbo'] }))).rejects.toMatchObject({
      code: 'config/no-overlay',
    });
  });

  test('the default configuration can be chosen, and must be there', async () => {
    const fit = await makeKernelFit(parts(), settings({ default: 'other.dtb' }));
    expect(decodeFit(fit).defaultConfiguration).toBe('conf-other.dtb');
    await expect(makeKernelFit(parts(), settings({ default: 'more.dtb' }))).rejects.toMatchObject({
      code: 'config/no-default-device-tree',
    });
  });

  test('without device trees and initramfs there is one configuration of the kernel alone', async () => {
    const { release, arch, format, kernel } = parts();
    const bare = { release, arch, format, kernel, deviceTrees: new Map<string, never>() };
    const { configurations, images } = decodeFit(await makeKernelFit(bare, settings()));
    expect(configurations).toEqual([{ name: 'conf-1', signatures: [], kernel: 'kernel-1', fdt: [] }]);
    expect(images.map(({ name }) => name)).toEqual(['kernel-1']);
  });

  test('a compressed kernel has a load address, beyond 32 bits too', async () => {
    for (const [load, cells] of [
      [0x4820_0000, '48200000'],
      [0x1_4820_0000, '0000000148200000'],
    ] as const) {
      const fit = await makeKernelFit(parts(), settings({ compression: 'gzip', load }));
      expect(gunzipSync(await extract(fit, 4)).equals(kernel)).toBe(true);
      const node = decodeFdt(fit).children.get('images')?.children.get('kernel-1');
      for (const name of ['load', 'entry']) {
        expect(Buffer.from(node?.properties.get(name) ?? []).toString('hex')).toBe(cells);
      }
      expect(await list(fit)).toContain(`Load Address: 0x${load.toString(16).padStart(8, '0')}`);
    }
  });

  test('kernels and settings that cannot work are refused', async () => {
    const code = async (
      changes: Partial<KernelFitParts>,
      more: Partial<FitSettings> = {},
    ): Promise<unknown> =>
      makeKernelFit(parts(changes), settings(more)).then(
        () => 'made',
        (error: unknown) => (error as { code: unknown }).code,
      );
    expect(await code({}, { compression: 'gzip' })).toBe('config/fit-load');
    expect(await code({ format: 'gzip' })).toBe('config/fit-load');
    expect(await code({ format: 'riscv-image', arch: 'riscv' })).toBe('config/fit-load');
    expect(await code({ format: 'x86-bzimage', arch: 'x86_64' })).toBe('input/fit-kernel');
    expect(await code({ format: 'efi-zboot' })).toBe('input/fit-kernel');
    expect(await code({ format: 'uimage' })).toBe('input/fit-kernel');
    const named = (...names: string[]) => ({
      deviceTrees: new Map(names.map((name) => [name, content(kernel)])),
    });
    expect(await code(named('a@1.dtb'))).toBe('input/fit-name');
    expect(await code(named('a/b.dtb', 'a_b.dtb'))).toBe('input/fit-name');
    expect(await code(named('overlays/a.dtbo'))).toBe('input/fit-overlays-only');
  });

  test.each(FIT_ALGORITHMS.filter((name) => !name.endsWith('3072')))('%s', async (algorithm) => {
    const key = algorithm.endsWith('4096') ? 'large' : 'dev';
    const fit = await makeScriptFit({
      script: utf8('echo hello\n'),
      arch: 'arm64',
      signing: { ...signing, key, algorithm },
      time: 1_700_000_000,
    });
    const { images, configurations } = decodeFit(fit);
    const bytes = key === 'large' ? 512 : 256;
    expect([...images, ...configurations].map(({ signatures }) => signatures)).toEqual([[bytes], [bytes]]);
  });

  test('a boot script is the default image and in the default configuration', async () => {
    const script = utf8('echo "hello"\n');
    const fit = await makeScriptFit({ script, arch: 'arm64', signing, time: 1_700_000_000 });
    const text = await list(fit);
    expect(text).toContain('Type:         Script');
    expect(text).toContain('Created:         Tue Nov 14 22:13:20 2023');
    expect(await extract(fit, 0)).toEqual(Buffer.from(script));
    const root = decodeFdt(fit);
    const value = (node: string, property: string) =>
      new TextDecoder().decode(root.children.get(node)?.properties.get(property));
    expect(value('images', 'default')).toBe('script-1\0');
    expect(value('configurations', 'default')).toBe('conf-1\0');
  });

  describe('keys', () => {
    const make = (changes: Partial<FitSigning>): Promise<unknown> =>
      makeScriptFit({
        script: utf8('reset\n'),
        arch: 'arm64',
        signing: { ...signing, ...changes },
        time: 0,
      }).then(
        () => undefined,
        (error: unknown) => error,
      );

    test('a key that is not there is named, although mkimage would go on without it', async () => {
      const error = await make({ key: 'absent' });
      expect(error).toMatchObject({ code: 'config/no-fit-key' });
      expect((error as Error).message).toContain(join(signing.keys, 'absent.key'));
    });

    test('a key of another size, one with a passphrase and a broken one are refused without a question', async () => {
      expect(await make({ key: 'large' })).toMatchObject({ code: 'config/fit-key' });
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
      const secret = privateKey.export({
        ...{ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
      });
      await writeFile(join(signing.keys, 'locked.key'), secret);
      await writeFile(join(signing.keys, 'broken.key'), 'no key');
      for (const key of ['locked', 'broken']) {
        const error = (await make({ key })) as Error;
        expect(error).toMatchObject({
          code: expect.stringMatching(/^(tool\/failed|config\/fit-key)$/) as string,
        });
        expect(error.message).not.toContain('secret');
        for (const line of String(secret).split('\n').slice(1, 5)) expect(error.message).not.toContain(line);
      }
    });

    test('what is missing on the machine is named with its package', async () => {
      const bin = join(directory, 'bin');
      await mkdir(bin, { recursive: true });
      process.env['PATH'] = bin;
      try {
        expect(await make({})).toMatchObject({
          code: 'tool/missing',
          message: expect.stringContaining('device-tree-compiler') as string,
        });
        await writeFile(join(bin, 'dtc'), `#!/bin/sh\nexec ${referenceTool('dtc')} "$@"\n`);
        await chmod(join(bin, 'dtc'), 0o755);
        expect(await make({})).toMatchObject({
          code: 'tool/missing',
          message: expect.stringContaining('u-boot-tools') as string,
        });
      } finally {
        process.env['PATH'] = [dirname(referenceTool('mkimage')), path].join(delimiter);
      }
    });
  });
});

describe('trees that are no FIT image', () => {
  test('are refused with a reason', () => {
    const blob = (...words: number[]): Uint8Array => {
      const bytes = new Uint8Array(words.length * 4);
      words.forEach((word, index) => new DataView(bytes.buffer).setUint32(index * 4, word));
      return bytes;
    };
    // Header of 40 bytes, the root, its end, and the end of the structure; no strings.
    const header = (total: number, structure: number) => [
      ...[0xd00dfeed, total, 40, 40 + structure, 0, 17, 16, 0, 0, structure],
    ];
    const root = [1, 0, 2, 9];
    expect(decodeFdt(blob(...header(56, 16), ...root)).children.size).toBe(0);
    expect(() => decodeFit(blob(...header(56, 16), ...root))).toThrow('a plain device tree');
    for (const [what, bytes] of [
      ['d00dfeed', blob(1, 2)],
      ['header says', blob(...header(60, 16), ...root)],
      ['block lies outside', blob(...header(56, 20), ...root)],
      ['ends', blob(...header(52, 12), 1, 0, 2)],
      ['token 7', blob(...header(56, 16), 1, 0, 7, 9)],
      ['lies outside', blob(...header(60, 20), 1, 0, 3, 400, 0)],
      ['nested', blob(...header(40 + 4 * 200, 4 * 200), ...Array.from({ length: 100 }, () => [1, 0]).flat())],
    ] as const) {
      expect(() => decodeFdt(bytes), what).toThrow(what);
    }
  });
});

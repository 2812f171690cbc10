import fc from 'fast-check';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { utf8 } from '../../src/core/bytes.ts';
import type { UbootArch, UbootCompression, UbootType } from '../../src/formats/uboot-image.ts';
import {
  UBOOT_ARCH,
  UBOOT_COMPRESSION,
  UBOOT_TYPE,
  decodeScriptData,
  decodeUbootImage,
  encodeScriptData,
  encodeScriptImage,
  encodeUbootImage,
} from '../../src/formats/uboot-image.ts';
import { describeReference, runTool } from '../reference/tools.ts';

const names = <N extends string>(table: Readonly<Record<N, number>>): N[] => Object.keys(table) as N[];

const anyImage = fc.record({
  name: fc
    .string({ maxLength: 10, unit: 'grapheme' })
    .filter((s) => !s.includes('\0') && utf8(s).length <= 32),
  os: fc.constantFrom('linux' as const, 'u-boot' as const),
  arch: fc.constantFrom<UbootArch>(...names(UBOOT_ARCH)),
  type: fc.constantFrom<UbootType>(...names(UBOOT_TYPE)),
  compression: fc.constantFrom<UbootCompression>(...names(UBOOT_COMPRESSION)),
  time: fc.nat(0xffffffff),
  loadAddress: fc.nat(0xffffffff),
  entryPoint: fc.nat(0xffffffff),
  data: fc.uint8Array({ maxLength: 300 }),
});

const script = utf8('echo hello\nsetenv a b\n');
const example = (): Uint8Array =>
  encodeScriptImage({ script, name: 'boot', arch: 'arm64', time: 1_700_000_000 });

describe('legacy image', () => {
  test('what is encoded decodes to the same image', () => {
    fc.assert(
      fc.property(anyImage, (image) => {
        expect(decodeUbootImage(encodeUbootImage(image))).toEqual(image);
      }),
    );
  });

  test('a change of any single bit is noticed', () => {
    const bytes = example();
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const damaged = bytes.slice();
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(() => decodeUbootImage(damaged)).toThrow(/U-Boot image/);
      }),
    );
  });

  test('a cut image, a longer one and an empty one are refused', () => {
    const bytes = example();
    for (const length of [0, 3, 63, 64, bytes.length - 1]) {
      expect(() => decodeUbootImage(bytes.subarray(0, length))).toThrow(/U-Boot image/);
    }
    expect(() => decodeUbootImage(new Uint8Array([...bytes, 0]))).toThrow(
      /the header says 30 bytes of data, there are 31/,
    );
  });

  test('a name that does not fit its field is refused', () => {
    const make = (name: string) => encodeScriptImage({ script, name, arch: 'arm', time: 0 });
    expect(decodeUbootImage(make('ä'.repeat(16))).name).toBe('ä'.repeat(16));
    expect(() => make('ä'.repeat(17))).toThrow(/at most 32 bytes/);
    expect(() => make('a\0b')).toThrow(/no NUL/);
  });

  test('script data holds exactly one script of the stated length', () => {
    expect(decodeScriptData(encodeScriptData(script))).toEqual(script);
    const data = encodeScriptData(script);
    expect(() => decodeScriptData(data.subarray(0, 7))).toThrow(/list of lengths/);
    expect(() => decodeScriptData(data.subarray(0, -1))).toThrow(/22 bytes of script, there are 21/);
    const two = data.slice();
    two[7] = 1;
    expect(() => decodeScriptData(two)).toThrow(/more than one script/);
  });
});

describeReference('legacy image against mkimage and dumpimage', ['mkimage', 'dumpimage'], () => {
  let scratch: string;
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'treewright-uimage-'));
  });
  afterAll(() => rm(scratch, { recursive: true, force: true }));

  test.each(['arm', 'arm64', 'riscv', 'x86_64'] as const)(
    'our script image for %s is mkimage’s, byte for byte, and its own decodes',
    async (arch) => {
      const text = `echo "${arch}"\n${'x'.repeat(arch.length)}\n`;
      await writeFile(join(scratch, `${arch}.cmd`), text);
      const image = join(scratch, `${arch}.theirs`);
      await runTool(
        'mkimage',
        ['-A', arch, '-T', 'script', '-C', 'none', '-n', 'OSTree', '-d', join(scratch, `${arch}.cmd`), image],
        { env: { SOURCE_DATE_EPOCH: '1700000001' } },
      );
      const theirs = new Uint8Array(await readFile(image));
      const ours = encodeScriptImage({ script: utf8(text), name: 'OSTree', arch, time: 1_700_000_001 });
      expect(Buffer.from(ours).toString('hex')).toBe(Buffer.from(theirs).toString('hex'));
      const decoded = decodeUbootImage(theirs);
      expect(decoded).toMatchObject({
        arch,
        type: 'script',
        os: 'linux',
        compression: 'none',
        name: 'OSTree',
      });
      expect(Buffer.from(decodeScriptData(decoded.data)).toString()).toBe(text);
    },
  );

  test('a kernel image with addresses is mkimage’s too', async () => {
    const data = Uint8Array.from({ length: 1001 }, (_, i) => (i * 7) & 0xff);
    await writeFile(join(scratch, 'kernel'), data);
    const image = join(scratch, 'kernel.uimage');
    await runTool(
      'mkimage',
      ['-A', 'arm', '-O', 'linux', '-T', 'kernel', '-C', 'gzip', '-a', '0x80008000', '-e', '0x80008040', '-n', 'Linux',
        '-d', join(scratch, 'kernel'), image],
      { env: { SOURCE_DATE_EPOCH: '1' } },
    ); // prettier-ignore
    const ours = encodeUbootImage({
      name: 'Linux', os: 'linux', arch: 'arm', type: 'kernel', compression: 'gzip', time: 1,
      loadAddress: 0x80008000, entryPoint: 0x80008040, data,
    }); // prettier-ignore
    expect(Buffer.from(ours).equals(await readFile(image))).toBe(true);
  });

  test('mkimage -l lists ours and dumpimage takes the data out', async () => {
    const path = join(scratch, 'ours.scr');
    await writeFile(path, example());
    const { stdout } = await runTool('mkimage', ['-l', path], { env: { TZ: 'UTC' } });
    expect(stdout).toContain('Image Name:   boot');
    expect(stdout).toContain('AArch64 Linux Script (uncompressed)');
    expect(stdout).toContain('Image 0: 22 Bytes');
    const out = join(scratch, 'out.cmd');
    await runTool('dumpimage', ['-T', 'script', '-p', '0', '-o', out, path]);
    // It leaves the list of lengths in front.
    expect(decodeScriptData(await readFile(out))).toEqual(Buffer.from(script));
  });
});

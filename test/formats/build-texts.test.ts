/** .config, os-release, getfattr's output, ELF heads and pax records: small formats that sources read. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeElfHeader, elfArchitecture } from '../../src/formats/elf.ts';
import { decodeFattrBlock } from '../../src/formats/getfattr.ts';
import { buildrootVersion, decodeKconfig } from '../../src/formats/kconfig.ts';
import { decodeOsRelease } from '../../src/formats/os-release.ts';
import { decodePaxRecords, tarSize } from '../../src/formats/pax.ts';

describe('.config', () => {
  test('quoted strings are unescaped, what is not set is absent', () => {
    const config = decodeKconfig(
      '# BR2_A is not set\nBR2_B=y\nBR2_C=n\nBR2_D="a \\"b\\" \\\\c"\nBR2_E=42\r\nnoise\n',
    );
    expect(Object.fromEntries(config)).toEqual({ BR2_B: 'y', BR2_D: 'a "b" \\c', BR2_E: '42' });
  });

  test('the version stands in the comment at the top', () => {
    expect(
      buildrootVersion('#\n# Automatically generated\n# Buildroot 2025.02.16-12-gabc Configuration\n#\n'),
    ).toBe('2025.02.16-12-gabc');
    expect(buildrootVersion('# Linux/arm64 6.1.0 Kernel Configuration\n')).toBeUndefined();
  });
});

test('os-release is read as a shell would', () => {
  expect(
    decodeOsRelease(
      '# comment\nID=x\nNAME="A \\"B\\" \\$C"\nA=\'single $x\'\nB=a\\ b\nC="keep \\n"\n bad line\nD=\n',
    ),
  ).toEqual({ ID: 'x', NAME: 'A "B" $C', A: 'single $x', B: 'a b', C: 'keep \\n', D: '' });
});

describe('getfattr', () => {
  test('names and paths are octal where they must be, values base64', () => {
    expect(
      decodeFattrBlock(['# file: /r/a\\012b\\134', 'user.a\\075b=0sAP8=', 'user.empty', 'user.none=']),
    ).toEqual({
      path: '/r/a\nb\\',
      xattrs: [
        { name: 'user.a=b', value: Uint8Array.from([0, 255]) },
        { name: 'user.empty', value: new Uint8Array() },
        { name: 'user.none', value: new Uint8Array() },
      ],
    });
  });

  test.each([[['user.a=0sAA==']], [['# file: x', 'user.a="text"']], [['# file: x', '=0sAA==']]])(
    'anything else is refused: %j',
    (lines) => {
      expect(() => decodeFattrBlock(lines)).toThrow(/getfattr printed/);
    },
  );
});

describe('ELF', () => {
  const header = (bits: 1 | 2, endian: 1 | 2, machine: number): Uint8Array => {
    const bytes = Buffer.alloc(20);
    bytes.set([0x7f, 0x45, 0x4c, 0x46, bits, endian]);
    if (endian === 1) bytes.writeUInt16LE(machine, 18);
    else bytes.writeUInt16BE(machine, 18);
    return bytes;
  };

  test.each([
    [2, 1, 183, 'aarch64'],
    [1, 1, 40, 'armv7l'],
    [2, 1, 62, 'x86_64'],
    [2, 1, 243, 'riscv64'],
    [1, 1, 243, 'riscv32'],
    [2, 2, 21, 'ppc64'],
    [1, 2, 8, 'mips'],
    [2, 1, 9999, undefined],
  ] as const)('class %d, data %d, machine %d is %s', (bits, endian, machine, name) => {
    const elf = decodeElfHeader(header(bits, endian, machine));
    expect(elf === undefined ? 'not ELF' : elfArchitecture(elf)).toBe(name);
  });

  test('other and short files are none', () => {
    expect(decodeElfHeader(new Uint8Array(19))).toBeUndefined();
    expect(decodeElfHeader(Buffer.from('#!/bin/sh\nexit 0     '))).toBeUndefined();
    expect(decodeElfHeader(header(1, 1, 40).fill(3, 5, 6))).toBeUndefined();
  });
});

describe('pax', () => {
  test('any bytes give records or a coded error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodePaxRecords(bytes);
        } catch (error) {
          expect(error).toHaveProperty('code', 'input/bad-archive');
        }
      }),
    );
  });

  test('sizes in octal and in base 256', () => {
    const block = new Uint8Array(512);
    block.set(Buffer.from('00000001750\0'), 124);
    expect(tarSize(block)).toBe(1000);
    block.fill(0, 124, 136);
    block[124] = 0x80;
    block[131] = 2;
    expect(tarSize(block)).toBe(2 * 2 ** 32);
  });
});

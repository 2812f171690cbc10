import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createReleaseScanner, isKernelRelease, kernelFormat } from '../../src/formats/kernel-image.ts';

function scan(image: Uint8Array, piece: number): string | undefined {
  const scanner = createReleaseScanner();
  for (let at = 0; at < image.length; at += piece) {
    if (!scanner.push(image.subarray(at, at + piece))) break;
  }
  return scanner.release();
}

test('the banner is found wherever it lies and however the image is cut', () => {
  fc.assert(
    fc.property(fc.nat(5000), fc.nat(300), fc.integer({ min: 1, max: 700 }), (before, after, piece) => {
      const image = Buffer.concat([
        Buffer.alloc(before, 'Linux versio'),
        Buffer.from('Linux version 6.6.30-yocto-standard (oe-user@oe-host)'),
        Buffer.alloc(after, 'x'),
      ]);
      expect(scan(image, piece)).toBe('6.6.30-yocto-standard');
    }),
    { numRuns: 200 },
  );
});

test('a format string, and a release that runs into the end of the file, are no banner', () => {
  expect(scan(Buffer.from('Linux version %s Linux version '), 7)).toBeUndefined();
  expect(scan(Buffer.from(`Linux version ${'9'.repeat(80)}.1`), 7)).toBeUndefined();
});

describe('headers', () => {
  test('bzImage points to its version string', () => {
    const image = Buffer.alloc(0x4000);
    image.write('HdrS', 0x202);
    image.writeUInt16LE(0x3000 - 0x200, 0x20e);
    image.write('6.1.0-50-amd64 (debian-kernel@lists.debian.org) #1', 0x3000);
    expect(kernelFormat(image)).toBe('bzImage');
    expect(scan(image, 999)).toBe('6.1.0-50-amd64');
  });

  test('uImage has it in its name, if the name is not cut off', () => {
    const image = Buffer.alloc(64);
    image.writeUInt32BE(0x27051956, 0);
    image.write('Linux-5.15.32-v7', 32);
    expect(scan(image, 64)).toBe('5.15.32-v7');
    image.write('Linux-5.15.32-very-long-name-000', 32);
    expect(scan(image, 64)).toBeUndefined();
    image.fill(0, 32);
    image.write('My kernel', 32);
    expect(scan(image, 64)).toBeUndefined();
  });

  test.each([
    ['arm64', 56, 'ARM\x64'],
    ['riscv', 56, 'RSC\x05'],
    ['zImage', 36, '\x18\x28\x6f\x01'],
    ['fit', 0, '\xd0\x0d\xfe\xed'],
    ['gzip', 0, '\x1f\x8b'],
    ['elf', 0, '\x7fELF'],
    ['unknown', 0, 'text'],
  ])('%s', (format, offset, magic) => {
    const image = Buffer.alloc(128);
    image.write(magic, offset, 'latin1');
    expect(kernelFormat(image)).toBe(format);
  });
});

test('names that could leave the modules directory are no releases', () => {
  expect(['6.1', '6.1.0-50-arm64', '5.10.104-tegra+'].every(isKernelRelease)).toBe(true);
  expect(['', '..', '6', '6.1/..', '6.1 x', 'vmlinuz', '6.1\0'].some(isKernelRelease)).toBe(false);
});

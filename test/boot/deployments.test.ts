import { describe, expect, test } from 'vitest';
import type { Bootable, Sysroot } from '../../src/boot/deployments.ts';
import { bootEntries, deploy, emptySysroot, entryStyle } from '../../src/boot/deployments.ts';
import { parseChecksum } from '../../src/core/checksum.ts';

const bootable = (digit: string, version: string): Bootable => ({
  commit: parseChecksum(digit.repeat(64)),
  version,
  title: 'Demo',
  layout: {
    release: '6.1',
    bootcsum: parseChecksum('b'.repeat(64)),
    format: 'unknown',
    memory: 0,
    files: [],
    kernel: 'vmlinuz-6.1',
    initramfs: 'initramfs-6.1.img',
  },
});

describe('a sysroot', () => {
  test('keeps two deployments, alternates its boot version, and numbers equal commits and equal kernels', () => {
    const states: Sysroot[] = [];
    let sysroot = emptySysroot('demo');
    for (const [digit, version] of [['1', 'a'], ['2', 'b'], ['2', 'c'], ['2', 'd']] as const) {
      sysroot = deploy(sysroot, bootable(digit, version), states.length === 0 ? ['quiet'] : undefined);
      states.push(sysroot);
    } // prettier-ignore
    const list = ({ deployments }: Sysroot): string[] =>
      deployments.map(
        ({ commit, deploySerial, bootSerial }) => `${commit[0] ?? ''}.${deploySerial}/${bootSerial}`,
      );
    expect(states.map(list)).toEqual([['1.0/0'], ['2.0/0', '1.0/1'], ['2.1/0', '2.0/1'], ['2.2/0', '2.1/1']]);
    expect(states.map((state) => state.bootVersion)).toEqual([1, 0, 1, 0]);
    expect(states.map((state) => state.subBootVersion)).toEqual([1, 1, 1, 1]);
  });

  test('changes nothing but links when kernels, arguments and versions stay', () => {
    let sysroot = emptySysroot('demo');
    for (const digit of ['1', '2', '3']) sysroot = deploy(sysroot, bootable(digit, 'same'));
    const before = bootEntries(sysroot, entryStyle());
    expect(sysroot).toMatchObject({ bootVersion: 0, subBootVersion: 0 });
    const next = deploy(sysroot, { ...bootable('4', 'same'), title: 'Renamed' });
    expect(next).toMatchObject({ bootVersion: 0, subBootVersion: 1 });
    expect(next.deployments.map(({ title }) => title)).toEqual(['Renamed', 'Demo']);
    expect(bootEntries(next, entryStyle())).toEqual(before);
  });
});

test('boot entries follow the libostree version on the device; an unknown one counts as new', () => {
  const old = { osnameInFileName: true, abootKeys: false };
  const middle = { osnameInFileName: true, abootKeys: true };
  const plain = { osnameInFileName: false, abootKeys: true };
  const current = { osnameInFileName: false, abootKeys: false };
  const versions = [
    '2022.7',
    '2023.1',
    '2024.4',
    '2024.5',
    '2024.10-1',
    '2025.2',
    '2025.3',
    '2026.5',
    'git',
    undefined,
  ];
  expect(versions.map(entryStyle)).toEqual([
    old, middle, middle, plain, plain, plain, current, current, current, current,
  ]); // prettier-ignore
});

import { describe, expect, test } from 'vitest';
import type { Board, RollbackScheme } from '../../src/boot/board.ts';
import { boardArch, distroBoard, renderFwEnvConfig } from '../../src/boot/board.ts';
import { renderBootScript } from '../../src/boot/boot-script.ts';
import { kernelFormat } from '../../src/boot/kernel-format.ts';
import { utf8 } from '../../src/core/bytes.ts';

const script = (board: Board, rollback: Partial<RollbackScheme> = {}): string[] =>
  renderBootScript(board, { counting: 'script', attempts: 3, ...rollback })
    .split('\n')
    .map((line) => line.trim());

const ARCHES = ['arm', 'arm64', 'riscv', 'x86_64'] as const;

describe('boot.cmd', () => {
  test.each(ARCHES)('for %s every if has its then and fi, every quote its partner', (arch) => {
    for (const bootCommand of ['fit', 'bootm', distroBoard(arch).bootCommand] as const) {
      const lines = script(distroBoard(arch, bootCommand));
      const count = (pattern: RegExp): number => lines.filter((line) => pattern.test(line)).length;
      expect(count(/^if /)).toBe(count(/^fi$/));
      expect(count(/^(el)?if .*; then$/)).toBe(count(/^(el)?if /));
      for (const line of lines) expect(line.split('"').length % 2, line).toBe(1);
    }
  });

  test('each architecture starts its kernel with its own command', () => {
    const start = (board: Board): string | undefined =>
      script(board).find((line) => /^(boot[izm]|zboot) /.test(line));
    expect(start(distroBoard('arm64'))).toBe('booti ${kernel_addr_r} ${ostree_ramdisk} ${ostree_fdt_addr}');
    expect(start(distroBoard('arm'))).toBe('bootz ${kernel_addr_r} ${ostree_ramdisk} ${ostree_fdt_addr}');
    expect(start(distroBoard('riscv'))).toBe('booti ${kernel_addr_r} ${ostree_ramdisk} ${ostree_fdt_addr}');
    expect(start(distroBoard('x86_64'))).toBe(
      'zboot ${kernel_addr_r} 0 ${ostree_ramdisk} ${ostree_ramdisk_size}',
    );
    // A FIT image is loaded where its kernel does not go; 32-bit arm's unpacks itself where it lies.
    expect(start(distroBoard('arm64', 'fit'))).toBe('bootm ${ramdisk_addr_r}#${ostree_conf}');
    expect(start(distroBoard('arm', 'fit'))).toBe('bootm ${kernel_addr_r}#${ostree_conf}');
    const { addresses, ...board } = distroBoard('arm64', 'fit');
    const elsewhere = {
      ...board,
      addresses: { ...addresses, fit: '0x60000000' },
      fitConfiguration: 'conf-1',
    };
    expect(start(elsewhere)).toBe('bootm 0x60000000#${ostree_conf}');
    expect(script(elsewhere)).toContain('setenv ostree_conf "conf-1"');
  });

  test('a signed script takes from files that nobody signed the variables that it expects, and no others', () => {
    const board = distroBoard('arm64', 'fit');
    const imports = (signed: boolean): string[] =>
      renderBootScript(board, { counting: 'script', attempts: 3 }, { signed })
        .split('\n')
        .flatMap((line) => /env import .*/.exec(line)?.[0] ?? []);
    const unlimited = /\$\{filesize\}$/;
    expect(imports(false).filter((line) => unlimited.test(line))).toHaveLength(3);
    expect(imports(true)).toHaveLength(imports(false).length);
    expect(imports(true).filter((line) => unlimited.test(line))).toEqual([]);
    const names = imports(true).flatMap((line) => line.split('${filesize} ')[1]?.split(' ') ?? []);
    expect([...new Set(names)].sort()).toEqual([
      ...[
        'bootargs',
        'bootargs2',
        'bootargs_extra',
        'fdt_file',
        'fdt_file2',
        'fdt_overlays',
        'fdtdir',
        'fdtdir2',
      ],
      ...['kernel_image', 'kernel_image2', 'ramdisk_image', 'ramdisk_image2'],
    ]);
  });

  test('the environment is saved before uEnv.txt is imported, so that no deployment variable is stored', () => {
    const lines = script(distroBoard('arm64'));
    const saved = lines.findIndex((line) => line.startsWith('saveenv'));
    const imported = lines.findIndex((line) => line.startsWith('env import -t'));
    const cleared = lines.indexOf('setenv kernel_image2');
    expect(saved).toBeGreaterThan(0);
    expect(saved).toBeLessThan(cleared);
    expect(cleared).toBeLessThan(imported);
  });

  test('where U-Boot counts, the script makes what altbootcmd said permanent, and counts nothing itself', () => {
    const lines = script(distroBoard('arm64'), { counting: 'u-boot' });
    expect(lines.some((line) => line.startsWith('setexpr bootcount'))).toBe(false);
    expect(lines).toContain(
      'test -n "${altbootcmd}" || setenv altbootcmd \'setenv rollback 1; run bootcmd\'',
    );
    expect(lines).toContain('if test "${rollback}" = 1 && test "${upgrade_available}" = 1; then');
    expect(lines).toContain('if test "${rollback}" = 1 && test -n "${kernel_image2}"; then');
  });

  test('where nobody counts it never rolls back', () => {
    const never = script({ ...distroBoard('arm64'), environment: { kind: 'none' } }, { counting: 'none' });
    expect(never.some((line) => line.includes('kernel_image2}'))).toBe(false);
  });

  test('the number of attempts is the default of bootlimit, and what a board prepares comes first', () => {
    const lines = script(
      { ...distroBoard('arm64'), prepare: ['wdt dev watchdog@0', 'wdt start 60000'] },
      { attempts: 5 },
    );
    expect(lines).toContain('test -n "${bootlimit}" || setenv bootlimit 5');
    expect(lines.slice(1, 3)).toEqual(['wdt dev watchdog@0', 'wdt start 60000']);
  });
});

test('fw_env.config lists each copy, and is absent when no place is known', () => {
  const at = (offset: number) => ({ device: '/dev/mmcblk0boot0', offset, size: 0x2000 });
  expect(renderFwEnvConfig({ kind: 'u-boot', locations: [at(0), at(0x2000)] })).toBe(
    '# device offset size\n/dev/mmcblk0boot0 0x0 0x2000\n/dev/mmcblk0boot0 0x2000 0x2000\n',
  );
  expect(renderFwEnvConfig({ kind: 'u-boot' })).toBeUndefined();
  expect(renderFwEnvConfig({ kind: 'none' })).toBeUndefined();
});

test('architectures are known by the names of uname, Debian, Yocto and U-Boot', () => {
  const names = [
    'aarch64',
    'arm64',
    'armv7l',
    'armhf',
    'arm',
    'riscv64',
    'x86_64',
    'x86-64',
    'amd64',
    'mips',
  ];
  expect(names.map(boardArch)).toEqual([
    'arm64', 'arm64', 'arm', 'arm', 'arm', 'riscv', 'x86_64', 'x86_64', 'x86_64', undefined,
  ]); // prettier-ignore
});

test('kernel images are told apart by their magic numbers, and short files are no match', () => {
  const at = (offset: number, ...bytes: number[]): Uint8Array => {
    const head = new Uint8Array(1024);
    head.set(bytes, offset);
    return head;
  };
  expect(kernelFormat(at(56, ...utf8('ARMd')))).toBe('arm64-image');
  expect(kernelFormat(at(56, ...utf8('RSC\x05')))).toBe('riscv-image');
  expect(kernelFormat(at(0x24, 0x18, 0x28, 0x6f, 0x01))).toBe('arm-zimage');
  expect(kernelFormat(at(0x202, ...utf8('HdrS')))).toBe('x86-bzimage');
  expect(kernelFormat(at(0, 0xd0, 0x0d, 0xfe, 0xed))).toBe('fit');
  expect(kernelFormat(at(0, 0x27, 0x05, 0x19, 0x56))).toBe('uimage');
  expect(kernelFormat(at(0, 0x1f, 0x8b))).toBe('gzip');
  expect(kernelFormat(at(0, ...utf8('MZ\0\0zimg')))).toBe('efi-zboot');
  expect(kernelFormat(new Uint8Array(1024))).toBe('unknown');
  for (const length of [0, 1, 3, 58]) expect(kernelFormat(new Uint8Array(length))).toBe('unknown');
});

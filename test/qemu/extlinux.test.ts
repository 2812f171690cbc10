/** extlinux.conf in U-Boot: which label it starts, what it loads and passes on, and where it goes from there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { distroBoard } from '../../src/boot/board.ts';
import type { BootEntry } from '../../src/boot/deployments.ts';
import { EXTLINUX_LINKS, renderExtlinux } from '../../src/boot/extlinux.ts';
import { describeReference } from '../reference/tools.ts';
import { writeBootDisk } from './support/boot-disk.ts';
import { openConsole } from './support/console.ts';
import { ubootMachine } from './support/uboot-machine.ts';

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tw-extlinux-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

type Files = Record<string, string | Uint8Array | { link: string }>;

const LETTERS = ['c', 'b', 'a'] as const;
const title = (index: number): string => `Test "OS" ${3 - index}.0 (ostree:${index})`;

/** /boot with three deployments, the newest of which has lost its kernel; the oldest has a device tree. */
function bootFiles(): Files {
  const files: Files = { boot: { link: '.' }, loader: { link: 'loader.1' } };
  const entries: BootEntry[] = LETTERS.map((letter, index) => {
    const path = `ostree/os-${letter.repeat(64)}`;
    if (letter !== 'c') files[`${path}/vmlinuz-6.6`] = 'not a kernel';
    files[`${path}/initramfs-6.6.img`] = `initramfs ${letter}`;
    const tree = letter === 'a' ? [{ key: 'devicetree', value: `/${path}/devicetree-6.6` }] : [];
    if (letter === 'a') files[`${path}/devicetree-6.6`] = 'a device tree';
    return {
      fileName: `ostree-${3 - index}.conf`,
      fields: [
        { key: 'title', value: title(index) },
        { key: 'options', value: `root=LABEL=root dyndbg="file x +p" ostree=/ostree/boot.1/${letter}/0` },
        ...tree,
        { key: 'linux', value: `/${path}/vmlinuz-6.6` },
        { key: 'initrd', value: `/${path}/initramfs-6.6.img` },
      ],
    };
  });
  files['loader.1/syslinux.cfg'] = renderExtlinux(entries);
  for (const { path, target } of EXTLINUX_LINKS) files[path.replace(/^boot\//, '')] = { link: target };
  return files;
}

describeReference('extlinux.conf in U-Boot', ['machines:qemu-system-aarch64'], () => {
  test.each([
    { place: 'a directory of the root', prefix: 'boot/', file: '/boot/extlinux/extlinux.conf' },
    { place: 'a partition of its own', prefix: '', file: '/extlinux/extlinux.conf' },
  ])(
    '/boot as $place: the default label, the next one when it cannot be started, another one when told',
    async ({ prefix, file }) => {
      const disk = join(directory, `${prefix === '' ? 'own' : 'root'}.img`);
      const files = Object.fromEntries(
        Object.entries(bootFiles()).map(([path, content]) => [`${prefix}${path}`, content]),
      );
      await writeBootDisk(disk, distroBoard('arm64'), { counting: 'none', attempts: 3 }, files);
      const { program, args } = ubootMachine('arm64', disk);
      const machine = openConsole(program, args);
      const lines = async (...expected: readonly string[]): Promise<void> => {
        for (const line of expected) {
          const escaped = line.replace(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`);
          await machine.expect(new RegExp(`^${escaped}(?:\n|$)`, 'm'), 20);
        }
      };
      // U-Boot 2023.01 asks for the initramfs first, later ones for the kernel.
      const loads = (letter: string): string[] => [
        `Retrieving file: /boot/ostree/os-${letter.repeat(64)}/initramfs-6.6.img`,
        `Retrieving file: /boot/ostree/os-${letter.repeat(64)}/vmlinuz-6.6`,
        `append: root=LABEL=root dyndbg="file x +p" ostree=/ostree/boot.1/${letter}/0`,
      ];
      try {
        await lines(
          `Found ${file}`,
          `1:\t${title(0)}`,
          `Retrieving file: /boot/ostree/os-${'c'.repeat(64)}/vmlinuz-6.6`,
          `Skipping ${title(0)} for failure retrieving kernel`,
          `2:\t${title(1)}`,
          ...loads('b'),
          'Bad Linux ARM64 Image magic!',
          `3:\t${title(2)}`,
          ...loads('a'),
          'Bad Linux ARM64 Image magic!',
        );
        // What docs/boot.md gives as altbootcmd, without saveenv, which QEMU's flash does not take.
        await machine.expect(/^=> $/m, 60);
        // This board has no place for a device tree unless it is told one.
        machine.type('setenv fdt_addr_r 0x43000000');
        machine.type(`setenv previous_label '${title(2)}'`);
        machine.type(`setenv altbootcmd 'setenv pxe_label_override "\${previous_label}"; run bootcmd'`);
        machine.type('run altbootcmd');
        await lines(
          `Found ${file}`,
          `3:\t${title(2)}`,
          ...loads('a'),
          `Retrieving file: /boot/ostree/os-${'a'.repeat(64)}/devicetree-6.6`,
          'Bad Linux ARM64 Image magic!',
          `1:\t${title(0)}`,
        );
        expect(machine.log()).not.toContain('Missing override pxe label');
      } finally {
        await machine.cut();
      }
    },
  );
});

/** layers/device/extlinux-label: the label by which U-Boot returns to the running deployment. */
import { execa } from 'execa';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { renderExtlinux } from '../../src/boot/extlinux.ts';
import { describeReference, referenceTool } from '../reference/tools.ts';
import { PROJECT } from '../support/project.ts';

const SCRIPT = join(PROJECT, 'layers/device/extlinux-label');
const DEPLOYMENTS = [
  { title: 'Demo & "OS" 3.0 (ostree:0)', options: 'root=/dev/vda2 ostree=/ostree/boot.1/os/aa/0' },
  { title: 'Demo (LTS) 2.0 (ostree:1)', options: 'ostree=/ostree/boot.1/os/aa/1 quiet' },
  { title: "Demo OS 1.0 $HOME 'x' (ostree:2)", options: 'quiet ostree=/ostree/boot.1/os/b/0 rw' },
] as const;

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'label-'));
  const entries = DEPLOYMENTS.map(({ title, options }, index) => ({
    fileName: `ostree-${3 - index}.conf`,
    fields: [
      { key: 'title', value: title },
      { key: 'options', value: options },
      { key: 'linux', value: '/ostree/os-aa/vmlinuz' },
    ],
  }));
  await writeFile(join(directory, 'syslinux.cfg'), renderExtlinux(entries));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** What it prints for a kernel command line, or its exit code; `PATH` is where it finds sed. */
async function label(cmdline: string, PATH: string): Promise<string | number | undefined> {
  const file = join(directory, 'cmdline');
  await writeFile(file, `${cmdline}\n`);
  const run = await execa('sh', [SCRIPT, file, join(directory, 'syslinux.cfg')], {
    env: { PATH },
    reject: false,
  });
  return run.exitCode === 0 ? run.stdout : run.exitCode;
}

async function expectLabels(PATH: string): Promise<void> {
  const [newest, middle, oldest] = DEPLOYMENTS;
  expect(await label(newest.options, PATH)).toBe('Demo & "OS" 3.0 (ostree:1)');
  expect(await label(`a=b ${middle.options}`, PATH)).toBe('Demo (LTS) 2.0 (ostree:1)');
  expect(await label(`initrd=x ${oldest.options}`, PATH)).toBe("Demo OS 1.0 $HOME 'x' (ostree:1)");
  expect(await label('root=/dev/vda2 ostree=/ostree/boot.0/os/aa/0', PATH)).toBe(1);
  expect(await label('root=/dev/vda2 notostree=/ostree/boot.1/os/aa/0', PATH)).toBe(1);
}

test('it is the title of the running deployment, in the second place', async () => {
  await expectLabels(process.env['PATH'] ?? '');
});

describeReference('with the sed of BusyBox', ['busybox'], () => {
  test('it is the same', async () => {
    const sed = join(directory, 'sed');
    await writeFile(sed, `#!/bin/sh\nexec ${referenceTool('busybox')} sed "$@"\n`);
    await chmod(sed, 0o755);
    await expectLabels(`${directory}:${process.env['PATH'] ?? ''}`);
  });
});

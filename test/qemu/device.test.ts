/** The life of a device: it boots, updates, survives bad updates and power cuts. Real U-Boot, kernel and libostree. */
import { randomBytes } from 'node:crypto';
import { copyFile, constants, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { describeReference } from '../reference/tools.ts';
import type { StaticServer } from '../support/http-server.ts';
import { serveDirectory } from '../support/http-server.ts';
import { programBytes } from '../support/small-rootfs.ts';
import { makeGuest } from './support/guest.ts';
import type { Machine } from './support/machine.ts';
import { startMachine } from './support/machine.ts';
import type { Product } from './support/product.ts';
import { makeProduct } from './support/product.ts';

/** From reset to the end of boot, with much to spare. */
const BOOT = 60;

const SETTINGS = 'WATCHDOG=/dev/watchdog\nWATCHDOG_TIMEOUT=10\nWATCHDOG_BOOT_LIMIT=20\n';

describeReference('a device with busybox init', ['qemu:qemu-system-aarch64'], () => {
  let directory: string;
  let product: Product;
  let server: StaticServer;
  let machine: Machine | undefined;
  const commits = new Map<string, string>();
  const common = { 'etc/treewright/update.conf': SETTINGS };
  const program = programBytes(11, 4_000_000);
  const editedProgram = Buffer.from(program);
  editedProgram.write('a new release of the program', 2_000_000);

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'device-'));
    const guest = await makeGuest();
    server = await serveDirectory(join(directory, 'product/release'));
    product = await makeProduct({
      directory: join(directory, 'product'),
      guest,
      board: 'qemu-arm64',
      url: server.url.replace('127.0.0.1', '10.0.2.2'),
    });
    commits.set('1.0.0', await product.release('1.0.0', { ...common, 'usr/bin/program': program }));
    await product.image(join(directory, 'first.img'));
  });

  afterEach(async () => {
    await machine?.cut();
    machine = undefined;
  });

  afterAll(async () => {
    await server.close();
    await rm(directory, { recursive: true, force: true });
  });

  async function start(image: string): Promise<Machine> {
    const disk = join(directory, 'disk.img');
    if (image !== disk) await copyFile(image, disk, constants.COPYFILE_FICLONE);
    machine = startMachine({ disk });
    return machine;
  }

  const release = async (
    version: string,
    files: Readonly<Record<string, string | Uint8Array>>,
    options: { readonly initramfs?: string } = {},
  ): Promise<void> => {
    const all = { ...common, 'usr/bin/program': editedProgram, ...files };
    commits.set(version, await product.release(version, all, options));
  };

  const environment = async (device: Machine): Promise<string> =>
    (await device.run('fw_printenv | sort | tr "\\n" " "')).output.trim();

  const settled = 'bootcount=0 bootlimit=2 rollback=0 upgrade_available=0';

  test('boots, updates by a delta, keeps its state, and survives bad updates', async () => {
    const device = await start(join(directory, 'first.img'));
    await device.expect(/GUEST-BOOTED 1\.0\.0/, BOOT);
    expect(await environment(device)).toBe(settled);
    await device.run(
      'mkdir -p /var/lib/state && echo kept > /var/lib/state/file && echo mine > /etc/hostname && sync',
    );
    expect((await device.run('treewright-update')).exitCode).toBe(0);

    await release('2.0.0', { 'etc/new-setting': 'new\n' });
    server.requests.splice(0);
    expect((await device.run('treewright-update --check')).exitCode).toBe(10);
    device.type('treewright-update --reboot');
    await device.expect(/GUEST-BOOTED 2\.0\.0/, 2 * BOOT);
    const paths = server.requests.filter(({ status }) => status === 200).map(({ path }) => path);
    expect(paths.some((path) => /^\/ostree\/deltas\/.*\/0$/.test(path))).toBe(true);
    expect(paths.filter((path) => path.endsWith('.filez'))).toEqual([]);
    expect((await device.run('cat /var/lib/state/file /etc/hostname /etc/new-setting')).output).toBe(
      'kept\nmine\nnew\n',
    );
    expect(await environment(device)).toBe(settled);
    const status = (await device.run('treewright-update --status')).output;
    expect(status).toMatch(new RegExp(`^\\* guest ${commits.get('2.0.0') ?? ''}`, 'm'));

    const bad: [string, Parameters<typeof release>[1], { initramfs?: string }][] = [
      // Process 1 itself comes to its end: the kernel panics.
      ['3.0.0', { 'etc/init.d/S05panic': '#!/bin/sh\necho c > /proc/sysrq-trigger\n' }, {}],
      ['4.0.0', {}, { initramfs: join(directory, 'garbage') }],
      ['5.0.0', { 'etc/init.d/S20hang': '#!/bin/sh\nwhile :; do sleep 1000; done\n' }, {}],
      ['6.0.0', { 'usr/lib/treewright/health.d/broken': '#!/bin/sh\nexit 1\n' }, {}],
    ];
    await writeFile(join(directory, 'garbage'), randomBytes(100_000));
    for (const [version, files, options] of bad) {
      await release(version, files, options);
      device.type('treewright-update --reboot');
      await device.expect(/2 attempts failed, rolling back/, 5 * BOOT);
      await device.expect(/starting the previous deployment/, BOOT);
      await device.expect(/GUEST-BOOTED 2\.0\.0/, BOOT);
      expect(await environment(device), version).toBe(settled);
      const list = await device.run('cat /var/lib/treewright/bad-commits');
      expect(list.output, version).toContain(commits.get(version));
      const again = await device.run('treewright-update');
      expect(again.exitCode, version).toBe(3);
    }
    expect((await device.run('cat /var/lib/state/file /etc/hostname')).output).toBe('kept\nmine\n');

    await release('7.0.0', { 'etc/new-setting': 'newer\n' });
    device.type('treewright-update --reboot');
    await device.expect(/GUEST-BOOTED 7\.0\.0/, 2 * BOOT);
    expect(await environment(device)).toBe(settled);
  }, 420_000);
});

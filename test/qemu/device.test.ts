/** The life of a device: it boots, updates and survives bad updates. Real U-Boot, kernel and libostree. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeReference } from '../reference/tools.ts';
import type { Scene } from './support/scene.ts';
import { BOOT, SETTLED, environment, makeScene } from './support/scene.ts';

describeReference('a device with busybox init', ['qemu:qemu-system-aarch64'], () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await makeScene('device');
  });

  afterAll(async () => {
    await scene.close();
  });

  test('boots, updates by a delta, keeps its state, and survives bad updates', async () => {
    const { server, commits, directory } = scene;
    const device = await scene.start('new');
    await device.expect(/GUEST-BOOTED 1\.0\.0/, BOOT);
    expect(await environment(device)).toBe(SETTLED);
    await device.run(
      'mkdir -p /var/lib/state && echo kept > /var/lib/state/file && echo mine > /etc/hostname && sync',
    );
    expect((await device.run('treewright-update')).exitCode).toBe(0);

    await scene.release('2.0.0', { 'etc/new-setting': 'new\n' });
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
    expect(await environment(device)).toBe(SETTLED);
    const status = (await device.run('treewright-update --status')).output;
    expect(status).toMatch(new RegExp(`^\\* guest ${commits.get('2.0.0') ?? ''}`, 'm'));

    const garbage = join(directory, 'garbage');
    await writeFile(garbage, randomBytes(100_000));
    const bad: [string, Parameters<Scene['release']>[1], { initramfs?: string }][] = [
      ['3.0.0', { 'etc/init.d/S05panic': '#!/bin/sh\necho c > /proc/sysrq-trigger\n' }, {}],
      ['4.0.0', {}, { initramfs: garbage }],
      ['5.0.0', { 'etc/init.d/S20hang': '#!/bin/sh\nwhile :; do sleep 1000; done\n' }, {}],
      ['6.0.0', { 'usr/lib/treewright/health.d/broken': '#!/bin/sh\nexit 1\n' }, {}],
    ];
    for (const [version, files, options] of bad) {
      await scene.release(version, files, options);
      device.type('treewright-update --reboot');
      await device.expect(/2 attempts failed, rolling back/, 5 * BOOT);
      await device.expect(/starting the previous deployment/, BOOT);
      await device.expect(/GUEST-BOOTED 2\.0\.0/, BOOT);
      expect(await environment(device), version).toBe(SETTLED);
      const list = await device.run('cat /var/lib/treewright/bad-commits');
      expect(list.output, version).toContain(commits.get(version));
      const again = await device.run('treewright-update');
      expect(again.exitCode, version).toBe(3);
    }
    expect((await device.run('cat /var/lib/state/file /etc/hostname')).output).toBe('kept\nmine\n');

    await scene.release('7.0.0', { 'etc/new-setting': 'newer\n' });
    device.type('treewright-update --reboot');
    await device.expect(/GUEST-BOOTED 7\.0\.0/, 2 * BOOT);
    expect(await environment(device)).toBe(SETTLED);
  }, 480_000);
});

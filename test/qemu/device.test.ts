/** The life of a device: it boots, updates and survives bad updates. Real U-Boot, kernel and libostree. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeReference } from '../reference/tools.ts';
import { PANIC, expectDeltaOnly, expectState, survives, updateTo, writeState } from './support/life.ts';
import type { Scene } from './support/scene.ts';
import { BOOT, SETTLED, environment, makeScene } from './support/scene.ts';

describeReference('a device with busybox init', ['qemu:qemu-system-aarch64'], () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await makeScene('busybox', { attempts: 1 });
  });

  afterAll(() => scene.close());

  test('boots, updates by a delta, keeps its state, and survives bad updates', async () => {
    const device = await scene.start('new');
    await device.expect(/GUEST-BOOTED 1\.0\.0/, BOOT);
    expect(await environment(device)).toBe(SETTLED);
    await writeState(device);
    expect((await device.run('treewright-update')).exitCode).toBe(0);

    await scene.release('2.0.0', { 'etc/new-setting': 'new\n' });
    expect((await device.run('treewright-update --check')).exitCode).toBe(10);
    expectDeltaOnly(await updateTo(scene, device, '2.0.0'));
    await expectState(device);
    expect((await device.run('cat /etc/new-setting')).output).toBe('new\n');

    const garbage = join(scene.directory, 'garbage');
    await writeFile(garbage, randomBytes(100_000));
    const bad: [string, Parameters<Scene['release']>[1], { initramfs?: string }][] = [
      ['3.0.0', PANIC, {}],
      ['4.0.0', {}, { initramfs: garbage }],
      ['5.0.0', { 'etc/init.d/S20hang': '#!/bin/sh\nwhile :; do sleep 1000; done\n' }, {}],
      ['6.0.0', { 'usr/lib/treewright/health.d/broken': '#!/bin/sh\nexit 1\n' }, {}],
    ];
    for (const [version, files, options] of bad) {
      await scene.release(version, files, options);
      await survives(scene, device, { bad: version, good: '2.0.0' });
    }
    await expectState(device);

    await scene.release('7.0.0', { 'etc/new-setting': 'newer\n' });
    await updateTo(scene, device, '7.0.0');
  }, 900_000);
});

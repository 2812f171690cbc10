/** A device with systemd: its units count, mark, roll back and mount /var as the scripts do elsewhere. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeReference } from '../reference/tools.ts';
import { expectDeltaOnly, expectState, survives, updateTo, writeState } from './support/life.ts';
import type { Scene } from './support/scene.ts';
import { BOOT, SETTLED, environment, makeScene } from './support/scene.ts';

describeReference('a device with systemd', ['qemu:qemu-system-aarch64'], () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await makeScene('systemd', { attempts: 1 });
  });

  afterAll(() => scene.close());

  test('boots, updates by a delta, keeps its state, and survives a release that is not healthy', async () => {
    const device = await scene.start('new');
    await device.expect(/GUEST-BOOTED 1\.0\.0/, 2 * BOOT);
    expect(await environment(device)).toBe(SETTLED);
    expect((await device.run('systemctl is-active var.mount')).output).toBe('active\n');
    expect((await device.run('cd /sys/class/watchdog/watchdog0; cat state timeout')).output).toBe(
      'active\n30\n',
    );
    await writeState(device);

    await scene.release('2.0.0');
    expectDeltaOnly(await updateTo(scene, device, '2.0.0'));
    await expectState(device);

    await scene.release('3.0.0', { 'usr/lib/treewright/health.d/broken': '#!/bin/sh\nexit 1\n' });
    await survives(scene, device, { bad: '3.0.0', good: '2.0.0' });
    await expectState(device);
  }, 900_000);
});

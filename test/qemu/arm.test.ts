/** A 32-bit ARM device, from the initramfs of its programs to bootz of a zImage. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeReference } from '../reference/tools.ts';
import { PANIC, expectDeltaOnly, expectState, survives, updateTo, writeState } from './support/life.ts';
import type { Scene } from './support/scene.ts';
import { BOOT, SETTLED, environment, makeScene } from './support/scene.ts';

describeReference('a 32-bit device', ['qemu:qemu-system-arm'], () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await makeScene('arm');
  });

  afterAll(() => scene.close());

  test('boots, updates by a delta, keeps its state, and survives a panic', async () => {
    const device = await scene.start('new');
    await device.expect(/GUEST-BOOTED 1\.0\.0/, BOOT);
    expect(await environment(device)).toBe(SETTLED);
    expect((await device.run('uname -m')).output).toBe('armv7l\n');
    await writeState(device);

    await scene.release('2.0.0');
    expectDeltaOnly(await updateTo(scene, device, '2.0.0'));
    await expectState(device);

    await scene.release('3.0.0', PANIC);
    await survives(scene, device, { bad: '3.0.0', good: '2.0.0' });
    await expectState(device);
  }, 900_000);
});

/**
 * A 32-bit ARM device, from the initramfs of its programs to bootz of a zImage. Its releases bring kernel arguments
 * along, and what `boot explain` says is what Linux finds.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BootCase } from '../../src/boot/explain.ts';
import { describeReference } from '../reference/tools.ts';
import { PANIC, expectDeltaOnly, expectState, survives, updateTo, writeState } from './support/life.ts';
import type { Machine } from './support/machine.ts';
import type { Scene } from './support/scene.ts';
import { BOOT, SETTLED, environment, makeScene } from './support/scene.ts';

const settings = (word: string) => ({ boot: [`commit-kargs: [treewright.release=${word}]`] });

/** N of /ostree/boot.N alternates with each update, and the plan is that of a device's first one. */
const anyVersion = (cmdline: string): string => cmdline.replace(/boot\.[01]/, 'boot.N');

describeReference('a 32-bit device', ['qemu:qemu-system-arm'], () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await makeScene('arm', { first: settings('one'), attempts: 1 });
  });

  afterAll(() => scene.close());

  async function expectExplained(device: Machine, which: BootCase, word: string): Promise<void> {
    const { boots } = await scene.product.explain();
    const bootargs = boots.find((boot) => boot.case === which)?.bootargs ?? '';
    const cmdline = (await device.run('cat /proc/cmdline')).output;
    expect(anyVersion(cmdline)).toBe(anyVersion(`${bootargs}\n`));
    expect(cmdline).toMatch(new RegExp(` treewright\\.release=${word}\n$`));
  }

  test('boots, updates by a delta, keeps its state, and survives a panic, each time with the arguments of its commit', async () => {
    const device = await scene.start('new');
    await device.expect(/GUEST-BOOTED 1\.0\.0/, BOOT);
    expect(await environment(device)).toBe(SETTLED);
    expect((await device.run('uname -m')).output).toBe('armv7l\n');
    await expectExplained(device, 'first', 'one');
    await writeState(device);

    await scene.release('2.0.0', {}, settings('two'));
    expectDeltaOnly(await updateTo(scene, device, '2.0.0'));
    await expectState(device);
    await expectExplained(device, 'updated', 'two');

    await scene.release('3.0.0', PANIC, settings('three'));
    await survives(scene, device, { bad: '3.0.0', good: '2.0.0' });
    await expectState(device);
    await expectExplained(device, 'rolled-back', 'two');
  }, 900_000);
});

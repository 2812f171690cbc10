/** Kernel arguments of a commit, and what `boot explain` says, against what Linux finds after U-Boot. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BootCase } from '../../src/boot/explain.ts';
import { describeReference } from '../reference/tools.ts';
import { PANIC, survives, updateTo } from './support/life.ts';
import type { Machine } from './support/machine.ts';
import type { Scene } from './support/scene.ts';
import { BOOT, makeScene } from './support/scene.ts';

const settings = (word: string) => ({ boot: [`commit-kargs: [treewright.release=${word}]`] });

/** N of /ostree/boot.N alternates with each update, and the plan is that of a device's first one. */
const anyVersion = (cmdline: string): string => cmdline.replace(/boot\.[01]/, 'boot.N');

describeReference('kernel arguments of a commit', ['qemu:qemu-system-aarch64'], () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await makeScene('busybox', settings('one'));
  });

  afterAll(() => scene.close());

  async function expectExplained(device: Machine, which: BootCase): Promise<void> {
    const { boots } = await scene.product.explain();
    const bootargs = boots.find((boot) => boot.case === which)?.bootargs;
    expect(anyVersion((await device.run('cat /proc/cmdline')).output)).toBe(
      anyVersion(`${bootargs ?? ''}\n`),
    );
  }

  test('change with an update and return with a rollback, as explained', async () => {
    const device = await scene.start('new');
    await device.expect(/GUEST-BOOTED 1\.0\.0/, BOOT);
    await expectExplained(device, 'first');

    await scene.release('2.0.0', {}, settings('two'));
    await updateTo(scene, device, '2.0.0');
    await expectExplained(device, 'updated');
    expect((await device.run('cat /proc/cmdline')).output).toMatch(/ treewright\.release=two\n$/);

    await scene.release('3.0.0', PANIC, settings('three'));
    await survives(scene, device, { bad: '3.0.0', good: '2.0.0' });
    await expectExplained(device, 'rolled-back');
    expect((await device.run('cat /proc/cmdline')).output).toMatch(/ treewright\.release=two\n$/);
  }, 900_000);
});

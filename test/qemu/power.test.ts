/** Power that goes in the middle of an update, and of cleaning up after a rollback. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeReference } from '../reference/tools.ts';
import { PANIC } from './support/life.ts';
import type { Machine } from './support/machine.ts';
import type { Scene } from './support/scene.ts';
import { BOOT, SETTLED, environment, makeScene } from './support/scene.ts';

/** Moments of an update, by what the console says then. */
const MOMENTS: readonly (readonly [string, RegExp])[] = [
  ['while it is pulled', /UPDATE-STARTS/],
  ['when the boot loader was told and nothing is deployed', /SETENV upgrade_available 1/],
  ['while it is deployed', /Copying \/etc changes/],
  ['right after it was deployed', /Transaction complete/],
];

/** fw_setenv that says what it did, so that the power can be cut right behind it. */
const LOUD = [
  'mkdir -p /run/bin',
  "echo '#!/bin/sh' > /run/bin/fw_setenv",
  'echo \'/usr/bin/fw_setenv "$@"; code=$?; echo "SETENV $*"; sleep 1; exit $code\' >> /run/bin/fw_setenv',
  'chmod +x /run/bin/fw_setenv',
].join('; ');

describeReference('a device that loses power', ['qemu:qemu-system-aarch64'], () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await makeScene('busybox');
    await scene.release('2.0.0');
  });

  afterAll(async () => {
    await scene.close();
  });

  async function booted(device: Machine): Promise<string> {
    const [, version = ''] = await device.expect(/GUEST-BOOTED (\S+)\n/, BOOT);
    return version;
  }

  test('boots the old or the new release wherever an update was cut, and can be updated', async () => {
    let device = await scene.start('new');
    let version = await booted(device);
    expect(version).toBe('1.0.0');
    for (const [moment, said] of MOMENTS) {
      // One cut after the other on the same disk, as long as it has not got further than it should.
      if (version === '2.0.0') {
        device = await scene.start('new');
        await booted(device);
      }
      await device.run(LOUD);
      device.type('echo UPDATE"-"STARTS; PATH=/run/bin:$PATH treewright-update');
      await device.expect(said, BOOT);
      device = await scene.start('used');
      version = await booted(device);
      expect(['1.0.0', '2.0.0'], moment).toContain(version);
      // What was armed for nothing is taken back by the deployment that runs.
      expect(await environment(device), moment).toBe(SETTLED);
    }
    if (version === '1.0.0') {
      expect((await device.run('treewright-update', 2 * BOOT)).exitCode).toBe(0);
      device = await scene.start('used');
      expect(await booted(device)).toBe('2.0.0');
      expect(await environment(device)).toBe(SETTLED);
    }
  }, 900_000);

  test('finishes cleaning up after a rollback that was cut', async () => {
    await scene.release('3.0.0', PANIC);
    let device = await scene.start('new');
    expect(await booted(device)).toBe('1.0.0');
    device.type('treewright-update --reboot');
    await device.expect(/starting the previous deployment/, 5 * BOOT);
    // The bad deployment is gone, and the flags still say that there was a rollback.
    await device.expect(/Deleted deployment/, BOOT);
    device = await scene.start('used');
    expect(await booted(device)).toBe('1.0.0');
    expect(await environment(device)).toBe(SETTLED);
    const list = await device.run('cat /var/lib/treewright/bad-commits; treewright-update');
    expect(list.output).toContain(scene.commits.get('3.0.0'));
    expect(list.exitCode).toBe(3);
  }, 600_000);
});

/** A device whose kernel and initramfs are one signed FIT image, and whose boot script is another. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeReference, referenceTool } from '../reference/tools.ts';
import { writeSigningKey } from '../support/signing-key.ts';
import { expectDeltaOnly, updateTo } from './support/life.ts';
import type { ReleaseSettings } from './support/product.ts';
import type { Scene } from './support/scene.ts';
import { BOOT, SETTLED, environment, makeScene } from './support/scene.ts';

describeReference('a device with a signed FIT image', ['qemu:qemu-system-aarch64', 'mkimage', 'dtc'], () => {
  const path = process.env['PATH'];
  let keys: string;
  let scene: Scene;
  let settings: ReleaseSettings;

  beforeAll(async () => {
    process.env['PATH'] = [dirname(referenceTool('mkimage')), path].join(delimiter);
    keys = await mkdtemp(join(tmpdir(), 'fit-keys-'));
    await writeSigningKey(keys, 'dev');
    settings = { boot: [`fit: { keys: ${keys}, key: dev }`] };
    scene = await makeScene('busybox', { first: settings });
  });

  afterAll(async () => {
    process.env['PATH'] = path;
    await scene.close();
    await rm(keys, { recursive: true, force: true });
  });

  test('starts, by a script in a FIT image, the kernel and the initramfs of its deployment', async () => {
    const device = await scene.start('new');
    await device.expect(/## Loading ramdisk from FIT Image/, BOOT);
    await device.expect(/GUEST-BOOTED 1\.0\.0/, BOOT);
    expect(await environment(device)).toBe(SETTLED);
    const { output } = await device.run(
      'cat /proc/cmdline; ls /boot/ostree/*/; wc -c /boot/ostree/*/initramfs*',
    );
    expect(output).toMatch(/ ostree=\/ostree\/boot\.1\/guest\//);
    expect(output).not.toMatch(/ init=/);
    expect(output).not.toMatch(/dtb|devicetree/);
    expect(output).toMatch(/^ *0 \/boot\/ostree\/.*\/initramfs-/m);
    const status = (await device.run('treewright-update --status')).output;
    expect(status).toMatch(new RegExp(`^\\* guest ${scene.commits.get('1.0.0') ?? ''}`, 'm'));

    await scene.release('2.0.0', {}, settings);
    expectDeltaOnly(await updateTo(scene, device, '2.0.0'));
  });
});

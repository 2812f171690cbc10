/**
 * Signatures as the device checks them. Debian's libostree cannot, so this one is Debian 12's built with ed25519;
 * that version fetches objects besides a delta, therefore device.test.ts says what a delta saves.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeReference } from '../reference/tools.ts';
import { foreignKey, forge } from './support/forge.ts';
import { expectState, updateTo, writeState } from './support/life.ts';
import type { Scene } from './support/scene.ts';
import { BOOT, SETTLED, environment, makeScene } from './support/scene.ts';

describeReference('a device that checks signatures', ['qemu:qemu-system-aarch64', 'ed25519:ostree'], () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await makeScene('ed25519');
  });

  afterAll(() => scene.close());

  test('takes releases of its key, and neither those of another key nor those of none', async () => {
    const { commits, directory, product } = scene;
    const device = await scene.start('new');
    await device.expect(/GUEST-BOOTED 1\.0\.0/, BOOT);
    await writeState(device);
    const remote = (await device.run('ostree config get \'remote "origin".sign-verify\'')).output;
    expect(remote).toBe('ed25519\n');

    await scene.release('2.0.0');
    const paths = await updateTo(scene, device, '2.0.0');
    expect(paths.some((path) => /^\/ostree\/deltas\/.*\/0$/.test(path))).toBe(true);

    const base = commits.get('2.0.0') ?? '';
    const deployments = (await device.run('ostree admin status')).output;
    for (const [name, key, why] of [
      ['another-key', { key: foreignKey() }, /signature/i],
      ['no-key', {}, /Can't verify commit without detached metadata/],
    ] as const) {
      const to = join(directory, name);
      const forged = await forge({ from: product.output, to, branch: 'guest/stable', base, ...key });
      await scene.serve(to);
      const refused = await device.run('treewright-update', BOOT);
      expect(refused.exitCode, name).toBe(1);
      expect(refused.output, name).toMatch(why);
      expect(refused.output, name).toContain('the pull failed');
      const status = (await device.run('ostree admin status')).output;
      expect(status, name).toBe(deployments);
      expect(status, name).not.toContain(forged);
      expect(await environment(device), name).toBe(SETTLED);
    }

    await scene.serve(product.output);
    await scene.release('3.0.0', { 'etc/new-setting': 'new\n' });
    await updateTo(scene, device, '3.0.0');
    await expectState(device);
  }, 900_000);
});

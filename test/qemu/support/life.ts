/** What every device has to do: update by a delta, and come back from a bad update. */
import { expect } from 'vitest';
import type { Machine } from './machine.ts';
import type { Scene } from './scene.ts';
import { BOOT, SETTLED, environment } from './scene.ts';

/** Writes to /var and edits /etc. */
export async function writeState(device: Machine): Promise<void> {
  const commands = [
    'mkdir -p /var/lib/state',
    'echo kept > /var/lib/state/file',
    'echo mine > /etc/hostname',
  ];
  expect((await device.run([...commands, 'sync'].join(' && '))).exitCode).toBe(0);
}

/** What `writeState` wrote is there. */
export async function expectState(device: Machine): Promise<void> {
  expect((await device.run('cat /var/lib/state/file /etc/hostname')).output).toBe('kept\nmine\n');
}

/** Updates to a release that was published, and asks the web server how it came. */
export async function updateTo(
  { server, commits }: Scene,
  device: Machine,
  version: string,
): Promise<readonly string[]> {
  server.requests.splice(0);
  device.type('treewright-update --reboot');
  await device.expect(new RegExp(`GUEST-BOOTED ${version}`), 4 * BOOT);
  expect(await environment(device)).toBe(SETTLED);
  const status = (await device.run('treewright-update --status')).output;
  expect(status).toMatch(new RegExp(`^\\* guest ${commits.get(version) ?? ''}`, 'm'));
  return server.requests.filter(({ status: code }) => code === 200).map(({ path }) => path);
}

/** A delta's parts, and no object by itself. */
export function expectDeltaOnly(paths: readonly string[]): void {
  expect(paths.some((path) => /^\/ostree\/deltas\/.*\/0$/.test(path))).toBe(true);
  expect(paths.filter((path) => path.endsWith('.filez'))).toEqual([]);
}

/** Updates to a release that does not work: the device returns to the one before, and does not take it again. */
export async function survives(
  { commits }: Scene,
  device: Machine,
  { bad, good }: { readonly bad: string; readonly good: string },
): Promise<void> {
  device.type('treewright-update --reboot');
  await device.expect(/[12] attempts failed, rolling back/, 6 * BOOT);
  await device.expect(/starting the previous deployment/, BOOT);
  await device.expect(new RegExp(`GUEST-BOOTED ${good}`), BOOT);
  expect(await environment(device), bad).toBe(SETTLED);
  const list = await device.run('cat /var/lib/treewright/bad-commits');
  expect(list.output, bad).toContain(commits.get(bad));
  const again = await device.run('treewright-update');
  expect(again.exitCode, bad).toBe(3);
}

/** Files of a release whose kernel panics at boot. */
export const PANIC = { 'etc/init.d/S05panic': '#!/bin/sh\necho c > /proc/sysrq-trigger\n' };

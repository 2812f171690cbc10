/** A release that ends at any of its renames, the points at which anything becomes visible, harms nothing. */
import { execa } from 'execa';
import type * as promises from 'node:fs/promises';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Config } from '../../src/config/types.ts';
import { loadConfig } from '../../src/config/load.ts';
import { noEvents } from '../../src/core/events.ts';
import { assembleRelease } from '../../src/release/assemble.ts';
import { verifyRelease } from '../../src/release/verify.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import type { TestProject } from '../support/release.ts';
import { makeProject, makeRelease, prepareRelease } from '../support/release.ts';

/** Renames that still happen before the "power cut"; every later one fails, as everything would. */
const power = vi.hoisted(() => ({ left: Number.POSITIVE_INFINITY, used: 0 }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const original = await importOriginal<typeof promises>();
  return {
    ...original,
    rename: async (from: string, to: string) => {
      if (power.left <= 0) throw new Error('the power was cut');
      power.left--;
      power.used++;
      await original.rename(from, to);
    },
  };
});

let scratch: string;
let pristine: TestProject;
let config: Config;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-crash-'));
  pristine = await makeProject(join(scratch, 'pristine'));
  await makeRelease(pristine, { release: 1, programs: 3 });
  config = await loadConfig(await prepareRelease(pristine, { release: 2, programs: 3 }));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const releaseTo = (output: string) =>
  assembleRelease({ config, version: '2.0', output, events: noEvents, now: new Date() });
const versionsOf = async (location: string): Promise<string[]> =>
  (await verifyRelease({ location, events: noEvents, now: new Date() })).releases.map(
    ({ version }) => version,
  );

describeReference('a release cut off', ['ostree'], () => {
  test('at each of its renames', { timeout: 20 * 60_000 }, async () => {
    const whole = join(scratch, 'whole');
    await execa('cp', ['-a', pristine.output, whole]);
    power.used = 0;
    await releaseTo(whole);
    const renames = power.used;
    expect(renames).toBeGreaterThan(20);

    for (let cut = 0; cut < renames; cut++) {
      const output = join(scratch, `cut-${cut}`);
      await execa('cp', ['-a', pristine.output, output]);
      power.left = cut;
      await expect(releaseTo(output), `after ${cut} of ${renames} renames`).rejects.toThrow(
        'the power was cut',
      );
      power.left = Number.POSITIVE_INFINITY;
      expect(await versionsOf(output), `after ${cut} renames`).toEqual(['1.0']);
      await runTool('ostree', ['fsck', '--quiet', `--repo=${join(output, 'ostree')}`]);
      await releaseTo(output);
      expect(await versionsOf(output), `after ${cut} renames and another run`).toEqual(['1.0', '2.0']);
      await rm(output, { recursive: true });
    }
  });
});

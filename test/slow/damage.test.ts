/** Every file of a release, changed and cut. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, test } from 'vitest';
import { expectDamageRefused } from '../support/damage.ts';
import { makeReleasesWithApp } from '../support/release.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-damage-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

test('damage to any file of a release is refused', { timeout: 10 * 60_000 }, async () => {
  const { project } = await makeReleasesWithApp(scratch);
  await expectDamageRefused(project.output, join(scratch, 'damaged'), () => true);
});

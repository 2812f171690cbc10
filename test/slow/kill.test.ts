/** A release that is killed at any moment harms nothing, and the next run completes it. */
import { execa } from 'execa';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeReference, runTool } from '../reference/tools.ts';
import { PROJECT } from '../support/project.ts';
import { random } from '../support/random-tree.ts';
import type { TestProject } from '../support/release.ts';
import { makeProject, makeRelease, prepareRelease, treewright } from '../support/release.ts';

const MOMENTS = 30;

let scratch: string;
let pristine: TestProject;
let config: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-kill-'));
  pristine = await makeProject(join(scratch, 'pristine'));
  await makeRelease(pristine, { release: 1, programs: 60 });
  config = await prepareRelease(pristine, { release: 2, programs: 60 });
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

describeReference('a release killed with SIGKILL', ['ostree'], () => {
  test(`at ${MOMENTS} random moments`, { timeout: 20 * 60_000 }, async () => {
    const release = (output: string) =>
      [join(PROJECT, 'dist/cli/main.js'), 'release', '--config', config, '--version', '2.0', '--output', output, '--json']; // prettier-ignore

    // The time that the next run is taken to need; a run that ends sooner than its moment corrects it.
    let duration = 3000;
    const next = random(20261123);
    let killed = 0;
    for (let attempt = 0; killed < MOMENTS; attempt++) {
      expect(attempt, 'most moments must lie within a run').toBeLessThan(3 * MOMENTS);
      const output = join(scratch, `attempt-${attempt}`);
      await execa('cp', ['-a', pristine.output, output]);
      const delay = next() * duration;
      const started = Date.now();
      const child = execa(process.execPath, release(output), { reject: false, stdin: 'ignore' });
      const timer = setTimeout(() => child.kill('SIGKILL'), delay);
      const result = await child;
      clearTimeout(timer);
      if (result.signal !== 'SIGKILL') {
        duration = Date.now() - started;
        await rm(output, { recursive: true });
        continue;
      }
      killed++;
      const when = `killed ${Math.round(delay)} ms into about ${duration} ms`;

      await runTool('ostree', ['fsck', `--repo=${join(output, 'ostree')}`]);
      const old = await treewright(['verify', output, '--json']);
      expect(old.exitCode, `${when}: ${old.stdout}`).toBe(0);
      expect(JSON.parse(old.stdout), when).toMatchObject({ releases: expect.arrayContaining([expect.objectContaining({ version: '1.0' })]) as unknown }); // prettier-ignore

      const again = await treewright([
        'release',
        '--config',
        config,
        '--version',
        '2.0',
        '--output',
        output,
        '--json',
      ]);
      expect(again.exitCode, `${when}: ${again.stdout}`).toBe(0);
      const both = await treewright(['verify', output, '--json']);
      const report = JSON.parse(both.stdout) as {
        releases: { version: string }[];
        warnings: { code: string }[];
      };
      expect(
        report.releases.map(({ version }) => version),
        when,
      ).toEqual(['1.0', '2.0']);
      expect(
        report.warnings.map(({ code }) => code),
        when,
      ).toEqual(['trust/first-use']);
      await runTool('ostree', ['fsck', `--repo=${join(output, 'ostree')}`]);
      await rm(output, { recursive: true });
    }
  });
});

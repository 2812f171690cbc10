/** Physical roots of random trees, beside those of the real `ostree admin`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, test } from 'vitest';
import { d, expectSameRoots, randomTree } from '../boot/image/sysroot-trees.ts';
import { commitEntries } from '../boot/image/sysroots.ts';
import { describeReference, runTool } from '../reference/tools.ts';

const SEEDS = Array.from({ length: 30 }, (_, i) => 100 + i);

let directory: string;
let repo: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sysroot-random-'));
  repo = join(directory, 'repo');
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describeReference(
  'the physical root equals that of ostree admin',
  ['ostree', 'trixie:ostree', 'getfattr'],
  () => {
    beforeAll(() => runTool('ostree', ['init', `--repo=${repo}`, '--mode=archive']));

    test.each(SEEDS)('random tree %i', async (seed) => {
      const branch = `tree/${seed}`;
      const commit = await commitEntries(repo, branch, [d(''), ...randomTree(seed)], directory);
      for (const suite of ['bookworm', 'trixie'] as const) {
        await expectSameRoots({ directory, name: String(seed), suite, repo, commit, branch });
      }
    });
  },
);

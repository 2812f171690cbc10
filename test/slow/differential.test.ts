/** More of the random trees of test/repo/differential.test.ts. */
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, test } from 'vitest';
import { describeReference } from '../reference/tools.ts';
import type { Repositories } from '../support/differential.ts';
import { compareTrees, makeRepositories } from '../support/differential.ts';

describeReference('real ostree', ['ostree', 'trixie:ostree'], () => {
  let repositories: Repositories;
  beforeAll(async () => {
    repositories = await makeRepositories();
  });
  afterAll(() => rm(repositories.scratch, { recursive: true, force: true }));

  test('gives the same commit for the random trees 17 to 200', { timeout: 20 * 60_000 }, async () => {
    await compareTrees(
      repositories,
      Array.from({ length: 184 }, (_, index) => index + 17),
    );
  });
});

/** The same tree gives the same commit as the `ostree` command, byte for byte, from a tar and from a directory. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { noEvents } from '../../src/core/events.ts';
import { commitSource } from '../../src/release/commit.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import type { Repositories } from '../support/differential.ts';
import {
  TIMESTAMP,
  compareTrees,
  makeRepositories,
  ostreeCommit,
  ourCommit,
} from '../support/differential.ts';
import { randomEntries, writeTar } from '../support/random-tree.ts';

/** test/slow has those up to 200. */
const TREES = 16;

describeReference('real ostree', ['ostree', 'trixie:ostree'], () => {
  let repositories: Repositories;
  beforeAll(async () => {
    repositories = await makeRepositories();
  });
  afterAll(() => rm(repositories.scratch, { recursive: true, force: true }));

  test(`gives the same commit for ${TREES} random trees`, { timeout: 240_000 }, async () => {
    await compareTrees(
      repositories,
      Array.from({ length: TREES }, (_, index) => index + 1),
    );
  });

  test('gives the same commit with version, boot metadata and parent', async () => {
    const archive = join(repositories.scratch, 'facts.tar');
    await writeTar(archive, randomEntries(1));
    const first = await ourCommit(repositories, archive, 'facts');
    expect(await ostreeCommit(repositories, 'tar', archive, 'facts')).toBe(first);
    const { commit, parent } = await commitSource({
      repo: repositories.ours,
      branch: 'facts',
      source: archive,
      layout: 'none',
      timestamp: TIMESTAMP + 5,
      subject: 'second',
      body: 'with a body',
      version: '1.2 β',
      events: noEvents,
    });
    expect(parent).toBe(first);
    const { stdout } = await runTool('ostree', [
      'commit', `--repo=${repositories.theirs}`, '--branch=facts', `--timestamp=@${TIMESTAMP + 5}`, '--subject=second',
      '--body=with a body', '--add-metadata-string=version=1.2 β', `--tree=tar=${archive}`,
    ], { suite: 'trixie' }); // prettier-ignore
    expect(commit).toBe(stdout.trim());
  });
});

/** A branch that another tool began goes on: same parent, same refs, nothing lost on the way. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { noEvents } from '../../src/core/events.ts';
import { openStore } from '../../src/platform/store.ts';
import type { Config } from '../../src/config/types.ts';
import { assembleRelease } from '../../src/release/assemble.ts';
import { commitSource } from '../../src/release/commit.ts';
import { verifyRelease } from '../../src/release/verify.ts';
import { listObjects, readCommit } from '../../src/repo/read.ts';
import type { TestProject } from '../support/release.ts';
import { makeProject, makeRelease, prepareRelease } from '../support/release.ts';

let scratch: string;
let old: string;
let head: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-continued-'));
  old = join(scratch, 'old');
  const before = await makeProject(join(scratch, 'before'));
  await prepareRelease(before, { release: 1, programs: 3 });
  const report = await commitSource({
    repo: old,
    branch: 'gateway/stable',
    source: join(before.directory, 'build-1/rootfs.tar'),
    layout: 'none',
    timestamp: 1_700_000_000,
    events: noEvents,
  });
  head = report.commit;
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const continuing = (repo: string): string =>
  `ostree: { branch: gateway/stable, osname: gateway, continues: ${repo} }\n`;

/** `prepareRelease` has an ostree line of its own. */
async function configOf(project: TestProject, release: number, line: string): Promise<Config> {
  const file = await prepareRelease(project, { release, programs: 3 });
  await writeFile(file, (await readFile(file, 'utf8')).replace(/^ostree: .*\n/m, line));
  return loadConfig(file);
}

describe('ostree.continues', () => {
  test('the first release has the old head as parent, with all of its objects; later ones go on from there', async () => {
    const project = await makeProject(join(scratch, 'goes-on'));
    const config = await configOf(project, 1, continuing(old));
    const first = await assembleRelease({ config, version: '1.0', events: noEvents, now: new Date() });
    expect(first.parent).toBe(head);
    const store = openStore(join(project.output, 'ostree'));
    expect((await readCommit(store, first.commit)).parent).toBe(head);
    expect((await listObjects(store, head as typeof first.commit)).files.size).toBeGreaterThan(10);

    // The old repository is no longer needed.
    const next = await configOf(project, 2, continuing(join(scratch, 'gone')));
    const second = await assembleRelease({ config: next, version: '2.0', events: noEvents, now: new Date() });
    expect(second.parent).toBe(first.commit);
    const verified = await verifyRelease({ location: project.output, events: noEvents, now: new Date() });
    expect(verified.releases.map(({ commit }) => commit)).toEqual([first.commit, second.commit]);
  });

  test.each([
    ['a repository without the branch', 'other/branch', 'input/no-branch'],
    ['no repository', undefined, 'input/no-repository'],
  ])('%s is refused, and nothing is published', async (name, branch, code) => {
    const project = await makeProject(join(scratch, name.replaceAll(' ', '-')));
    const line =
      branch === undefined
        ? continuing(join(scratch, 'nowhere'))
        : continuing(old).replace('gateway/stable', branch);
    const config = await configOf(project, 1, line);
    await expect(
      assembleRelease({ config, version: '1.0', events: noEvents, now: new Date() }),
    ).rejects.toMatchObject({ code });
    const report = await makeRelease(project, { release: 1, programs: 3 });
    expect(report.parent).toBeUndefined();
  });
});

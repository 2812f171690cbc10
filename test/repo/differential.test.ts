/** The same tree gives the same commit as the `ostree` command, byte for byte, from a tar and from a directory. */
import { execa } from 'execa';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { noEvents } from '../../src/core/events.ts';
import { commitSource } from '../../src/release/commit.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import { randomEntries, writeTar } from '../support/random-tree.ts';

const TREES = 200;
const TIMESTAMP = 1_700_000_000;

let scratch: string;
let theirs: string;
let ours: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-differential-'));
  theirs = join(scratch, 'theirs');
  ours = join(scratch, 'ours');
  await mkdir(theirs);
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/**
 * Until 2024 libostree took the xattrs of a tar in whatever order libarchive gave them, which made the commit of a
 * tar differ from that of the directory it was made of; the order has been by name since, as ours. Tars are
 * therefore judged by 2025.2.
 */
const SUITE = { tar: 'trixie', dir: 'bookworm' } as const;

async function ostreeCommit(kind: 'tar' | 'dir', path: string, branch: string): Promise<string> {
  const { stdout } = await runTool('ostree', [
    'commit', `--repo=${theirs}`, `--branch=${branch}`, `--timestamp=@${TIMESTAMP}`, '--subject=s', `--tree=${kind}=${path}`,
  ], { suite: SUITE[kind] }); // prettier-ignore
  return stdout.trim();
}

async function ourCommit(source: string, branch: string): Promise<string> {
  const { commit } = await commitSource({
    repo: ours,
    branch,
    source,
    layout: 'none',
    timestamp: TIMESTAMP,
    subject: 's',
    events: noEvents,
  });
  return commit;
}

describeReference('real ostree', ['ostree', 'trixie:ostree'], () => {
  beforeAll(async () => {
    await runTool('ostree', ['init', `--repo=${theirs}`, '--mode=archive']);
    await mkdir(ours);
    // Neither has to survive a power cut.
    for (const repo of [theirs, ours]) {
      await writeFile(join(repo, 'config'), '[core]\nrepo_version=1\nmode=archive-z2\nfsync=false\n');
    }
  });

  test(`gives the same commit for ${TREES} random trees`, { timeout: 240_000 }, async () => {
    // An ordinary user cannot make files of other owners, so the directory has his own; the tar has any.
    const asRoot = process.getuid?.() === 0;
    const owner = asRoot ? undefined : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    const seeds = Array.from({ length: TREES }, (_, i) => i + 1);
    for (const seed of seeds) {
      const archive = join(scratch, `${seed}.tar`);
      // libarchive, which reads tars for ostree, changes names to normalisation form C, so that what is on the
      // device is not what the build made. Names stay as they are here; the directories below have such names.
      await writeTar(archive, randomEntries(seed, { decomposed: false }));
      const [a, b] = await Promise.all([
        ourCommit(archive, `tar/${seed}`),
        ostreeCommit('tar', archive, `tar/${seed}`),
      ]);
      expect(a, `the tar of seed ${seed}`).toBe(b);

      const unpacked = join(scratch, `${seed}`);
      await mkdir(unpacked);
      await writeTar(archive, randomEntries(seed, owner === undefined ? {} : { owner }));
      await execa('tar', [
        '--xattrs',
        '--xattrs-include=*',
        '--numeric-owner',
        '-xpf',
        archive,
        '-C',
        unpacked,
      ]);
      const [c, d] = await Promise.all([
        ourCommit(unpacked, `dir/${seed}`),
        ostreeCommit('dir', unpacked, `dir/${seed}`),
      ]);
      expect(c, `the directory of seed ${seed}`).toBe(d);
      await rm(unpacked, { recursive: true });
      await rm(archive);
    }
    expect((await readdir(join(ours, 'refs/heads/dir'))).length).toBe(TREES);
    await runTool('ostree', ['fsck', '--quiet', `--repo=${ours}`]);
  });

  test('gives the same commit with version, boot metadata and parent', async () => {
    const archive = join(scratch, 'facts.tar');
    await writeTar(archive, randomEntries(1));
    const first = await ourCommit(archive, 'facts');
    expect(await ostreeCommit('tar', archive, 'facts')).toBe(first);
    const { commit, parent } = await commitSource({
      repo: ours,
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
      'commit', `--repo=${theirs}`, '--branch=facts', `--timestamp=@${TIMESTAMP + 5}`, '--subject=second',
      '--body=with a body', '--add-metadata-string=version=1.2 β', `--tree=tar=${archive}`,
    ], { suite: 'trixie' }); // prettier-ignore
    expect(commit).toBe(stdout.trim());
  });
});

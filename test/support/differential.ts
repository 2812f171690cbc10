/** Random trees committed by us and by the `ostree` command, from a tar and from a directory. */
import { execa } from 'execa';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { noEvents } from '../../src/core/events.ts';
import { commitSource } from '../../src/release/commit.ts';
import { runTool } from '../reference/tools.ts';
import { randomEntries, writeTar } from './random-tree.ts';

export const TIMESTAMP = 1_700_000_000;

/** Two empty repositories beside each other. */
export interface Repositories {
  readonly scratch: string;
  readonly ours: string;
  readonly theirs: string;
}

export async function makeRepositories(): Promise<Repositories> {
  const scratch = await mkdtemp(join(tmpdir(), 'treewright-differential-'));
  const [ours, theirs] = [join(scratch, 'ours'), join(scratch, 'theirs')];
  await mkdir(ours);
  await runTool('ostree', ['init', `--repo=${theirs}`, '--mode=archive']);
  // Neither has to survive a power cut.
  for (const repo of [theirs, ours]) {
    await writeFile(join(repo, 'config'), '[core]\nrepo_version=1\nmode=archive-z2\nfsync=false\n');
  }
  return { scratch, ours, theirs };
}

/**
 * Until 2024 libostree took the xattrs of a tar in whatever order libarchive gave them, which made the commit of a
 * tar differ from that of the directory it was made of; the order has been by name since, as ours. Tars are
 * therefore judged by 2025.2.
 */
const SUITE = { tar: 'trixie', dir: 'bookworm' } as const;

export async function ostreeCommit(
  { theirs }: Repositories,
  kind: 'tar' | 'dir',
  path: string,
  branch: string,
): Promise<string> {
  const { stdout } = await runTool('ostree', [
    'commit', `--repo=${theirs}`, `--branch=${branch}`, `--timestamp=@${TIMESTAMP}`, '--subject=s', `--tree=${kind}=${path}`,
  ], { suite: SUITE[kind] }); // prettier-ignore
  return stdout.trim();
}

export async function ourCommit({ ours }: Repositories, source: string, branch: string): Promise<string> {
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

/** The trees of these seeds give the same commits, and a repository that fsck accepts. */
export async function compareTrees(repositories: Repositories, seeds: readonly number[]): Promise<void> {
  const { scratch, ours } = repositories;
  // An ordinary user cannot make files of other owners, so the directory has his own; the tar has any.
  const asRoot = process.getuid?.() === 0;
  const owner = asRoot ? undefined : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  for (const seed of seeds) {
    const archive = join(scratch, `${seed}.tar`);
    // libarchive, which reads tars for ostree, changes names to normalisation form C, so that what is on the
    // device is not what the build made. Names stay as they are here; the directories below have such names.
    await writeTar(archive, randomEntries(seed, { decomposed: false }));
    const [a, b] = await Promise.all([
      ourCommit(repositories, archive, `tar/${seed}`),
      ostreeCommit(repositories, 'tar', archive, `tar/${seed}`),
    ]);
    expect(a, `the tar of seed ${seed}`).toBe(b);

    const unpacked = join(scratch, `${seed}`);
    await mkdir(unpacked);
    await writeTar(archive, randomEntries(seed, owner === undefined ? {} : { owner }));
    const options = ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-xp'];
    await execa('tar', [...options, '-f', archive, '-C', unpacked]);
    const [c, d] = await Promise.all([
      ourCommit(repositories, unpacked, `dir/${seed}`),
      ostreeCommit(repositories, 'dir', unpacked, `dir/${seed}`),
    ]);
    expect(c, `the directory of seed ${seed}`).toBe(d);
    await rm(unpacked, { recursive: true });
    await rm(archive);
  }
  expect((await readdir(join(ours, 'refs/heads/dir'))).length).toBe(seeds.length);
  await runTool('ostree', ['fsck', '--quiet', `--repo=${ours}`]);
}

/** The branch of another repository that the first release goes on with, such as one that meta-updater made. */
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import { openStore } from '../platform/store.ts';
import { copyCommit } from '../repo/copy-commit.ts';
import { readRef } from '../repo/read.ts';
import { checkRepository } from '../repo/repository.ts';
import type { ReleaseSession } from './session.ts';

/**
 * The commit that becomes the parent of the branch's first release; undefined once there is a release, and when the
 * configuration names no repository. The commit is copied with its objects, so that a delta can start from it.
 * Throws `input/no-branch`, and what `copyCommit` throws.
 */
export async function continuedCommit({
  config,
  repo,
  releases,
  events,
}: ReleaseSession): Promise<Checksum | undefined> {
  const { branch, continues } = config.ostree;
  if (continues === undefined || releases.some((release) => release.branch === branch)) return undefined;
  await checkRepository(continues);
  const head = await readRef(openStore(continues), branch);
  if (head === undefined) {
    throw new TreewrightError(
      'input/no-branch',
      `${continues} has no branch ${branch} that could be continued: ostree.branch must be the one that devices follow, ` +
        'or leave ostree.continues out to begin a new one',
      { data: { repo: continues, branch } },
    );
  }
  events({ type: 'stage', stage: 'repo', title: `Taking ${branch} over from ${continues}` });
  await copyCommit(continues, repo, head);
  return head;
}

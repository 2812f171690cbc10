/** Commits that a repository has in part: after an interrupted or shallow pull libostree leaves a marker in `state/`. */
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import { objectPath } from './paths.ts';

/** `state/<commit>.commitpartial` */
export function partialMarkerPath(commit: Checksum): string {
  return `state/${commit}.commitpartial`;
}

export async function isPartial(repo: string, commit: Checksum): Promise<boolean> {
  try {
    await stat(join(repo, partialMarkerPath(commit)));
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Throws `input/missing-commit` or `input/partial-commit` unless the repository has the commit whole. */
export async function requireWhole(repo: string, commit: Checksum): Promise<void> {
  if (!existsSync(join(repo, objectPath(commit, 'commit')))) {
    throw new TreewrightError('input/missing-commit', `commit ${commit} is not in ${repo}`, {
      data: { repo, commit },
    });
  }
  if (!(await isPartial(repo, commit))) return;
  throw new TreewrightError(
    'input/partial-commit',
    `${repo} has only a part of commit ${commit}, as after an interrupted pull; pull it again first`,
    { data: { repo, commit } },
  );
}

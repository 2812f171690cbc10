/** What somebody publishes who can write to the web server and does not have the key of the releases. */
import { generateKeyPairSync } from 'node:crypto';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runTool } from '../../reference/tools.ts';

/** A key pair of their own as libostree reads secret keys: base64 of seed and public key. */
export function foreignKey(): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  const { d = '', x = '' } = privateKey.export({ format: 'jwk' });
  return Buffer.concat([Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')]).toString('base64');
}

/**
 * Copies the release directory `from` to `to`, where `branch` gets a commit with a changed file, a delta from `base`
 * to it and a new summary; signed when there is a key. Answers the commit.
 */
export async function forge(options: {
  readonly from: string;
  readonly to: string;
  readonly branch: string;
  readonly base: string;
  readonly key?: string;
}): Promise<string> {
  const { from, to, branch, base, key } = options;
  const repo = join(to, 'ostree');
  await mkdir(join(to, 'tree/usr/lib'), { recursive: true });
  await cp(join(from, 'ostree'), repo, { recursive: true, verbatimSymlinks: true });
  await rm(join(repo, 'summary.sig'), { force: true });
  await writeFile(join(to, 'tree/usr/lib/release-number'), 'forged');
  const ostree = async (command: string, ...args: string[]): Promise<string> =>
    (await runTool('ostree', [command, `--repo=${repo}`, ...args], { suite: 'ed25519' })).stdout.trim();
  const tree = [`--tree=ref=${base}`, `--tree=dir=${join(to, 'tree')}`, '--owner-uid=0', '--owner-gid=0'];
  const commit = await ostree('commit', `--branch=${branch}`, ...tree);
  if (key !== undefined) {
    await writeFile(join(to, 'key'), `${key}\n`, { mode: 0o600 });
    await ostree('sign', '--sign-type=ed25519', `--keys-file=${join(to, 'key')}`, commit);
  }
  await ostree('static-delta', 'generate', `--from=${base}`, `--to=${commit}`);
  await ostree('summary', '--update');
  return commit;
}

/** Repositories that real ostree makes, and devices that pull from them. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum } from '../../src/core/checksum.ts';
import { parseChecksum } from '../../src/core/checksum.ts';
import type { Suite } from '../reference/tools.ts';
import { runTool } from '../reference/tools.ts';
import type { StaticServer } from '../support/http-server.ts';
import { serveDirectory } from '../support/http-server.ts';

export const CONFIG = '[core]\nrepo_version=1\nmode=archive-z2\nfsync=false\n';

/** An archive repository at `path`. */
export async function makeRepository(path: string): Promise<string> {
  await mkdir(path);
  await runTool('ostree', ['init', `--repo=${path}`, '--mode=archive'], { suite: 'trixie' });
  await writeFile(join(path, 'config'), CONFIG);
  return path;
}

export async function commitTar(where: string, tar: string, timestamp: number): Promise<Checksum> {
  const { stdout } = await runTool(
    'ostree',
    [
      'commit',
      `--repo=${where}`,
      '--branch=device',
      `--timestamp=@${timestamp}`,
      '--subject=s',
      `--tree=tar=${tar}`,
    ],
    { suite: 'trixie' },
  );
  return parseChecksum(stdout.trim());
}

/** A device: a bare-user repository, which is the mode a client has when the test is not root. */
export async function makeClient(suite: Suite, path: string): Promise<string> {
  await runTool('ostree', ['init', `--repo=${path}`, '--mode=bare-user'], { suite });
  await runTool('ostree', ['config', `--repo=${path}`, 'set', 'core.fsync', 'false'], { suite });
  return path;
}

/** Gives a client a commit of `repo`, without the network. */
export async function pullLocal(suite: Suite, client: string, repo: string, commit: Checksum): Promise<void> {
  await runTool('ostree', ['pull-local', `--repo=${client}`, repo, commit], { suite });
}

/** fsck looks at what is there; listing needs every directory, `checkout` every object. */
export async function expectWhole(suite: Suite, repo: string, commit: Checksum): Promise<void> {
  await runTool('ostree', ['fsck', '--quiet', `--repo=${repo}`], { suite });
  await runTool('ostree', ['checkout', '-U', `--repo=${repo}`, commit, `${repo}-${commit.slice(0, 8)}`], {
    suite,
  });
}

export interface Pull {
  readonly suite: Suite;
  readonly client: string;
  /** Of the serving repository. */
  readonly repo: string;
  /** What the branch `device` was at for the client. */
  readonly from: Checksum;
  /** A branch or a commit. */
  readonly wanted: string;
  /** Arguments more for `remote add`. */
  readonly remote?: readonly string[];
}

/** Pulls over HTTP without signatures; answers the exit code, what was said, and the paths that were served. */
export async function pullOverHttp({ suite, client, repo, from, wanted, remote }: Pull): Promise<{
  readonly exitCode: number;
  readonly stderr: string;
  readonly served: readonly string[];
}> {
  const server = await serveDirectory(repo);
  try {
    const add = remote ?? ['--no-sign-verify', '--no-gpg-verify'];
    await runTool('ostree', ['remote', 'add', `--repo=${client}`, ...add, 'origin', server.url], { suite });
    await runTool('ostree', ['refs', `--repo=${client}`, '--create=origin:device', from], { suite });
    const { exitCode, stderr } = await runTool('ostree', ['pull', `--repo=${client}`, 'origin', wanted], {
      suite,
      reject: false,
    });
    return { exitCode, stderr, served: served(server) };
  } finally {
    await server.close();
  }
}

function served(server: StaticServer): string[] {
  return server.requests.filter(({ status }) => status === 200).map(({ path }) => path);
}

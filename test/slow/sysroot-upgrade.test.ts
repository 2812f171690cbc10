/** `ostree admin` at work on the physical root of a release: fsck, status, two upgrades from a web server. */
import {
  appendFile,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Checksum } from '../../src/core/checksum.ts';
import { loadPublicKeys } from '../../src/trust/keys.ts';
import { describeReference, referenceTool, runTool } from '../reference/tools.ts';
import type { StaticServer } from '../support/http-server.ts';
import { serveDirectory } from '../support/http-server.ts';
import { makeProject, makeRelease } from '../support/release.ts';
import type { LIBOSTREE, OurOptions, Seen } from '../boot/image/sysroots.ts';
import {
  OSNAME,
  asRoot,
  deployArgs,
  look,
  makeTheirs,
  ourSysroot,
  prepareTheirs,
  unpackOurs,
} from '../boot/image/sysroots.ts';

const BRANCH = 'gateway/stable';

let directory: string;
/** The commits of three releases, one after the other. */
let commits: [Checksum, Checksum, Checksum];
let key: string;
let server: StaticServer;
let www: string;

const stage = (n: number): string => join(directory, `stage-${n}`);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sysroot-'));
  const project = await makeProject(directory);
  const made: Checksum[] = [];
  for (const release of [1, 2, 3]) {
    const { commit } = await makeRelease(project, { release, extra: 'deltas: { from-nothing: false }\n' });
    made.push(commit);
    await cp(join(project.output, 'ostree'), stage(release), { recursive: true });
  }
  commits = made as typeof commits;
  const [raw] = await loadPublicKeys(project.keys, 'ostree');
  key = Buffer.from(raw ?? '').toString('base64');
  www = join(directory, 'www');
  await mkdir(www);
  await publish(1);
  server = await serveDirectory(www);
});

afterAll(async () => {
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

/** The server offers release `n` from now on. */
async function publish(n: number): Promise<void> {
  await rm(join(www, 'ostree'), { force: true });
  await symlink(stage(n), join(www, 'ostree'));
}

type OurSuite = keyof typeof LIBOSTREE;

const options = (suite: OurSuite, publicKeys: string[] = []): OurOptions => ({
  suite,
  repo: stage(1),
  commit: commits[0],
  branch: BRANCH,
  remote: { name: 'origin', url: `${server.url}/ostree`, publicKeys },
});

const ostree = (suite: OurSuite, args: string[], reject = true): ReturnType<typeof runTool> =>
  runTool('ostree', args, { suite, asRoot: true, reject });

const upgrade = (suite: OurSuite, root: string, reject = true): ReturnType<typeof runTool> =>
  ostree(suite, ['admin', 'upgrade', `--sysroot=${root}`, `--os=${OSNAME}`], reject);

/** Deployed commits, the default one first. */
async function deployed(suite: OurSuite, root: string): Promise<string[]> {
  const { stdout } = await ostree(suite, ['admin', 'status', `--sysroot=${root}`]);
  return [...stdout.matchAll(/^[* ] gateway ([0-9a-f]{64})\.0(?: \((\w+)\))?$/gm)].map(
    ([, commit = '']) => commit,
  );
}

const deployment = (root: string, n: number): string =>
  join(root, `ostree/deploy/${OSNAME}/deploy/${commits[n] ?? ''}.0`);

/** What two devices with the same history have in common. */
function history(seen: Map<string, Seen>): object {
  const found: Record<string, object> = {};
  for (const [path, node] of seen) {
    // Of a system that is not deployed; see sysroot.test.ts.
    if (/^(home|root)$/.test(path)) continue;
    // Other metadata of the first commit is linked to the repository it came from.
    const metadata = /\.(?:commit|commitmeta|dirtree|dirmeta)$/.test(path);
    const { links, content, dated, ...rest } = node;
    found[path] = {
      ...rest,
      content: path.endsWith('.conf') ? content?.split('\n').sort() : content,
      links: metadata ? undefined : links,
      dated: metadata || node.kind === 'symlink' ? undefined : dated,
    };
  }
  return found;
}

describeReference('ostree admin on our physical root', ['ostree', 'trixie:ostree', 'getfattr'], () => {
  test.each(['bookworm', 'trixie'] as const)(
    'two upgrades end as on a root of its own (%s)',
    async (suite) => {
      await publish(1);
      const [ours, theirs] = [join(directory, `ours-${suite}`), join(directory, `theirs-${suite}`)];
      await unpackOurs(ours, options(suite));
      await makeTheirs(theirs, { suite, repo: stage(1), branch: BRANCH, url: `${server.url}/ostree` });
      await ostree(suite, ['fsck', `--repo=${join(ours, 'ostree/repo')}`]);
      expect(await deployed(suite, ours)).toEqual([commits[0]]);
      expect((await upgrade(suite, ours)).stdout).toContain('No update available');
      for (const root of [ours, theirs])
        await appendFile(join(deployment(root, 0), 'etc/version'), 'edited\n');

      await publish(2);
      for (const root of [ours, theirs]) await upgrade(suite, root);
      expect(await deployed(suite, ours)).toEqual([commits[1], commits[0]]);
      // Our link tree is 1.1, so the next one is 0.
      const uEnv = await readFile(join(ours, 'boot/loader/uEnv.txt'), 'utf8');
      expect(uEnv).toContain('bootargs=root=LABEL=root rw ostree=/ostree/boot.0/');
      expect(uEnv).toContain('kernel_image2=');
      expect(await readFile(join(deployment(ours, 1), 'etc/version'), 'utf8')).toBe('1\nedited\n');

      await publish(3);
      for (const root of [ours, theirs]) await upgrade(suite, root);
      expect(await deployed(suite, ours)).toEqual([commits[2], commits[1]]);
      await expect(lstat(deployment(ours, 0))).rejects.toThrow('ENOENT');
      await ostree(suite, ['fsck', `--repo=${join(ours, 'ostree/repo')}`]);
      expect(history(await look(ours))).toEqual(history(await look(theirs)));
    },
  );

  test.each(['bookworm', 'trixie'] as const)(
    'extlinux.conf is kept up to date by the first upgrade and those after it (%s)',
    async (suite) => {
      await publish(1);
      const [ours, theirs] = [join(directory, `ours-ext-${suite}`), join(directory, `theirs-ext-${suite}`)];
      await unpackOurs(ours, { ...options(suite), loader: 'extlinux' });
      await makeTheirs(theirs, {
        suite,
        repo: stage(1),
        branch: BRANCH,
        url: `${server.url}/ostree`,
        loader: 'extlinux',
      });
      const boot = async (root: string): Promise<object> => history(await look(join(root, 'boot')));
      const labels = async (): Promise<string[]> => {
        const text = await readFile(join(ours, 'boot/extlinux/extlinux.conf'), 'utf8');
        expect(await readFile(join(ours, 'boot/loader/syslinux.cfg'), 'utf8')).toBe(text);
        return [...text.matchAll(/^(?:DEFAULT|LABEL) (.*)$/gm)].map(([line]) => line);
      };
      expect(await boot(ours)).toEqual(await boot(theirs));
      expect(await labels()).toEqual([
        expect.stringMatching(/^DEFAULT .*1\.0 \(ostree:0\)$/),
        expect.stringMatching(/^LABEL .*1\.0 \(ostree:0\)$/),
      ]);
      for (const release of [2, 3]) {
        await publish(release);
        for (const root of [ours, theirs]) await upgrade(suite, root);
        expect(await boot(ours)).toEqual(await boot(theirs));
        expect(await labels()).toEqual([
          expect.stringMatching(new RegExp(`^DEFAULT .*${release}\\.0 \\(ostree:0\\)$`)),
          expect.stringMatching(new RegExp(`^LABEL .*${release}\\.0 \\(ostree:0\\)$`)),
          expect.stringMatching(new RegExp(`^LABEL .*${release - 1}\\.0 \\(ostree:1\\)$`)),
        ]);
      }
      expect(await readdir(join(ours, 'boot/loader/'))).toEqual(['entries', 'syslinux.cfg']);
    },
  );

  test("files of /boot that are not libostree's survive upgrades", async () => {
    await publish(1);
    const root = join(directory, 'boot-files');
    const bootFiles = new Map([
      ['boot.scr', Buffer.from('script')],
      ['firmware/blob.bin', Buffer.from('x')],
    ]);
    await unpackOurs(root, { ...options('trixie'), bootFiles });
    const twice = ourSysroot({ ...options('trixie'), bootFiles: new Map([['boot', Buffer.from('x')]]) });
    await expect(twice).rejects.toMatchObject({ code: 'config/boot-file-exists' });
    await publish(2);
    await upgrade('trixie', root);
    expect(await readFile(join(root, 'boot/boot.scr'), 'utf8')).toBe('script');
    expect(await readdir(join(root, 'boot/firmware'))).toEqual(['blob.bin']);
  });

  test('a /boot of its own holds what deploying and upgrading there make of it', async () => {
    const suite = 'trixie';
    await publish(1);
    const [ours, theirs] = [join(directory, 'ours-separate'), join(directory, 'theirs-separate')];
    const [ourBoot, theirBoot] = [`${ours}-boot`, `${theirs}-boot`];
    const sysroot = await unpackOurs(ours, { ...options(suite), bootPartition: true });
    expect(sysroot.boot?.root.entries.has('loader')).toBe(true);
    expect(sysroot.tree.root.entries.get('boot')).toMatchObject({ kind: 'directory', entries: new Map() });
    await prepareTheirs(theirs, { suite, repo: stage(1), branch: BRANCH, url: `${server.url}/ostree` });
    const tool = referenceTool('ostree', suite);

    // Another file system is mounted at /boot only while the commands run; what it holds is copied out.
    await mkdir(theirBoot);
    await asRoot(
      ...['unshare', '--mount', 'sh', '-e', '-c'],
      `cd "$0"; mount -t tmpfs -o mode=755 boot boot; mkdir boot/loader.0; ln -s loader.0 boot/loader
       : >boot/loader/uEnv.txt; "$@" >&2; cp -a boot/. "$0-boot"`,
      ...[theirs, tool, ...deployArgs(theirs, BRANCH)],
    );
    expect(history(await look(join(ours, 'boot')))).toEqual(history(await look(theirBoot)));
    await rename(join(ours, 'boot'), ourBoot);
    await mkdir(join(ours, 'boot'));
    const outside = (seen: Map<string, Seen>): object => {
      seen.delete('ostree/repo/.lock');
      return history(seen);
    };
    expect(outside(await look(ours))).toEqual(outside(await look(theirs)));

    await publish(2);
    const status = await asRoot(
      ...['unshare', '--mount', 'sh', '-e', '-c'],
      `cd "$0"; mount -t tmpfs -o mode=755 boot boot; cp -a "$0-boot/." boot; "$1" admin upgrade --sysroot="$0" --os="$2" >&2
       "$1" admin status --sysroot="$0"`,
      ...[ours, tool, OSNAME],
    );
    expect([...status.matchAll(/[0-9a-f]{64}/g)].map(([commit]) => commit)).toEqual([commits[1], commits[0]]);
  });
});

describeReference('a device that checks signatures', ['ed25519:ostree'], () => {
  const other = Buffer.alloc(32, 7).toString('base64');

  test('configuration and upgrade with one key are those of `ostree remote add`', async () => {
    await publish(1);
    const [ours, theirs] = [join(directory, 'ours-signed'), join(directory, 'theirs-signed')];
    await unpackOurs(ours, options('ed25519', [key]));
    const remoteArgs = [`--sign-verify=ed25519=inline:${key}`];
    await makeTheirs(theirs, {
      suite: 'ed25519',
      repo: stage(1),
      branch: BRANCH,
      url: `${server.url}/ostree`,
      remoteArgs,
    });
    const config = await readFile(join(ours, 'ostree/repo/config'), 'utf8');
    expect(config).toContain('sign-verify=ed25519');
    expect(config.trimEnd()).toBe((await readFile(join(theirs, 'ostree/repo/config'), 'utf8')).trimEnd());
    await publish(2);
    await upgrade('ed25519', ours);
    expect(await deployed('ed25519', ours)).toEqual([commits[1], commits[0]]);
  });

  test('another key refuses the update, and a file of both takes it', async () => {
    await publish(1);
    const [wrong, both] = [join(directory, 'wrong-key'), join(directory, 'both-keys')];
    await unpackOurs(wrong, options('ed25519', [other]));
    await unpackOurs(both, options('ed25519', [other, key]));
    // Where the root of the device is the root of the system, the path of the file is right.
    const config = join(both, 'ostree/repo/config');
    const text = await readFile(config, 'utf8');
    expect(text).toContain('verification-ed25519-file=/ostree/repo/');
    await writeFile(config, text.replace('=/ostree/repo/', `=${join(both, 'ostree/repo')}/`));
    await publish(2);
    const { exitCode, stderr } = await upgrade('ed25519', wrong, false);
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/sign/i);
    expect(await deployed('ed25519', wrong)).toEqual([commits[0]]);
    await upgrade('ed25519', both);
    expect(await deployed('ed25519', both)).toEqual([commits[1], commits[0]]);
  });
});

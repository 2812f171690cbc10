/** The physical root of a device, beside the one that the real `ostree admin` commands make. */
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { lstat, mkdtemp, readFile, readdir, readlink, rm, mkdir, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { contentOpener } from '../../../src/boot/image/content.ts';
import { buildSysroot } from '../../../src/boot/image/sysroot.ts';
import { writeSysrootTar } from '../../../src/boot/image/sysroot-tar.ts';
import { planBoot } from '../../../src/boot/plan.ts';
import { parseChecksum } from '../../../src/core/checksum.ts';
import { openStore } from '../../../src/platform/store.ts';
import type { Suite } from '../../reference/tools.ts';
import { describeReference, runTool } from '../../reference/tools.ts';
import { serveDirectory } from '../../support/http-server.ts';
import { makeProject, makeRelease } from '../../support/release.ts';
import type { TestProject } from '../../support/release.ts';

const BRANCH = 'gateway/stable';
const KARGS = ['root=LABEL=root', 'rw'];
const NO_DELTA = 'deltas: { from-nothing: false }\n';

let directory: string;
let project: TestProject;
let first: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sysroot-'));
  project = await makeProject(directory);
  first = (await makeRelease(project, { release: 1, extra: NO_DELTA })).commit;
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** Our physical root, unpacked by tar. */
async function ours(
  name: string,
  libostree: string,
  options: { url?: string; keys?: string[] } = {},
): Promise<string> {
  const repo = openStore(join(project.output, 'ostree'));
  const plan = await planBoot(repo, parseChecksum(first), { osname: 'gateway', kargs: KARGS, libostree });
  const sysroot = await buildSysroot(repo, plan, {
    branch: BRANCH,
    remote: {
      name: 'origin',
      ...(options.url === undefined ? {} : { url: options.url }),
      publicKeys: options.keys ?? [],
    },
    readonly: false,
    seedVar: false,
    libostree,
    bootFiles: new Map(),
  });
  const archive = join(directory, `${name}.tar`);
  await writeSysrootTar(sysroot, contentOpener(repo), archive);
  const root = join(directory, name);
  await mkdir(root);
  const userNamespace = process.getuid?.() === 0 ? [] : ['unshare', '--user', '--map-root-user'];
  const [file = '', ...args] = [
    ...userNamespace,
    ...['tar', '-x', '-f', archive, '-C', root, '--xattrs', '--xattrs-include=*', '--numeric-owner', '-p'],
  ];
  execFileSync(file, args);
  return root;
}

/** What the real commands make. */
async function theirs(name: string, suite: Suite, url: string): Promise<string> {
  const root = join(directory, name);
  await mkdir(root);
  const ostree = (...args: string[]): Promise<unknown> => runTool('ostree', args, { suite, asRoot: true });
  await ostree('admin', 'init-fs', root);
  await ostree('admin', 'os-init', 'gateway', `--sysroot=${root}`);
  const repo = `--repo=${join(root, 'ostree/repo')}`;
  await ostree(repo, 'remote', 'add', '--no-gpg-verify', 'origin', url);
  await ostree(repo, 'pull-local', '--remote=origin', join(project.output, 'ostree'), BRANCH);
  await mkdir(join(root, 'boot/loader.0'), { recursive: true });
  await symlink('loader.0', join(root, 'boot/loader'));
  await writeFile(join(root, 'boot/loader/uEnv.txt'), '');
  await ostree(
    ...['admin', 'deploy', `--sysroot=${root}`, '--os=gateway', ...KARGS.map((word) => `--karg=${word}`)],
    `origin:${BRANCH}`,
  );
  return root;
}

const METADATA = /\.(?:commit|commitmeta|dirtree|dirmeta)$/;

function textOrDigest(bytes: Buffer): string {
  return bytes.length < 2000 && !bytes.includes(0)
    ? bytes.toString('utf8')
    : createHash('sha256').update(bytes).digest('hex');
}

/** 2025.2 leaves the order of two keys of a boot entry to a hash table. */
function inOrder(path: string, text: string): string {
  return path.endsWith('.conf') ? text.split('\n').sort().join('\n') : text;
}

interface Seen {
  readonly kind: string;
  readonly owner: string;
  readonly mode: string;
  /** The other names of the file, as one of them. */
  readonly group?: string;
  readonly content?: string;
  readonly mtime?: number;
}

/** Everything below `root` by path. */
async function look(root: string): Promise<Map<string, Seen>> {
  const seen = new Map<string, Seen>();
  const inodes = new Map<number, string>();
  const visit = async (path: string): Promise<void> => {
    for (const name of (await readdir(join(root, path))).sort()) {
      const at = path === '' ? name : `${path}/${name}`;
      const full = join(root, at);
      const stat = await lstat(full);
      const kind = stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'symlink' : 'file';
      const group = inodes.get(stat.ino) ?? at;
      inodes.set(stat.ino, group);
      const content =
        kind === 'symlink'
          ? await readlink(full)
          : kind === 'file'
            ? inOrder(at, textOrDigest(await readFile(full)))
            : undefined;
      seen.set(at, {
        kind,
        owner: `${stat.uid}:${stat.gid}`,
        mode: (stat.mode & 0o7777).toString(8),
        // pull-local links what is stored in the same form at its source.
        ...(kind === 'directory' || METADATA.test(at) ? {} : { group: `${group} ${stat.nlink}` }),
        ...(content === undefined ? {} : { content }),
        // libostree sets the time of what it checks out, and of nothing else.
        ...(kind === 'file' && stat.nlink > 1 && !METADATA.test(at) ? { mtime: stat.mtimeMs } : {}),
      });
      if (kind === 'directory') await visit(at);
    }
  };
  await visit('');
  return seen;
}

/** What differs on purpose: path or prefix, and why. */
const ONLY_THEIRS = [
  // Locks and caches of the commands themselves.
  /^ostree\/repo\/\.lock$/,
  // Homes and users of a system that is not deployed; nothing mounts or reads them.
  /^(home|root)$/,
];

describeReference('the physical root', ['ostree', 'trixie:ostree'], () => {
  test.each([
    ['bookworm', '2022.7'],
    ['trixie', '2025.2'],
  ] as const)('equals that of ostree admin in %s (%s)', async (suite, libostree) => {
    const url = 'http://updates.example/ostree';
    const real = await look(await theirs(`theirs-${suite}`, suite, url));
    const made = await look(await ours(`ours-${suite}`, libostree, { url }));
    for (const path of real.keys()) {
      if (ONLY_THEIRS.some((pattern) => pattern.test(path))) real.delete(path);
    }
    expect([...made.keys()].filter((path) => !real.has(path))).toEqual([]);
    expect([...real.keys()].filter((path) => !made.has(path))).toEqual([]);
    for (const [path, node] of real) expect({ path, ...made.get(path) }).toEqual({ path, ...node });
  });

  test.each(['bookworm', 'trixie'] as const)(
    'is whole, and upgrades from a web server (%s)',
    async (suite) => {
      const server = await serveDirectory(project.output);
      try {
        const libostree = suite === 'trixie' ? '2025.2' : '2022.7';
        const root = await ours(`upgrade-${suite}`, libostree, { url: `${server.url}/ostree` });
        const ostree = (...args: string[]) => runTool('ostree', args, { suite, asRoot: true });
        await ostree('fsck', `--repo=${join(root, 'ostree/repo')}`);
        const second = (await makeRelease(project, { release: suite === 'trixie' ? 3 : 2, extra: NO_DELTA }))
          .commit;
        await ostree('admin', 'upgrade', `--sysroot=${root}`, '--os=gateway');
        const { stdout } = await ostree('admin', 'status', `--sysroot=${root}`);
        const lines = stdout.split('\n').filter((line) => line.includes('gateway '));
        expect(lines[0]).toContain(second);
        expect(lines[1]).toContain(first);
        const uEnv = await readFile(join(root, 'boot/loader/uEnv.txt'), 'utf8');
        expect(uEnv).toContain('kernel_image2=');
        expect(uEnv).toContain('bootargs=root=LABEL=root rw ostree=/ostree/boot.0/');
      } finally {
        await server.close();
      }
    },
  );
});

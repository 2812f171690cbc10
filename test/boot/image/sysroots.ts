/** Physical roots for comparison: ours, those of the real `ostree admin`, and what can be seen of either. */
import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { lstat, mkdir, readFile, readdir, readlink, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BootLoader } from '../../../src/boot/extlinux.ts';
import { EXTLINUX_LINKS } from '../../../src/boot/extlinux.ts';
import { contentOpener } from '../../../src/boot/image/content.ts';
import type { Remote } from '../../../src/boot/image/sysroot-config.ts';
import type { Sysroot, SysrootOptions } from '../../../src/boot/image/sysroot.ts';
import { buildSysroot } from '../../../src/boot/image/sysroot.ts';
import { writeSysrootTar } from '../../../src/boot/image/sysroot-tar.ts';
import { planBoot } from '../../../src/boot/plan.ts';
import type { Checksum } from '../../../src/core/checksum.ts';
import { decodeFattrBlock } from '../../../src/formats/getfattr.ts';
import { TAR_END, encodeTarHeader } from '../../../src/formats/tar-header.ts';
import type { TarEntry } from '../../../src/formats/tar-header.ts';
import { openStore } from '../../../src/platform/store.ts';
import type { Suite } from '../../reference/tools.ts';
import { runTool } from '../../reference/tools.ts';

export const LIBOSTREE: Readonly<Record<'bookworm' | 'trixie' | 'ed25519', string>> = {
  bookworm: '2022.7',
  trixie: '2025.2',
  ed25519: '2022.7',
};

export const OSNAME = 'gateway';
export const KARGS = ['root=LABEL=root', 'rw'];
export const isRoot = process.getuid?.() === 0;

/** Runs a program of the machine as root, of a user namespace if need be; answers what it prints. */
export async function asRoot(program: string, ...args: string[]): Promise<string> {
  const [file = '', ...rest] = [
    ...(isRoot ? [] : ['unshare', '--user', '--map-root-user']),
    program,
    ...args,
  ];
  return (await execa(file, rest, { stdin: 'ignore' })).stdout;
}

export interface Entry extends Partial<TarEntry> {
  readonly path: string;
  readonly type: TarEntry['type'];
  readonly content?: Uint8Array;
}

/**
 * Commits entries to an archive repository with the real `ostree`, as root's or as they say. 2022.7 would not sort
 * the xattrs of a tar, which later ones refuse.
 */
export async function commitEntries(
  repo: string,
  branch: string,
  entries: readonly Entry[],
  scratch: string,
): Promise<Checksum> {
  const blocks: Uint8Array[] = [];
  for (const { content = new Uint8Array(), ...entry } of entries) {
    const facts = {
      uid: 0,
      gid: 0,
      mtime: 0,
      xattrs: [],
      mode: entry.type === 'directory' ? 0o755 : entry.type === 'symlink' ? 0o777 : 0o644,
    };
    const path = `./${entry.path}${entry.type === 'directory' && entry.path !== '' ? '/' : ''}`;
    const target = entry.type === 'link' ? { target: `./${entry.target ?? ''}` } : {};
    blocks.push(encodeTarHeader({ ...facts, ...entry, ...target, path, size: content.length }), content);
    blocks.push(new Uint8Array(-content.length & 511));
  }
  const archive = join(scratch, `${branch.replaceAll('/', '-')}.tar`);
  await writeFile(archive, Buffer.concat([...blocks, TAR_END]));
  const { stdout } = await runTool(
    'ostree',
    [
      ...[
        'commit',
        `--repo=${repo}`,
        `--branch=${branch}`,
        `--tree=tar=${archive}`,
        '--tar-autocreate-parents',
      ],
      ...['--timestamp=@1700000000', '--add-metadata-string=version=1.0'],
    ],
    { suite: 'trixie' },
  );
  return stdout.trim() as Checksum;
}

export interface OurOptions extends Partial<SysrootOptions> {
  readonly suite: keyof typeof LIBOSTREE;
  readonly repo: string;
  readonly commit: Checksum;
  readonly branch: string;
  readonly remote?: Remote;
  readonly loader?: BootLoader;
}

/** Our physical root as a value. */
export async function ourSysroot(options: OurOptions): Promise<Sysroot> {
  const { suite, repo, commit, loader = 'u-boot', ...rest } = options;
  const libostree = LIBOSTREE[suite];
  const store = openStore(repo);
  const plan = await planBoot(store, commit, { osname: OSNAME, kargs: KARGS, libostree, loader });
  return buildSysroot(store, plan, {
    remote: { name: 'origin', publicKeys: [] },
    readonly: false,
    seedVar: false,
    libostree,
    bootFiles: new Map(),
    ...rest,
  });
}

/** Our physical root, unpacked by tar to `root`. */
export async function unpackOurs(root: string, options: OurOptions): Promise<Sysroot> {
  const sysroot = await ourSysroot(options);
  const archive = `${root}.tar`;
  await writeSysrootTar(sysroot, contentOpener(openStore(options.repo)), archive);
  await mkdir(root);
  await asRoot(
    'tar',
    '-x',
    '-f',
    archive,
    '-C',
    root,
    '--xattrs',
    '--xattrs-include=*',
    '--numeric-owner',
    '-p',
  );
  return sysroot;
}

export interface TheirOptions {
  readonly suite: Suite;
  readonly repo: string;
  readonly branch: string;
  readonly url: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly remoteArgs?: readonly string[];
  readonly loader?: BootLoader;
}

/** What the real commands make of `branch` of `repo` at `root`. */
export async function makeTheirs(root: string, options: TheirOptions): Promise<void> {
  await prepareTheirs(root, options);
  await mkdir(join(root, 'boot/loader.0'), { recursive: true });
  await symlink('loader.0', join(root, 'boot/loader'));
  const { suite, env = {}, branch, loader } = options;
  if (loader === 'extlinux') {
    await writeFile(join(root, 'boot/loader/syslinux.cfg'), '');
    for (const { path, target } of EXTLINUX_LINKS) {
      await mkdir(dirname(join(root, path)));
      await symlink(target, join(root, path));
    }
  } else {
    await writeFile(join(root, 'boot/loader/uEnv.txt'), '');
  }
  await runTool('ostree', deployArgs(root, branch), { suite, env, asRoot: true });
}

/** The same without the deployment. */
export async function prepareTheirs(
  root: string,
  { suite, repo, branch, url, env = {}, remoteArgs = [] }: TheirOptions,
): Promise<void> {
  await mkdir(root);
  const ostree = (...args: string[]): Promise<unknown> =>
    runTool('ostree', args, { suite, env, asRoot: true });
  await ostree('admin', 'init-fs', root);
  await ostree('admin', 'os-init', OSNAME, `--sysroot=${root}`);
  const own = `--repo=${join(root, 'ostree/repo')}`;
  await ostree(own, 'remote', 'add', '--no-gpg-verify', ...remoteArgs, 'origin', url);
  await ostree(own, 'pull-local', '--remote=origin', repo, branch);
}

/** Arguments of `ostree` that deploy. */
export function deployArgs(root: string, branch: string): string[] {
  const kargs = KARGS.map((word) => `--karg=${word}`);
  return ['admin', 'deploy', `--sysroot=${root}`, `--os=${OSNAME}`, ...kargs, `origin:${branch}`];
}

/** What can be seen of a file, but for its names. */
export interface Seen {
  readonly kind: string;
  readonly owner: string;
  readonly mode: string;
  /** One of its names, and how many it has; of a directory nothing. */
  readonly links?: string;
  readonly content?: string;
  /** False when it is 0. */
  readonly dated: boolean;
  readonly xattrs: readonly string[];
}

function textOrDigest(bytes: Buffer): string {
  return bytes.length < 2000 && !bytes.includes(0)
    ? bytes.toString('utf8')
    : `${bytes.length} bytes, ${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Everything below `root` by path; `''` is the root itself. Names are text of latin1. */
export async function look(root: string): Promise<Map<string, Seen>> {
  const xattrs = await readXattrs(root);
  const seen = new Map<string, Seen>();
  const inodes = new Map<number, string>();
  const visit = async (path: string): Promise<void> => {
    const full = Buffer.from(path === '' ? root : `${root}/${path}`, 'latin1');
    const stat = await lstat(full);
    const kind = stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'symlink' : stat.isFile() ? 'file' : 'other'; // prettier-ignore
    const first = inodes.get(stat.ino) ?? path;
    inodes.set(stat.ino, first);
    const content =
      kind === 'symlink'
        ? await readlink(full)
        : kind === 'file'
          ? textOrDigest(await readFile(full))
          : undefined;
    seen.set(path, {
      kind,
      owner: `${stat.uid}:${stat.gid}`,
      mode: (stat.mode & 0o7777).toString(8),
      ...(kind === 'directory' ? {} : { links: `${stat.nlink} of ${first}` }),
      ...(content === undefined ? {} : { content }),
      dated: stat.mtimeMs !== 0,
      xattrs: xattrs.get(path) ?? [],
    });
    if (kind !== 'directory') return;
    for (const name of (await readdir(full, { encoding: 'latin1' })).sort()) {
      await visit(path === '' ? name : `${path}/${name}`);
    }
  };
  await visit('');
  return seen;
}

async function readXattrs(root: string): Promise<Map<string, string[]>> {
  const { stdout } = await runTool(
    'getfattr',
    ['--recursive', '--physical', '--no-dereference', '--dump', '--match=-', '--encoding=base64', '.'],
    { asRoot: true, cwd: root },
  );
  const found = new Map<string, string[]>();
  for (const block of Buffer.from(stdout, 'utf8').toString('latin1').split('\n\n')) {
    if (block.trim() === '') continue;
    const { path, xattrs } = decodeFattrBlock(block.trim().split('\n'));
    found.set(
      path === '.' ? '' : path,
      xattrs.map(({ name, value }) => `${name}=${Buffer.from(value).toString('hex')}`).sort(),
    );
  }
  return found;
}

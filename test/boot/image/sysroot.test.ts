/** The physical root of a device, beside the one that the real `ostree admin` commands make of the same commit. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Checksum } from '../../../src/core/checksum.ts';
import { utf8 } from '../../../src/core/bytes.ts';
import { describeReference, runTool } from '../../reference/tools.ts';
import { random, randomEntries } from '../../support/random-tree.ts';
import type { Entry, Seen } from './sysroots.ts';
import { commitEntries, isRoot, look, makeTheirs, ourSysroot, unpackOurs } from './sysroots.ts';

const URL = 'http://updates.example/ostree';
const MODULES = 'usr/lib/modules/6.1.0-test';

let directory: string;
let repo: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sysroot-'));
  repo = join(directory, 'repo');
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

const d = (path: string, mode = 0o755, more: Partial<Entry> = {}): Entry => ({
  path,
  type: 'directory',
  mode,
  ...more,
});
const f = (path: string, content: string, mode = 0o644, more: Partial<Entry> = {}): Entry => ({
  path,
  type: 'file',
  content: utf8(content),
  mode,
  ...more,
});
const l = (path: string, target: string, more: Partial<Entry> = {}): Entry => ({
  path,
  type: 'symlink',
  target,
  ...more,
});

// In a user namespace there is but one owner, and no capabilities can be given away.
const someone = isRoot ? { uid: 33, gid: 1234 } : {};
const xattr = (name: string, ...value: number[]) => ({ xattrs: [{ name, value: Uint8Array.from(value) }] });
const capability = isRoot
  ? xattr('security.capability', 1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
  : {};

/** What every commit needs to be deployed. */
const SKELETON: readonly Entry[] = [
  d(''),
  d('sysroot'),
  l('ostree', 'sysroot/ostree'),
  f('usr/lib/os-release', 'ID=demo\nPRETTY_NAME="Demo OS"\n'),
  f(`${MODULES}/vmlinuz`, 'kernel', 0o600),
  f('usr/etc/hostname', 'demo\n'),
];

const TREES: readonly { readonly name: string; readonly entries: readonly Entry[] }[] = [
  { name: 'the least that deploys', entries: SKELETON },
  {
    name: 'owners, modes, xattrs, links and empty files',
    entries: [
      ...SKELETON.filter(({ path }) => path !== ''),
      d('', 0o750, someone),
      d('var', 0o700),
      d('usr/bin', 0o755, xattr('user.note', 0, 255, 10)),
      f('usr/bin/sudo', 'suid', 0o4755, someone),
      f('usr/bin/ping', 'capable', 0o755, capability),
      f('usr/bin/same-1', 'same content', 0o755),
      f('usr/bin/same-2', 'same content', 0o755),
      f('usr/bin/other-mode', 'same content', 0o644),
      { path: 'usr/bin/hard', type: 'link', target: 'usr/bin/same-1' },
      f('usr/bin/noted', 'xattr', 0o755, xattr('user.z', 1, 2)),
      f('usr/bin/no-access', 'nothing', 0),
      f('usr/empty-1', ''),
      f('usr/empty-2', ''),
      f('usr/empty-noted', '', 0o640, { ...someone, ...xattr('user.note', 1) }),
      { path: 'usr/empty-hard', type: 'link', target: 'usr/empty-1' },
      l('usr/bin/sh', 'busybox'),
      l('usr/bin/ls', 'busybox'),
      l('usr/bin/theirs', 'busybox', someone),
      d('usr/sticky', 0o3777, someone),
      d(`usr/${'deep/'.repeat(30)}end`),
      f(`usr/${'n'.repeat(200)}/${'é'.repeat(120)}`, 'long'),
      // /etc is a copy: nothing of it is linked.
      d('usr/etc/secret', 0o700, { ...someone, ...xattr('user.note', 9) }),
      f('usr/etc/shadow', 'root:*', 0o600, someone),
      f('usr/etc/same-1', 'same in etc'),
      f('usr/etc/same-2', 'same in etc'),
      { path: 'usr/etc/hard', type: 'link', target: 'usr/etc/same-1' },
      f('usr/etc/empty', ''),
      f('usr/etc/noted', 'xattr', 0o644, xattr('user.z', 7)),
      l('usr/etc/mtab', '../proc/self/mounts', someone),
      f('usr/etc/.updated', 'never deployed'),
      f('var/.updated', 'never deployed'),
      f(`${MODULES}/initramfs.img`, 'initramfs', 0o640, someone),
      f(`${MODULES}/devicetree`, 'device tree'),
      f(`${MODULES}/.vmlinuz.hmac`, 'hmac'),
    ],
  },
  {
    name: 'content in /var, a directory of device trees, an empty initramfs',
    entries: [
      ...SKELETON,
      d('var', 0o711, someone),
      d('var/tmp', 0o700),
      d('var/lib', 0o750, someone),
      f('var/lib/state', 'state', 0o640, someone),
      f('var/lib/empty', ''),
      l('var/log', 'lib', someone),
      d('var/cache', 0o700, xattr('user.note', 3)),
      f(`${MODULES}/initramfs.img`, '', 0o600),
      d(`${MODULES}/dtb`, 0o751, { ...someone, ...xattr('user.note', 4) }),
      f(`${MODULES}/dtb/a.dtb`, 'a', 0o640, someone),
      f(`${MODULES}/dtb/same.dtb`, 'a', 0o640, someone),
      f(`${MODULES}/dtb/empty.dtb`, ''),
      f(`${MODULES}/dtb/noted.dtb`, 'n', 0o644, xattr('user.note', 5)),
      d(`${MODULES}/dtb/overlays`, 0o700),
      f(`${MODULES}/dtb/overlays/o.dtbo`, 'o'),
    ],
  },
  {
    name: 'content in /var of a system with tmpfiles.d',
    entries: [
      ...SKELETON,
      d('var/lib', 0o750),
      f('var/lib/state', 'state', 0o640),
      f('usr/lib/tmpfiles.d/x.conf', 'd /var/lib\n'),
    ],
  },
  ...[11, 12, 13].map((seed) => ({ name: `random tree ${seed}`, entries: randomTree(seed) })),
];

/** A random tree below /usr and another one below /usr/etc. */
function randomTree(seed: number): Entry[] {
  const below = (prefix: string, more: number): Entry[] =>
    randomEntries(seed + more, { decomposed: false, ...(isRoot ? {} : { owner: { uid: 0, gid: 0 } }) }).map(
      ({ path, linkname, xattrs, ...entry }) => ({
        ...entry,
        path: path === '' ? prefix : `${prefix}/${path}`,
        ...(linkname === undefined
          ? {}
          : { target: entry.type === 'link' ? `${prefix}/${linkname}` : linkname }),
        // libarchive keeps no xattr without a value.
        xattrs: Object.entries(xattrs)
          .filter(([, value]) => value !== '')
          .map(([name, value]) => ({ name, value: utf8(value) })),
      }),
    );
  return [
    ...SKELETON,
    ...below(random(seed)() < 0.5 ? 'usr/share/a' : 'opt', 0),
    ...below('usr/etc/b', 1000),
  ];
}

/** What differs, each with its reason. */
const ONLY_THEIRS = [
  // A lock of the commands themselves; the first command on the device makes it.
  /^ostree\/repo\/\.lock$/,
  // Of a system that is not deployed: nothing mounts or reads them (init-fs --modern leaves them out, too).
  /^(home|root)$/,
];

/** `seen` without what libostree does not define, or where ours is another on purpose. */
function comparable(path: string, { links, dated, content, ...seen }: Seen): object {
  const metadata = /^ostree\/repo\/objects\/.*\.(?:commit|commitmeta|dirtree|dirmeta)$/.test(path);
  return {
    path,
    ...seen,
    // 2025.2 leaves the order of two keys of a boot entry to a hash table; ours sorts them.
    content: path.endsWith('.conf') ? content?.split('\n').sort() : content,
    // `pull-local` links metadata to the repository it comes from, which a device does not have.
    links: metadata ? undefined : links,
    // The time of a symlink is when it was made; ours is 0 for all objects. Of metadata likewise.
    dated: metadata || seen.kind === 'symlink' ? undefined : dated,
  };
}

describeReference(
  'the physical root equals that of ostree admin',
  ['ostree', 'trixie:ostree', 'getfattr'],
  () => {
    let commits: Map<string, Checksum>;

    beforeAll(async () => {
      await runTool('ostree', ['init', `--repo=${repo}`, '--mode=archive']);
      commits = new Map();
      for (const [i, { name, entries }] of TREES.entries()) {
        const tar = entries.some(({ path }) => path === '') ? entries : [d(''), ...entries];
        commits.set(name, await commitEntries(repo, `tree/${i}`, tar, directory));
      }
    });

    describe.each(['bookworm', 'trixie'] as const)('%s', (suite) => {
      test.each(TREES.map(({ name }, i) => ({ name, i })))('$name', async ({ name, i }) => {
        const commit = commits.get(name) as Checksum;
        const branch = `tree/${i}`;
        const [real, made] = [join(directory, `theirs-${suite}-${i}`), join(directory, `ours-${suite}-${i}`)];
        await makeTheirs(real, { suite, repo, branch, url: URL });
        await unpackOurs(made, {
          suite,
          repo,
          commit,
          branch,
          remote: { name: 'origin', url: URL, publicKeys: [] },
        });
        const theirs = await look(real);
        const ours = await look(made);
        for (const path of theirs.keys()) {
          if (ONLY_THEIRS.some((pattern) => pattern.test(path))) theirs.delete(path);
        }
        expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort());
        const all = (seen: Map<string, Seen>): object[] =>
          [...seen].map(([path, node]) => comparable(path, node));
        expect(all(ours)).toEqual(all(theirs));
        await runTool('ostree', ['fsck', `--repo=${join(made, 'ostree/repo')}`], { suite, asRoot: true });
      });
    });

    // Only root may set the flag, and a file system in memory may not have it.
    test.runIf(isRoot)(
      'the immutable flag is on the directories that libostree makes immutable',
      async () => {
        const commit = commits.get(TREES[0]?.name ?? '') as Checksum;
        const real = join(directory, 'immutable');
        await makeTheirs(real, {
          suite: 'trixie',
          repo,
          branch: 'tree/0',
          url: URL,
          env: { OSTREE_SYSROOT_DEBUG: '' },
        });
        const immutable = execFileSync('lsattr', ['-R', '-a', real], {
          encoding: 'utf8',
          // It complains about each symlink.
          stdio: ['ignore', 'pipe', 'ignore'],
        })
          .split('\n')
          .filter((line) => /^\S*i\S* /.test(line))
          .map((line) => line.replace(/^\S+ +/, ''))
          .filter((path) => !path.endsWith('/.') && !path.endsWith('/..'));
        try {
          const { tree, immutable: ours } = await ourSysroot({
            suite: 'trixie',
            repo,
            commit,
            branch: 'tree/0',
          });
          const paths: string[] = [];
          const visit = (node: typeof tree.root, path: string): void => {
            if (ours.has(node)) paths.push(path);
            for (const [name, child] of node.entries) {
              if (child.kind === 'directory') visit(child, `${path}/${name}`);
            }
          };
          visit(tree.root, real);
          expect(immutable).toEqual(paths);
        } finally {
          if (immutable.length > 0) execFileSync('chattr', ['-i', ...immutable]);
        }
      },
    );

    test('what libostree does not deploy, or not as files, is refused', async () => {
      const cases: ['bookworm' | 'trixie', string, Entry[], string][] = [
        [
          'trixie',
          'etc only',
          [...SKELETON.filter(({ path }) => !path.startsWith('usr/etc')), f('etc/x', 'x')],
          'input/no-usr-etc',
        ],
        ['trixie', 'both', [...SKELETON, f('etc/x', 'x')], 'input/etc-and-usr-etc'],
        ['bookworm', 'empty etc', [...SKELETON, d('etc')], 'input/etc-and-usr-etc'],
        ['trixie', 'whiteout', [...SKELETON, f('usr/lib/.ostree-wh.gone', '')], 'input/whiteout'],
      ];
      for (const [i, [suite, name, entries, code]] of cases.entries()) {
        const branch = `refused/${i}`;
        const commit = await commitEntries(repo, branch, entries, directory);
        await expect(ourSysroot({ suite, repo, commit, branch }), name).rejects.toMatchObject({
          code,
        });
        const real = join(directory, `refused-${i}`);
        // A device node, which root of a user namespace cannot make.
        if (name === 'whiteout' && !isRoot) continue;
        const deployed = makeTheirs(real, { suite, repo, branch, url: URL });
        if (name === 'whiteout') {
          await deployed;
          const kinds = [...(await look(real))].filter(([path]) => path.endsWith('/gone'));
          expect(kinds.map(([, { kind }]) => kind)).toEqual(['other']);
        } else {
          await expect(deployed, name).rejects.toThrow(/etc/);
        }
      }
    });

    test('the tar is the same bytes each time', async () => {
      const commit = commits.get('random tree 11') as Checksum;
      const archives: Buffer[] = [];
      for (const name of ['one', 'two']) {
        const root = join(directory, name);
        await unpackOurs(root, { suite: 'trixie', repo, commit, branch: 'tree/4' });
        archives.push(await readFile(`${root}.tar`));
      }
      expect(archives[0]?.equals(archives[1] ?? Buffer.of())).toBe(true);
    });
  },
);

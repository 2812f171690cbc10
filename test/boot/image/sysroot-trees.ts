/** Trees to deploy, and the comparison of what two deployments of one tree have made. */
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Checksum } from '../../../src/core/checksum.ts';
import { utf8 } from '../../../src/core/bytes.ts';
import { runTool } from '../../reference/tools.ts';
import { random, randomEntries } from '../../support/random-tree.ts';
import type { Entry, Seen } from './sysroots.ts';
import { isRoot, look, makeTheirs, unpackOurs } from './sysroots.ts';

export const URL = 'http://updates.example/ostree';
const MODULES = 'usr/lib/modules/6.1.0-test';

export const d = (path: string, mode = 0o755, more: Partial<Entry> = {}): Entry => ({
  path,
  type: 'directory',
  mode,
  ...more,
});
export const f = (path: string, content: string, mode = 0o644, more: Partial<Entry> = {}): Entry => ({
  path,
  type: 'file',
  content: utf8(content),
  mode,
  ...more,
});
export const l = (path: string, target: string, more: Partial<Entry> = {}): Entry => ({
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
export const SKELETON: readonly Entry[] = [
  d(''),
  d('sysroot'),
  l('ostree', 'sysroot/ostree'),
  f('usr/lib/os-release', 'ID=demo\nPRETTY_NAME="Demo OS"\n'),
  f(`${MODULES}/vmlinuz`, 'kernel', 0o600),
  f('usr/etc/hostname', 'demo\n'),
];

export const TREES: readonly { readonly name: string; readonly entries: readonly Entry[] }[] = [
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
      f('usr/bin/no-access', 'nothing', isRoot ? 0 : 0o400),
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
  ...[11, 13].map((seed) => ({ name: `random tree ${seed}`, entries: randomTree(seed) })),
];

/** A random tree below /usr and another one below /usr/etc. */
export function randomTree(seed: number): Entry[] {
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

export interface Deployable {
  /** Folder for both roots, and what tells them from others there. */
  readonly directory: string;
  readonly name: string;
  readonly suite: 'bookworm' | 'trixie';
  readonly repo: string;
  readonly commit: Checksum;
  readonly branch: string;
}

/** Makes the physical root twice and compares everything that can be seen. */
export async function expectSameRoots({
  directory,
  name,
  suite,
  repo,
  commit,
  branch,
}: Deployable): Promise<void> {
  const [real, made] = [join(directory, `theirs-${suite}-${name}`), join(directory, `ours-${suite}-${name}`)];
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
  const all = (seen: Map<string, Seen>): object[] => [...seen].map(([path, node]) => comparable(path, node));
  expect(all(ours)).toEqual(all(theirs));
  await runTool('ostree', ['fsck', `--repo=${join(made, 'ostree/repo')}`], { suite, asRoot: true });
}

/**
 * A product that meta-updater's rules made so far switches to treewright: the branch goes on with the same parent and
 * the same layout, and the real `ostree admin upgrade` takes a device across and keeps what is the device's own.
 */
import {
  appendFile,
  cp,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { Checksum } from '../../src/core/checksum.ts';
import { noEvents } from '../../src/core/events.ts';
import { openStore } from '../../src/platform/store.ts';
import { assembleRelease } from '../../src/release/assemble.ts';
import { lookupPath, readCommit } from '../../src/repo/read.ts';
import { OSNAME, asRoot, makeTheirs } from '../boot/image/sysroots.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import type { StaticServer } from '../support/http-server.ts';
import { serveDirectory } from '../support/http-server.ts';
import { makeProject } from '../support/release.ts';
import { writeSmallRootfs } from '../support/small-rootfs.ts';

const BRANCH = 'verdin-imx8mm';
const KERNEL = '6.1.0-test';

/**
 * What image_types_ostree.bbclass of meta-updater does to a root filesystem of a busybox or sysvinit system, written
 * down as a script of our own; the kernel is put in place by its recipe ostree-kernel-initramfs.
 */
const RULES = `set -e
cd "$1"
find var -mindepth 1 -delete
mkdir sysroot && ln -s sysroot/ostree ostree && mkdir -p usr/rootdirs
# usrmerge is required there.
for d in bin sbin lib; do [ ! -d $d ] || { mkdir -p usr/$d && cp -a $d/. usr/$d/ && rm -r $d && ln -s usr/$d $d; }; done
mv etc usr/
mkdir -p usr/etc/init.d usr/etc/rcS.d usr/share/sota
printf '#!/bin/sh\\nmkdir -p /var/rootdirs; chmod 755 /var/rootdirs\\n' > usr/etc/init.d/tmpfiles.sh
ln -s ../init.d/tmpfiles.sh usr/etc/rcS.d/S20tmpfiles.sh
printf %s ${BRANCH} > usr/share/sota/branchname
rm -r home && ln -s var/rootdirs/home home
for d in opt mnt media srv; do
  rm -rf $d && ln -s var/rootdirs/$d $d
  echo "mkdir -p /var/rootdirs/$d; chmod 755 /var/rootdirs/$d" >> usr/etc/init.d/tmpfiles.sh
done
rm -r root && ln -s var/roothome root
rm -r usr/local && ln -s ../var/usrlocal usr/local
mkdir -p boot && rm -rf boot/*
cp "$2/Image" usr/lib/modules/${KERNEL}/vmlinuz
cp "$2/initramfs.img" usr/lib/modules/${KERNEL}/initramfs.img
echo 'base-files 3.0.14-r0' > usr/package.manifest
`;

const LINKS = ['home', 'opt', 'mnt', 'media', 'srv', 'root', 'usr/local', 'ostree'];

let scratch: string;
let theirs: string;
let head: Checksum;
let commits: Checksum[];
let server: StaticServer;
let www: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tw-switch-'));
  const builds = [];
  for (const release of [1, 2, 3])
    builds.push(
      (await writeSmallRootfs(join(scratch, `build-${release}`), { release, programs: 3 })).directory,
    );
  const [before = '', ...after] = builds;

  theirs = join(scratch, 'ostree_repo');
  const tree = join(scratch, 'ostree-rootfs');
  await mkdir(tree);
  await asRoot('tar', '-xf', join(before, 'rootfs.tar'), '-C', tree);
  await asRoot('sh', '-c', RULES, 'rules', tree, before);
  await runTool('ostree', ['init', `--repo=${theirs}`, '--mode=archive-z2']);
  const { stdout } = await runTool('ostree', [
    ...['commit', `--repo=${theirs}`, `--tree=dir=${tree}`, '--skip-if-unchanged', `--branch=${BRANCH}`],
    ...['--subject=Commit-id: image', '--body=', '--add-metadata-string=version=1.0'],
    ...['--owner-uid=0', '--owner-gid=0', '--timestamp=@1700000000'],
  ]);
  head = stdout.trim() as Checksum;
  await runTool('ostree', ['summary', '-u', `--repo=${theirs}`]);

  const project = await makeProject(scratch);
  commits = [];
  for (const [i, build] of after.entries()) {
    const file = join(scratch, `treewright-${i}.yaml`);
    await writeFile(
      file,
      `product: shop
machine: verdin-imx8mm
source: { rootfs: ${build}/rootfs.tar, kernel: ${build}/Image, initramfs: ${build}/initramfs.img }
ostree: { branch: ${BRANCH}, osname: ${OSNAME}, layout: meta-updater, continues: ${theirs} }
boot: { kargs: [root=LABEL=otaroot, rootfstype=ext4] }
signing: { keys: ${project.keys} }
output: ${project.output}
`,
    );
    const config = await loadConfig(file);
    const report = await assembleRelease({
      config,
      version: `${i + 2}.0`,
      events: noEvents,
      now: new Date(),
    });
    commits.push(report.commit);
    await cp(join(project.output, 'ostree'), join(scratch, `stage-${i}`), { recursive: true });
  }
  www = join(scratch, 'www');
  await mkdir(www);
  server = await serveDirectory(www);
});

afterAll(async () => {
  await server.close();
  await asRoot('rm', '-rf', scratch);
});

async function publish(repo: string): Promise<void> {
  await rm(join(www, 'ostree'), { force: true });
  await symlink(repo, join(www, 'ostree'));
}

/** Where each link of the top points to. */
async function linksOf(repo: string, commit: Checksum): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const path of LINKS) {
    const { stdout } = await runTool('ostree', ['ls', `--repo=${repo}`, commit, `/${path}`]);
    found[path] = stdout.replace(/^.*?\/(.*)$/, '$1').trim();
  }
  return found;
}

describeReference('a switch from meta-updater', ['ostree', 'trixie:ostree'], () => {
  test('the branch goes on: same parent, same links, same files of aktualizr', async () => {
    const repo = join(scratch, 'stage-1');
    const store = openStore(repo);
    const [first = head, second = head] = commits;
    expect((await readCommit(store, first)).parent).toBe(head);
    expect((await readCommit(store, second)).parent).toBe(first);
    expect(await linksOf(repo, first)).toEqual(await linksOf(theirs, head));
    for (const path of [
      'usr/share/sota/branchname',
      'usr/rootdirs',
      'usr/etc',
      `usr/lib/modules/${KERNEL}/vmlinuz`,
    ]) {
      const [ours, old] = [
        await lookupPath(store, first, path),
        await lookupPath(openStore(theirs), head, path),
      ];
      expect([path, ours?.kind]).toEqual([path, old?.kind]);
    }
    await runTool('ostree', ['fsck', `--repo=${repo}`]);
    const { stdout } = await runTool('ostree', ['log', `--repo=${repo}`, BRANCH]);
    expect([...stdout.matchAll(/^commit ([0-9a-f]{64})$/gm)].map(([, commit]) => commit)).toEqual([
      second,
      first,
      head,
    ]);
  });

  test.each(['bookworm', 'trixie'] as const)(
    'a device updates across it, and once more (%s)',
    async (suite) => {
      const root = join(scratch, `device-${suite}`);
      await publish(theirs);
      await makeTheirs(root, { suite, repo: theirs, branch: BRANCH, url: `${server.url}/ostree` });
      const place = (commit: Checksum): string => join(root, `ostree/deploy/${OSNAME}/deploy/${commit}.0`);
      const variable = join(root, `ostree/deploy/${OSNAME}/var`);
      await asRoot('chown', '-R', `${process.getuid?.() ?? 0}`, variable, join(place(head), 'etc'));
      await appendFile(join(place(head), 'etc/version'), 'edited\n');
      await mkdir(join(variable, 'rootdirs/home/user'), { recursive: true });
      await writeFile(join(variable, 'rootdirs/home/user/notes'), 'mine');

      for (const [i, commit] of commits.entries()) {
        await publish(join(scratch, `stage-${i}`));
        await runTool('ostree', ['admin', 'upgrade', `--sysroot=${root}`, `--os=${OSNAME}`], {
          suite,
          asRoot: true,
        });
        const { stdout } = await runTool('ostree', ['admin', 'status', `--sysroot=${root}`], {
          suite,
          asRoot: true,
        });
        expect(/^[* ] \S+ ([0-9a-f]{64})\.0/m.exec(stdout)?.[1]).toBe(commit);
        expect(await readFile(join(place(commit), 'etc/version'), 'utf8')).toBe('1\nedited\n');
        expect(await readlink(join(place(commit), 'home'))).toBe('var/rootdirs/home');
      }
      expect(await readFile(join(variable, 'rootdirs/home/user/notes'), 'utf8')).toBe('mine');
      expect(await readdir(join(root, 'boot/loader/entries'))).toHaveLength(2);
      await runTool('ostree', ['fsck', `--repo=${join(root, 'ostree/repo')}`], { suite, asRoot: true });
    },
  );
});

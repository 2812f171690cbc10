/** Our boot plan against what the real `ostree admin deploy` writes into a scratch sysroot. */
import { lstat, mkdir, mkdtemp, readFile, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { BootLoader } from '../../src/boot/extlinux.ts';
import { EXTLINUX_LINKS } from '../../src/boot/extlinux.ts';
import { renderBoot } from '../../src/boot/render.ts';
import type { BootPlan, EarlierDeployment } from '../../src/boot/plan.ts';
import { planBoot } from '../../src/boot/plan.ts';
import { parseChecksum } from '../../src/core/checksum.ts';
import type { Checksum } from '../../src/core/checksum.ts';
import { formatBlsEntry, parseBlsEntry } from '../../src/formats/bls.ts';
import { openStore } from '../../src/platform/store.ts';
import type { Suite } from '../reference/tools.ts';
import { describeReference, runTool } from '../reference/tools.ts';

/** Path → content; a leading `->` makes a symlink. */
type Tree = Readonly<Record<string, string>>;

const MODULES = 'usr/lib/modules/6.1.0-demo';

/** A tree that libostree deploys: the kernel beside its modules, os-release, /usr/etc. */
function tree(files: Tree): Tree {
  return {
    'usr/lib/os-release': 'NAME=Demo\nPRETTY_NAME="Demo OS"\n',
    'usr/etc/hostname': 'demo\n',
    [`${MODULES}/vmlinuz`]: 'kernel one',
    ostree: '-> sysroot/ostree',
    'sysroot/.keep': '',
    ...files,
  };
}

interface Release {
  readonly version?: string;
  readonly tree: Tree;
}

interface Scenario {
  readonly name: string;
  readonly kargs: readonly string[];
  /** Whether it is deployed with extlinux.conf, too. */
  readonly extlinux?: boolean;
  /** Deployed one after the other. */
  readonly releases: readonly Release[];
}

const initramfs = { [`${MODULES}/initramfs.img`]: 'initramfs one' };
const hmac = { [`${MODULES}/.vmlinuz.hmac`]: 'hmac' };
const devicetree = { [`${MODULES}/devicetree`]: 'device tree' };

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'initramfs and one device tree, then the same kernel, then changes that leave the boot loader alone',
    extlinux: true,
    kargs: ['root=LABEL=otaroot', 'console=ttyS0', 'console=tty1', 'dyndbg="file a.c +p"', 'quiet'],
    releases: [
      { version: '1.0', tree: tree({ ...initramfs, ...devicetree }) },
      { version: '2.0', tree: tree({ ...initramfs, ...devicetree, 'usr/share/new': 'x' }) },
      { version: '2.0', tree: tree({ ...initramfs, ...devicetree, 'usr/share/new': 'y' }) },
      // Both places of the list keep kernel, arguments and version: only the links change, the entries stay as they are.
      {
        version: '2.0',
        tree: tree({
          ...initramfs,
          ...devicetree,
          'usr/lib/os-release': 'PRETTY_NAME=Renamed\n',
          'usr/x': 'x',
        }),
      },
    ],
  },
  {
    name: 'a directory of device trees with subdirectories, then another kernel',
    kargs: [],
    releases: [
      {
        version: '1.0',
        tree: tree({
          ...initramfs,
          [`${MODULES}/dtb/b.dtb`]: 'b',
          [`${MODULES}/dtb/a-c.dtb`]: 'a-c',
          [`${MODULES}/dtb/a/x.dtb`]: 'a/x',
          [`${MODULES}/dtb/a/overlays/o.dtbo`]: 'o',
          [`${MODULES}/dtb/Z.dtb`]: 'Z',
          [`${MODULES}/dtb/ä.dtb`]: 'umlaut',
        }),
      },
      {
        version: '1.1',
        tree: tree({ ...initramfs, [`${MODULES}/vmlinuz`]: 'kernel two', [`${MODULES}/dtb/b.dtb`]: 'b2' }),
      },
    ],
  },
  {
    name: 'no initramfs, then no initramfs and another kernel release',
    extlinux: true,
    kargs: ['root=/dev/mmcblk0p2', 'init=/sbin/mine', 'rw'],
    releases: [
      { tree: tree({}) },
      {
        tree: {
          'usr/lib/os-release': 'ID=demo\n',
          'usr/etc/hostname': 'demo\n',
          'usr/lib/modules/6.6.1/vmlinuz': 'kernel 6.6',
          ostree: '-> sysroot/ostree',
          'sysroot/.keep': '',
        },
      },
    ],
  },
  {
    name: 'no initramfs, then one (which inherits init=), then none again',
    kargs: ['quiet'],
    releases: [
      { version: '1', tree: tree({}) },
      { version: '2', tree: tree({ ...initramfs }) },
      { version: '3', tree: tree({}) },
    ],
  },
  {
    name: 'uEnv.txt from the commit, quoted os-release with the version in it, a FIPS checksum',
    kargs: ['a=1', 'b', 'a=2'],
    releases: [
      {
        version: '1.0',
        tree: tree({
          ...initramfs,
          'usr/lib/os-release': 'ID=demo\nPRETTY_NAME=\'Demo "OS"\'" 1.0 \\$HOME"\n',
          'usr/lib/ostree-boot/uEnv.txt': 'overlays=one two\nextra=1\n',
          ...hmac,
        }),
      },
      {
        version: '1.0.1',
        tree: tree({
          ...initramfs,
          [`${MODULES}/vmlinuz`]: 'kernel two',
          'usr/lib/ostree-boot/uEnv.txt': 'overlays=three',
        }),
      },
      { version: '1.0.2', tree: tree({ ...initramfs, ...hmac, 'usr/lib/ostree-boot/uEnv.txt': '' }) },
    ],
  },
  {
    name: 'the same commit twice, os-release only in /usr/etc, initramfs without .img, a dtb directory beside a device tree',
    kargs: ['quiet'],
    releases: Array.from({ length: 2 }, () => ({
      version: '7',
      tree: {
        'usr/etc/os-release': 'PRETTY_NAME=Etc\nbroken="\n#PRETTY_NAME=no\n',
        [`${MODULES}/vmlinuz`]: 'kernel one',
        [`${MODULES}/initramfs`]: 'initramfs',
        [`${MODULES}/devicetree`]: 'one',
        [`${MODULES}/dtb/x.dtb`]: 'x',
        ostree: '-> sysroot/ostree',
        'sysroot/.keep': '',
      },
    })),
  },
];

const OSNAME = 'demo';
let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-boot-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function writeTree(directory: string, files: Tree): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    const at = join(directory, path);
    await mkdir(dirname(at), { recursive: true });
    if (content.startsWith('-> ')) await symlink(content.slice(3), at);
    else await writeFile(at, content);
  }
}

interface Device {
  readonly suite: Suite;
  readonly loader: BootLoader;
  readonly repo: string;
  readonly sysroot: string;
  ostree(...args: string[]): Promise<string>;
}

async function makeDevice(suite: Suite, name: string, loader: BootLoader = 'u-boot'): Promise<Device> {
  const root = join(scratch, `${suite}-${name}-${loader}`);
  const [repo, sysroot] = [join(root, 'repo'), join(root, 'sysroot')];
  await mkdir(sysroot, { recursive: true });
  const ostree = async (...args: string[]): Promise<string> => {
    // Without this deployments get the immutable flag, and the scratch directory could not be removed.
    const env = { OSTREE_SYSROOT_DEBUG: 'mutable-deployments' };
    return (await runTool('ostree', args, { suite, env, asRoot: true })).stdout;
  };
  await ostree(`--repo=${repo}`, 'init', '--mode=archive');
  await ostree('admin', `--sysroot=${sysroot}`, 'init-fs', sysroot);
  await ostree('admin', `--sysroot=${sysroot}`, 'os-init', OSNAME);
  await mkdir(join(sysroot, 'boot/loader.0'));
  await symlink('loader.0', join(sysroot, 'boot/loader'));
  await writeFile(join(sysroot, 'boot/loader/uEnv.txt'), '');
  if (loader === 'extlinux') {
    // With both files there, libostree keeps this one and lets go of the other.
    await writeFile(join(sysroot, 'boot/loader/syslinux.cfg'), '');
    for (const { path, target } of EXTLINUX_LINKS) {
      await mkdir(dirname(join(sysroot, path)));
      await symlink(target, join(sysroot, path));
    }
  }
  return { suite, loader, repo, sysroot, ostree };
}

async function commitRelease(device: Device, directory: string, release: Release): Promise<Checksum> {
  await writeTree(directory, release.tree);
  const version = release.version === undefined ? [] : [`--add-metadata-string=version=${release.version}`];
  const stdout = await device.ostree(
    `--repo=${device.repo}`, 'commit', '--branch=demo/main', `--tree=dir=${directory}`, '--owner-uid=0', '--owner-gid=0',
    '--timestamp=@1700000000', ...version,
  ); // prettier-ignore
  const commit = parseChecksum(stdout.trim());
  await device.ostree(
    `--repo=${join(device.sysroot, 'ostree/repo')}`,
    'pull-local',
    device.repo,
    'demo/main',
  );
  return commit;
}

/** Everything below a directory: path → type, and target of a link or content of a file. */
async function snapshot(
  root: string,
  below: string,
  into = new Map<string, string>(),
): Promise<Map<string, string>> {
  for (const name of await readdir(join(root, below))) {
    const path = `${below}/${name}`;
    const stat = await lstat(join(root, path));
    if (stat.isSymbolicLink()) into.set(path, `link to ${await readlink(join(root, path))}`);
    else if (stat.isDirectory()) await snapshot(root, path, into.set(path, 'directory'));
    else into.set(path, `file ${(await readFile(join(root, path))).toString('base64')}`);
  }
  return into;
}

/** libostree leaves the order of keys it does not know to a hash table; ours sorts them. Everything else stays as it is. */
function withSortedTail(entry: string): string {
  return formatBlsEntry(parseBlsEntry(entry));
}

async function expectSame(device: Device, plan: BootPlan, trees: ReadonlyMap<Checksum, Tree>): Promise<void> {
  const boot = await snapshot(device.sysroot, 'boot');
  const loader = `boot/loader.${plan.bootVersion}`;
  const rendered = await renderBoot(plan);
  const expected = new Map<string, string>([[loader, 'directory'], [`${loader}/entries`, 'directory']]); // prettier-ignore
  const base64 = (bytes: Uint8Array | string): string => `file ${Buffer.from(bytes).toString('base64')}`;
  const [file, ours, text] =
    device.loader === 'u-boot'
      ? ['uEnv.txt', 'uEnv.txt', plan.uEnv]
      : ['syslinux.cfg', 'extlinux.conf', plan.extlinux];
  expected.set(`${loader}/${file}`, base64(rendered.get(ours) ?? 'absent'));
  expect((await readFile(join(device.sysroot, loader, file))).toString()).toBe(text);
  if (device.loader === 'extlinux') {
    for (const { path } of EXTLINUX_LINKS) {
      expected.set(dirname(path), 'directory');
      expect((await readFile(join(device.sysroot, path))).toString()).toBe(text);
    }
    expect(text?.match(/\(ostree:\d\)$/gm)).toEqual([
      '(ostree:0)',
      ...plan.deployments.map((_, i) => `(ostree:${i})`),
    ]);
  }
  for (const { fileName, text } of plan.entries) {
    const path = `${loader}/entries/${fileName}`;
    const theirs = (await readFile(join(device.sysroot, path))).toString();
    if (device.suite === 'bookworm') expect(text).toBe(theirs);
    expect(text).toBe(withSortedTail(theirs));
    expect(rendered.get(`loader/entries/${fileName}`)).toEqual(new TextEncoder().encode(text));
    expected.set(path, base64(theirs));
  }
  expected.set('boot/ostree', 'directory');
  const directoryOf = new Map(plan.deployments.map((each) => [each.bootDirectory, each]));
  for (const file of plan.bootFiles) {
    if (file.kind === 'directory') expected.set(file.path, 'directory');
    else {
      const owner = [...directoryOf].find(([directory]) => file.path.startsWith(`${directory}/`))?.[1];
      const content = owner === undefined ? undefined : trees.get(owner.commit)?.[file.source];
      expect(content, file.source).toBeDefined();
      expect(file.size).toBe(Buffer.byteLength(content ?? ''));
      expected.set(file.path, base64(content ?? ''));
    }
  }
  const farm = `ostree/boot.${plan.bootVersion}.${plan.subBootVersion}`;
  const theirLinks = await snapshot(device.sysroot, farm);
  const links = new Map([...boot, ...theirLinks].filter(([, what]) => what.startsWith('link')));
  for (const name of await readdir(join(device.sysroot, 'ostree'))) {
    if (/^boot\.[01]$/.test(name)) {
      links.set(`ostree/${name}`, `link to ${await readlink(join(device.sysroot, 'ostree', name))}`);
    }
  }
  for (const { path, target } of plan.links) {
    expect(links.get(path), path).toBe(`link to ${target}`);
    if (path.startsWith('boot/')) expected.set(path, `link to ${target}`);
    links.delete(path);
  }
  expect([...links.keys()].filter((path) => path.startsWith('ostree/'))).toEqual([]);
  expect(new Map([...boot].sort())).toEqual(new Map([...expected].sort()));
  for (const { directory } of plan.deployments) {
    expect((await lstat(join(device.sysroot, directory))).isDirectory()).toBe(true);
  }
}

const VERSIONS: readonly (readonly [Suite, string])[] = [
  ['bookworm', '2022.7'],
  ['trixie', '2025.2'],
];

for (const [suite, libostree] of VERSIONS) {
  describeReference(`boot plan against ostree ${libostree}`, [`${suite}:ostree`], () => {
    const both = SCENARIOS.flatMap((scenario, i) => [
      { ...scenario, i, loader: 'u-boot' as const },
      ...(scenario.extlinux === true ? [{ ...scenario, i, loader: 'extlinux' as const }] : []),
    ]);
    test.each(both)(
      '$loader: $name: configuration, entries, boot checksum, files and links are those of admin deploy',
      async ({ kargs, releases, i, loader }) => {
        const device = await makeDevice(suite, String(i), loader);
        const store = openStore(device.repo);
        const trees = new Map<Checksum, Tree>();
        let previous: EarlierDeployment | undefined;
        for (const [n, release] of releases.entries()) {
          const commit = await commitRelease(device, join(device.repo, `../tree${n}`), release);
          trees.set(commit, release.tree);
          const args = n === 0 ? kargs.map((karg) => `--karg-append=${karg}`) : [];
          await device.ostree(
            'admin',
            `--sysroot=${device.sysroot}`,
            'deploy',
            `--os=${OSNAME}`,
            ...args,
            commit,
          );
          const plan = await planBoot(store, commit, {
            osname: OSNAME,
            kargs,
            libostree,
            loader,
            arch: 'aarch64',
            ...(previous === undefined ? {} : { previous }),
          });
          await expectSame(device, plan, trees);
          previous = { commit, ...(previous === undefined ? {} : { previous }) };
        }
      },
    );

    test('a symlink among the device trees, which we refuse, breaks the second deployment', async () => {
      const device = await makeDevice(suite, 'symlink');
      const store = openStore(device.repo);
      const files = { [`${MODULES}/dtb/b.dtb`]: 'b', [`${MODULES}/dtb/alias.dtb`]: '-> b.dtb' };
      const deployed: unknown[] = [];
      for (const version of ['1', '2']) {
        const release = { version, tree: tree({ ...initramfs, ...files }) };
        const commit = await commitRelease(device, join(device.repo, `../tree${version}`), release);
        const deployment = device.ostree(
          'admin',
          `--sysroot=${device.sysroot}`,
          'deploy',
          `--os=${OSNAME}`,
          commit,
        );
        deployed.push(
          await deployment.then(
            () => 'done',
            (error: unknown) => String(error),
          ),
        );
        await expect(planBoot(store, commit, { osname: OSNAME, kargs: [] })).rejects.toMatchObject({
          code: 'input/device-tree-symlink',
        });
      }
      expect(deployed).toEqual(['done', expect.stringContaining('alias.dtb: symlinkat: File exists')]);
    });
  });
}

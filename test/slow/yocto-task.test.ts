/**
 * do_treewright without BitBake: deploy directories in the naming of three releases, no network, an empty environment,
 * and a PATH of the host tools that BitBake links.
 */
import { execa } from 'execa';
import { createHash } from 'node:crypto';
import { cp, lstat, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStore } from '../../src/platform/store.ts';
import { verifyRelease } from '../../src/release/verify.ts';
import { lookupPath, readCommit, readContent, readRef } from '../../src/repo/read.ts';
import { metadataString } from '../../src/repo/refs.ts';
import { noEvents } from '../../src/core/events.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import type { TaskResult, YoctoRelease } from '../support/bitbake-task.ts';
import { makeHostTools, runTask, testdataPath } from '../support/bitbake-task.ts';
import { programOutput } from '../support/program-output.ts';
import { PROJECT } from '../support/project.ts';
import { writeSmallRootfs } from '../support/small-rootfs.ts';

const IMAGE = 'shim-image';
const MACHINE = 'shimarm64';
const RELEASES: readonly YoctoRelease[] = ['kirkstone', 'scarthgap', 'wrynose'];

/** As treewright-kernel.bbclass has the kernel deploy it. */
const KERNEL_SOURCE = 'treewright-kernel-source.json';
const LINUX = { uri: 'https://git.example/linux.git', revision: 'b'.repeat(40) };

let scratch: string;
let bundle: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tw-task-'));
  // One file for the tool, as the bundle is, in front of the program that the other tests have built.
  bundle = join(scratch, 'treewright.mjs');
  await writeFile(bundle, `import ${JSON.stringify(join(PROJECT, 'dist/cli/main.js'))};\n`);
  await writeFile(`${bundle}.sha256`, `${await sha256(bundle)}  treewright.mjs\n`);
  for (const release of RELEASES) await makeHostTools(join(scratch, `hosttools-${release}`), release);
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function sha256(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

interface Build {
  readonly release: YoctoRelease;
  readonly topdir: string;
  readonly deploy: string;
}

/** Puts image `n` into the deploy directory as do_image_complete does: what was there of the image before is gone. */
async function deployImage({ release, deploy, topdir }: Build, n: number): Promise<string> {
  const stamp = `2026112212090${n}`;
  await rm(deploy, { recursive: true, force: true });
  await mkdir(deploy, { recursive: true });
  const rootfs = await writeSmallRootfs(join(topdir, `rootfs-${n}`), { release: n, programs: 3 });
  const [stem, link, data] =
    release === 'kirkstone'
      ? [`${IMAGE}-${MACHINE}-${stamp}.rootfs`, `${IMAGE}-${MACHINE}`, `${IMAGE}-${MACHINE}-${stamp}`]
      : [
          `${IMAGE}-${MACHINE}.rootfs-${stamp}`,
          `${IMAGE}-${MACHINE}.rootfs`,
          `${IMAGE}-${MACHINE}.rootfs-${stamp}`,
        ];
  const tar = await readFile(join(rootfs.directory, 'rootfs.tar'));
  const put = async (name: string, as: string, content: Uint8Array | string): Promise<void> => {
    await writeFile(join(deploy, name), content);
    if (as !== name) await symlink(name, join(deploy, as));
  };
  await put(`${stem}.tar.zst`, `${link}.tar.zst`, await programOutput('zstd', ['-c'], tar));
  await put(`${stem}.manifest`, `${link}.manifest`, `base-files ${MACHINE} 3.0.14-r0\n`);
  await put(KERNEL_SOURCE, KERNEL_SOURCE, JSON.stringify({ version: '6.1.0', sources: [LINUX] }));
  await put(`${data}.testdata.json`, `${link}.testdata.json`, await readFile(testdataPath(release)));
  const kernel = `Image--6.1.0-r0-${MACHINE}-${stamp}.bin`;
  await rename(join(rootfs.directory, 'Image'), join(deploy, kernel));
  await symlink(kernel, join(deploy, 'Image'));
  await symlink(kernel, join(deploy, `Image-${MACHINE}.bin`));
  await rename(join(rootfs.directory, 'board.dtb'), join(deploy, 'board.dtb'));
  await symlink('board.dtb', join(deploy, `board-${MACHINE}.dtb`));
  const initramfs = `small-initramfs-${MACHINE}-${stamp}.cpio.gz`;
  await rename(join(rootfs.directory, 'initramfs.img'), join(deploy, initramfs));
  await symlink(initramfs, join(deploy, `small-initramfs-${MACHINE}.cpio.gz`));
  return stamp;
}

function makeBuild(release: YoctoRelease, name: string = release): Build {
  const topdir = join(scratch, name);
  const deploy = join(topdir, 'tmp/deploy/images', MACHINE);
  return { release, topdir, deploy };
}

function variables({ topdir, deploy }: Build, set: Readonly<Record<string, string>>): Record<string, string> {
  return {
    TOPDIR: topdir,
    WORKDIR: join(topdir, 'tmp/work', IMAGE),
    DEPLOY_DIR_IMAGE: deploy,
    TREEWRIGHT_BUNDLE: bundle,
    TREEWRIGHT_PRODUCT: 'shim',
    ...set,
  };
}

const run = (build: Build, set: Readonly<Record<string, string>> = {}): Promise<TaskResult> =>
  runTask({
    release: build.release,
    task: 'do_treewright',
    hostTools: join(scratch, `hosttools-${build.release}`),
    set: variables(build, set),
  });

const levels = ({ told }: TaskResult, level: string): string[] =>
  told.filter(([found]) => found === level).map(([, text]) => text);

describe.each(RELEASES)('the task in a build of %s', (release) => {
  test('makes a release, and the next one on top of it', async () => {
    const build = makeBuild(release);
    await deployImage(build, 1);
    const first = await run(build, { IMAGE_VERSION_SUFFIX: '-20261122120901' });
    expect(levels(first, 'fatal')).toEqual([]);
    expect(first.failed).toBe(false);
    expect(levels(first, 'warn').filter((text) => text.startsWith('new keys were made'))).toHaveLength(1);
    expect(levels(first, 'plain')).toEqual([
      expect.stringMatching(/^treewright: shim nodistro\.0-20261122120901 for shimarm64: commit [0-9a-f]{64} on shim\/shimarm64\/stable, (\d+) of \1 objects new, in /),
    ]); // prettier-ignore

    // What the build deploys next takes the place of the image before; the release directory is not in the way.
    await deployImage(build, 2);
    const second = await run(build, { IMAGE_VERSION_SUFFIX: '-20261122120902' });
    expect(second.failed).toBe(false);
    const [, written, total] = /(\d+) of (\d+) objects new/.exec(levels(second, 'plain')[0] ?? '') ?? [];
    expect(Number(written)).toBeGreaterThan(0);
    expect(Number(written)).toBeLessThan(Number(total) / 2);

    const output = join(build.topdir, 'treewright/shim-image-shimarm64');
    const verified = await verifyRelease({
      location: output,
      root: join(build.topdir, 'treewright/keys/root.json'),
      events: noEvents,
      now: new Date(),
    });
    expect(verified.releases.map(({ version }) => version)).toEqual([
      'nodistro.0-20261122120901',
      'nodistro.0-20261122120902',
    ]);
    // Not the constant that BitBake exports as SOURCE_DATE_EPOCH.
    const store = openStore(join(output, 'ostree'));
    const head = await readRef(store, 'shim/shimarm64/stable');
    if (head === undefined) throw new Error('there is no branch');
    const { timestamp, metadata } = await readCommit(store, head);
    expect(timestamp).toBeGreaterThan(1_700_000_000);
    expect(metadataString(metadata, 'yocto.layers')).toBe(`meta:${'0'.repeat(40)}`);
    expect(metadataString(metadata, 'treewright.kernel-source')).toBe(`${LINUX.uri}@${LINUX.revision}`);
    const manifest = JSON.parse(
      await readFile(join(output, 'releases/nodistro.0-20261122120902/release.json'), 'utf8'),
    ) as object;
    expect(manifest).toMatchObject({
      source: {
        kernelSource: { version: '6.1.0', sources: [LINUX] },
        layers: [{ name: 'meta', branch: 'scarthgap', revision: '0'.repeat(40) }],
      },
      sizeDifference: { path: 'size-difference.json' },
    });
  });
});

describe('errors are one line that says what to do', () => {
  let build: Build;
  beforeAll(async () => {
    build = makeBuild('scarthgap', 'errors');
    await deployImage(build, 1);
  });

  const fatal = async (set: Record<string, string>, hostTools?: string): Promise<string> => {
    const result = await runTask({
      release: 'scarthgap',
      task: 'do_treewright',
      hostTools: hostTools ?? join(scratch, 'hosttools-scarthgap'),
      set: variables(build, set),
    });
    expect(result.failed).toBe(true);
    const [line, ...more] = levels(result, 'fatal');
    expect(more).toEqual([]);
    return line ?? '';
  };

  test('no node', async () => {
    const tools = join(scratch, 'without-node');
    await makeHostTools(tools, 'scarthgap', ['node']);
    expect(await fatal({}, tools)).toMatch(/needs Node 20\.19 or newer, and there is no node: install it/);
  });

  test('a node that is too old', async () => {
    const tools = join(scratch, 'old-node');
    await makeHostTools(tools, 'scarthgap', ['node']);
    await writeFile(join(tools, 'node'), '#!/bin/sh\necho v18.19.1\n', { mode: 0o755 });
    expect(await fatal({}, tools)).toMatch(/needs Node 20\.19 or newer, and .*old-node\/node is v18\.19\.1/);
  });

  test('a tool with another checksum', async () => {
    const line = await fatal({ TREEWRIGHT_BUNDLE_SHA256: '0'.repeat(64) });
    expect(line).toContain(`expected sha256 ${'0'.repeat(64)}, found ${await sha256(bundle)}`);
  });

  test('a place of node that there is not', async () => {
    expect(await fatal({ TREEWRIGHT_NODE: 'hots' })).toBe(
      'TREEWRIGHT_NODE is "hots"; expected "host" or "native"',
    );
  });

  test('no tool', async () => {
    expect(await fatal({ TREEWRIGHT_BUNDLE: '/nowhere/treewright.mjs' })).toContain('npm run bundle');
  });

  test('no keys, and none may be made', async () => {
    const line = await fatal({ TREEWRIGHT_MAKE_KEYS: '0', TREEWRIGHT_KEYS: join(scratch, 'no-keys') });
    expect(line).toContain('treewright init');
  });

  test("what the tool refuses, with the tool's code and hint", async () => {
    const line = await fatal({ IMAGE_LINK_NAME: 'other-image-shimarm64.rootfs' });
    expect(line).toMatch(
      /^treewright release: .* has no image other-image-shimarm64; .* \[input\/no-such-image\]/,
    );
  });

  test('a configuration that the variables make impossible', async () => {
    expect(await fatal({ TREEWRIGHT_BRANCH: 'not a branch' })).toMatch(/\[config\/invalid\]/);
  });

  test('with TREEWRIGHT_STRICT a warning publishes nothing', async () => {
    const output = join(scratch, 'strict');
    const unusual = { TREEWRIGHT_BOOTLOADER: 'none', TREEWRIGHT_ROLLBACK_ATTEMPTS: '2' };
    const line = await fatal({ ...unusual, TREEWRIGHT_STRICT: '1', TREEWRIGHT_OUTPUT: output });
    expect(line).toMatch(/loader: none.*\[config\/[\w-]+\]/);
    expect(await readRef(openStore(join(output, 'ostree')), 'shim/shimarm64/stable')).toBeUndefined();
  });
});

test('two images at once share keys, and each has its release', async () => {
  const build = makeBuild('wrynose', 'both');
  await deployImage(build, 1);
  for (const suffix of ['.rootfs.tar.zst', '.rootfs.manifest', '.rootfs.testdata.json']) {
    await cp(
      join(build.deploy, `${IMAGE}-${MACHINE}${suffix}`),
      join(build.deploy, `second-${MACHINE}${suffix}`),
    );
  }
  const second = { IMAGE_BASENAME: 'second', IMAGE_LINK_NAME: `second-${MACHINE}.rootfs`, PN: 'second' };
  const work = { WORKDIR: join(build.topdir, 'tmp/work/second') };
  const results = await Promise.all([run(build), run(build, { ...second, ...work })]);
  expect(results.map((result) => levels(result, 'fatal'))).toEqual([[], []]);
  const made = results
    .flatMap((result) => levels(result, 'warn'))
    .filter((text) => text.includes('keys were made'));
  expect(made).toHaveLength(1);
  for (const name of ['shim-image', 'second']) {
    const location = join(build.topdir, `treewright/${name}-${MACHINE}`);
    const { releases } = await verifyRelease({ location, events: noEvents, now: new Date() });
    expect([basename(location), releases.length]).toEqual([`${name}-${MACHINE}`, 1]);
  }
});

test('a configuration of its own is taken, and what a variable says goes before it', async () => {
  const build = makeBuild('scarthgap', 'own-config');
  await deployImage(build, 1);
  const file = join(build.topdir, 'treewright.yaml');
  await writeFile(
    file,
    'product: own\nmachine: board\nsource: { yocto: ./nowhere }\nostree: { branch: own/beta, osname: own }\n',
  );
  const set = { TREEWRIGHT_CONFIG: file, TREEWRIGHT_PRODUCT: '', TREEWRIGHT_BRANCH: 'own/stable' };
  const result = await run(build, { ...set, TREEWRIGHT_KARGS: 'quiet console=ttyS0' });
  expect(levels(result, 'fatal')).toEqual([]);
  expect(levels(result, 'plain')[0]).toMatch(
    /^treewright: own \S+ for board: commit [0-9a-f]{64} on own\/stable, /,
  );
});

test('TREEWRIGHT_IMAGES makes the image of a new device beside the releases', async () => {
  const build = makeBuild('scarthgap', 'images');
  await deployImage(build, 1);
  const result = await run(build, { TREEWRIGHT_IMAGES: 'ext4', TREEWRIGHT_ROOT: 'LABEL=root' });
  expect(levels(result, 'fatal')).toEqual([]);
  const image = join(build.topdir, 'treewright/shim-image-shimarm64.images/shim-image-shimarm64.ext4');
  expect(levels(result, 'plain')[1]).toBe(`treewright: ${image}`);
  expect((await execa('file', ['-b', image])).stdout).toContain('ext4 filesystem');
});

describe('TREEWRIGHT_WKS has wic make a disk around the file system of the release', () => {
  let build: Build;
  let tools: string;
  beforeAll(async () => {
    build = makeBuild('scarthgap', 'wic');
    await deployImage(build, 1);
    tools = join(scratch, 'with-wic');
    await makeHostTools(tools, 'scarthgap');
    // In the place of wic, which no package has: the kickstart file is the disk, after what wic wants is there.
    const script = `test "$1 $3 $5 $7" = 'create --vars -e -o' && grep -q '^IMAGE_ROOTFS="/' "$4/$6.env" || exit 3
grep -q nothing-there "$2" && { echo 'ERROR: no file nothing-there'; exit 1; }
mkdir "$8" && cp "$2" "$8/$(basename "$2" .wks)-202611221209-sda.direct"
`;
    await writeFile(join(tools, 'wic'), `#!/bin/sh\n${script}`, { mode: 0o755 });
  });

  const wic = (kickstart: string): Promise<TaskResult> =>
    runTask({
      release: 'scarthgap',
      task: 'do_treewright_wic',
      hostTools: tools,
      set: variables(build, { TREEWRIGHT_WKS: kickstart, WICVARS: 'MACHINE IMAGE_ROOTFS UNSET' }),
      print: ["d.getVarFlag('do_treewright_wic', 'added')"],
    });

  test('by the name of the file in this layer', async () => {
    const set = { TREEWRIGHT_WKS: 'treewright-root.wks.in', TREEWRIGHT_ROOT: 'LABEL=root' };
    expect(levels(await run(build, set), 'fatal')).toEqual([]);
    const made = await wic('treewright-root.wks.in');
    const folder = join(build.topdir, 'treewright/shim-image-shimarm64.images');
    const disk = join(folder, 'shim-image-shimarm64.wic');
    expect(made.told).toContainEqual(['plain', `treewright: ${disk}`]);
    expect(made.values).toEqual(['do_treewright do_build']);
    const [, file] = /^part \/ .*"file=(.*?)"/m.exec(await readFile(disk, 'utf8')) ?? [];
    expect(file).toBe(join(folder, 'shim-image-shimarm64.ext4'));
    expect((await lstat(file ?? '')).isFile()).toBe(true);
  });

  test.each([
    ['nowhere.wks', '', /there is no kickstart file nowhere\.wks: .*files\/wic$/],
    [
      'unset.wks',
      'part / --source rawcopy --sourceparams="file=${UNSET}"\n',
      /unset\.wks refers to \$\{UNSET\}, which is not set/,
    ],
    [
      'refused.wks',
      'part / --source rawcopy --sourceparams="file=nothing-there"\n',
      /^wic with \S+: ERROR: no file nothing-there; see \S+wic\.log$/,
    ],
  ])('what is wrong with %s is one line', async (name, text, message) => {
    const path = text === '' ? name : join(build.topdir, name);
    if (text !== '') await writeFile(path, text);
    const result = await wic(path);
    expect(result.failed).toBe(true);
    expect(levels(result, 'fatal')).toEqual([expect.stringMatching(message)]);
  });
});

/** What do_rootfs and the image task do under pseudo: owners, a device and a capability that the file system has not. */
const UNDER_PSEUDO = `set -e
mkdir rootfs
tar -xf "$1" -C rootfs
chown 1234:42 rootfs/etc/version
mknod rootfs/usr/lib/console c 5 1
python3 -I -S -c 'import os
os.setxattr("rootfs/usr/bin/program0", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))'
$2 --sort=name --format=posix --numeric-owner -cf image.tar -C rootfs .
`;

describeReference('an image that was made under pseudo', ['pseudo'], () => {
  test('owners and capabilities are those of the archive; the file system has others', async () => {
    const build = makeBuild('scarthgap', 'pseudo');
    await deployImage(build, 1);
    const work = join(build.topdir, 'work');
    await mkdir(join(work, 'state'), { recursive: true });
    const { values } = await runTask({ release: 'scarthgap', print: ["d.getVar('IMAGE_CMD_TAR')"] });
    const archive = join(build.topdir, 'rootfs-1/rootfs.tar');
    await runTool('pseudo', ['sh', '-c', UNDER_PSEUDO, 'image', archive, String(values[0])], {
      suite: 'pseudo',
      cwd: work,
      env: { PSEUDO_LOCALSTATEDIR: join(work, 'state') },
    });
    expect((await lstat(join(work, 'rootfs/etc/version'))).uid).toBe(process.getuid?.());
    expect((await lstat(join(work, 'rootfs/usr/lib/console'))).isFile()).toBe(true);
    const image = await programOutput('zstd', ['-c'], await readFile(join(work, 'image.tar')));
    await writeFile(join(build.deploy, `${IMAGE}-${MACHINE}.rootfs.tar.zst`), image);

    const result = await run(build);
    expect(levels(result, 'fatal')).toEqual([]);
    expect(levels(result, 'warn').filter((text) => text.includes('[input/special-files]'))).toHaveLength(1);
    const store = openStore(join(build.topdir, 'treewright/shim-image-shimarm64/ostree'));
    const head = await readRef(store, 'shim/shimarm64/stable');
    if (head === undefined) throw new Error('there is no branch');
    const stat = async (path: string) => {
      const entry = await lookupPath(store, head, path);
      if (entry?.kind !== 'file') throw new Error(`${path} is no file`);
      return (await readContent(store, entry.checksum)).stat;
    };
    expect(await stat('usr/etc/version')).toMatchObject({ uid: 1234, gid: 42 });
    expect(await stat('usr/etc/passwd')).toMatchObject({ uid: 0, gid: 0 });
    const { xattrs } = await stat('usr/bin/program0');
    expect(xattrs.map(({ name, value }) => [name, Buffer.from(value).toString('hex')])).toEqual([
      ['security.capability', '0100000200200000000000000000000000000000'],
    ]);
  });
});

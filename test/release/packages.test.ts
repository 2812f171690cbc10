/** What a release tells about packages and sizes, and how two of them are compared. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { noEvents } from '../../src/core/events.ts';
import { openStore } from '../../src/platform/store.ts';
import { assembleRelease } from '../../src/release/assemble.ts';
import { diffReleases } from '../../src/release/diff.ts';
import type { PackageDocument } from '../../src/release/packages.ts';
import type { ReleaseReport } from '../../src/release/publish-content.ts';
import { rollbackRelease } from '../../src/release/rollback.ts';
import type { SizeDifference } from '../../src/release/size-difference.ts';
import { verifyRelease } from '../../src/release/verify.ts';
import { readCommit } from '../../src/repo/read.ts';
import { metadataString } from '../../src/repo/refs.ts';
import type { Member } from '../sources/archives.ts';
import { arm64Image, rootfsTar, writeFiles } from '../sources/builds.ts';
import type { TestProject } from '../support/release.ts';
import { makeProject, treewright } from '../support/release.ts';

interface Installed {
  readonly version: string;
  readonly files: Readonly<Record<string, number>>;
}

const ONE: Readonly<Record<string, Installed>> = {
  busybox: { version: '1.36.1', files: { 'usr/bin/tar': 1000, 'usr/share/udhcpc/default.script': 300 } },
  zlib: { version: '1.3.1', files: { 'usr/lib/libz.so.1.3.1': 5000 } },
  lzo: { version: '2.10', files: { 'usr/lib/liblzo2.so.2': 700 } },
  same: { version: '1', files: { 'usr/share/same': 10 } },
};
const TWO: Readonly<Record<string, Installed>> = {
  busybox: { version: '1.37.0', files: { 'usr/bin/tar': 1200, 'usr/bin/wget': 90 } },
  zlib: { version: '1.3.1', files: { 'usr/lib/libz.so.1.3.1': 4000 } },
  bc: { version: '1.07.1', files: { 'usr/bin/bc': 6000 } },
  same: { version: '1', files: { 'usr/share/same': 10 } },
};

let project: TestProject;
let file: string;
const reports: ReleaseReport[] = [];

/** A Buildroot output directory with show-info and the list of files. */
async function writeBuild(packages: Readonly<Record<string, Installed>>): Promise<string> {
  const output = join(project.directory, 'output');
  await rm(output, { recursive: true, force: true });
  const files = Object.entries(packages).flatMap(([name, { files }]) =>
    Object.entries(files).map(([path, size]) => ({ name, path, size })),
  );
  const members: Member[] = files.map(({ path, size }) => ({ name: `./${path}`, content: 'x'.repeat(size) }));
  // A second name of one file: it takes no more room on a device.
  members.push({ name: './usr/share/zlib-again', type: 'link', linkname: './usr/lib/libz.so.1.3.1' });
  await writeFiles(output, {
    '.config':
      '# Buildroot 2025.02.16 Configuration\nBR2_ARCH="aarch64"\nBR2_LINUX_KERNEL=y\nBR2_LINUX_KERNEL_IMAGE=y\n' +
      'BR2_LINUX_KERNEL_CUSTOM_REPO_URL="https://me:secret@git.example/linux.git"\nBR2_LINUX_KERNEL_CUSTOM_REPO_VERSION="v6.1.44"\n',
    'images/rootfs.tar': await rootfsTar(members),
    'images/Image': arm64Image('6.1.44'),
    // As `make legal-info` writes it, from a mirror that asks for a password.
    'legal-info/manifest.csv':
      '"PACKAGE","VERSION","LICENSE","LICENSE FILES","SOURCE ARCHIVE","SOURCE SITE","DEPENDENCIES WITH LICENSES"\n' +
      '"zlib","1.3.1","Zlib","README","zlib-1.3.1.tar.xz","https://me:secret@mirror.example/zlib","skeleton [unknown]"\n',
    'build/packages-file-list.txt': files.map(({ name, path }) => `${name},./${path}\n`).join(''),
    'build/treewright/show-info.json': JSON.stringify(
      Object.fromEntries(
        Object.entries(packages).map(([name, { version }]) => [
          name,
          { type: 'target', virtual: false, version, licenses: 'MIT', install_target: true },
        ]),
      ),
    ),
  });
  return output;
}

async function release(version: string, packages: Readonly<Record<string, Installed>>): Promise<void> {
  await writeBuild(packages);
  const config = await loadConfig(file);
  reports.push(await assembleRelease({ config, version, events: noEvents, now: new Date() }));
}

const path = (version: string, name: string): string => join(project.output, 'releases', version, name);
const json = async <T>(version: string, name: string): Promise<T> =>
  JSON.parse(await readFile(path(version, name), 'utf8')) as T;

beforeAll(async () => {
  project = await makeProject(await mkdtemp(join(tmpdir(), 'tw-packages-')));
  file = join(project.directory, 'treewright.yaml');
  await writeFile(
    file,
    `product: gateway\nmachine: board\nsource: { buildroot: ./output }\nboot: { loader: none }\n` +
      `deltas: { from: { last: 0 }, from-nothing: false }\nsigning: { keys: ${project.keys} }\noutput: ${project.output}\n`,
  );
  await release('1.0', ONE);
  await release('2.0', TWO);
});
afterAll(() => rm(project.directory, { recursive: true, force: true }));

test('packages.json has every file once, with its package, and the rest', async () => {
  const document = await json<PackageDocument>('1.0', 'packages.json');
  expect(document.packages.map(({ name, bytes }) => [name, bytes])).toEqual([
    ['busybox', 1300],
    ['lzo', 700],
    ['same', 10],
    ['zlib', 5000],
  ]);
  expect(document.packages[3]).toEqual({
    name: 'zlib',
    version: '1.3.1',
    licenses: 'Zlib',
    licenseFiles: ['README'],
    sourceArchive: 'zlib-1.3.1.tar.xz',
    sourceSite: 'https://mirror.example/zlib',
    bytes: 5000,
    files: { '/usr/lib/libz.so.1.3.1': 5000 },
  });
  const kernel = arm64Image('6.1.44').length;
  expect(document.others.files).toMatchObject({ '/usr/lib/modules/6.1.44/vmlinuz': kernel });
  const parts = [...document.packages, document.others];
  expect(parts.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(document.bytes);
});

test('the SBOM has what legal-info says', async () => {
  const bom = await json<{ components: { name: string }[] }>('1.0', 'sbom.cdx.json');
  expect(bom.components.find(({ name }) => name === 'zlib')).toMatchObject({
    licenses: [{ license: { name: 'Zlib' } }],
    externalReferences: [
      { type: 'distribution', url: 'https://mirror.example/zlib', comment: 'zlib-1.3.1.tar.xz' },
    ],
    properties: [{ name: 'treewright:license-file', value: 'README' }],
  });
});

test('manifest and commit tell where the release is from, and bind packages.json', async () => {
  const manifest = await json<Record<string, unknown>>('1.0', 'release.json');
  const bytes = await readFile(path('1.0', 'packages.json'));
  const digest = createHash('sha256').update(bytes).digest('hex');
  expect(manifest).toMatchObject({
    source: {
      tool: 'Buildroot 2025.02.16',
      kernelSource: { sources: [{ uri: 'https://git.example/linux.git', revision: 'v6.1.44' }] },
    },
    packages: { path: 'packages.json', size: bytes.length, sha256: digest },
  });
  const commit = reports[0]?.commit;
  if (commit === undefined) throw new Error('there is no commit');
  const { metadata } = await readCommit(openStore(join(project.output, 'ostree')), commit);
  expect(metadataString(metadata, 'treewright.build')).toBe('Buildroot 2025.02.16');
  expect(metadataString(metadata, 'treewright.kernel-source')).toBe('https://git.example/linux.git@v6.1.44');
  expect(metadataString(metadata, 'treewright.packages')).toBe(digest);
  expect(JSON.stringify(manifest)).not.toContain('secret');
});

test('the second release tells what grew: packages that came, went, changed, and their files', async () => {
  const difference = await json<SizeDifference>('2.0', 'size-difference.json');
  expect(difference).toMatchObject({ from: '1.0', to: '2.0', difference: 4290, unchanged: 1 });
  expect(difference.packages).toEqual([
    {
      name: 'bc',
      versionAfter: '1.07.1',
      after: 6000,
      difference: 6000,
      files: [{ path: '/usr/bin/bc', after: 6000, difference: 6000 }],
    },
    {
      name: 'zlib',
      versionBefore: '1.3.1',
      versionAfter: '1.3.1',
      before: 5000,
      after: 4000,
      difference: -1000,
      files: [{ path: '/usr/lib/libz.so.1.3.1', before: 5000, after: 4000, difference: -1000 }],
    },
    {
      name: 'lzo',
      versionBefore: '2.10',
      before: 700,
      difference: -700,
      files: [{ path: '/usr/lib/liblzo2.so.2', before: 700, difference: -700 }],
    },
    {
      name: 'busybox',
      versionBefore: '1.36.1',
      versionAfter: '1.37.0',
      before: 1300,
      after: 1290,
      difference: -10,
      files: [
        { path: '/usr/share/udhcpc/default.script', before: 300, difference: -300 },
        { path: '/usr/bin/tar', before: 1000, after: 1200, difference: 200 },
        { path: '/usr/bin/wget', after: 90, difference: 90 },
      ],
    },
  ]);
  expect(reports[0]?.sizes).toBeUndefined();
  expect(reports[1]?.sizes?.packages[0]).toEqual({
    name: 'bc',
    versionAfter: '1.07.1',
    after: 6000,
    difference: 6000,
    files: 1,
  });
});

test('the command prints it as tables, for one package, and as JSON', async () => {
  const { exitCode, stdout } = await treewright(['diff', '--config', file]);
  expect(exitCode).toBe(0);
  const lines = stdout.split('\n').map((line) => line.trim().split(/ {2,}/));
  expect(lines).toContainEqual(['packages', 'bc', 'new 1.07.1', '-', '5.86 KiB', '+5.86 KiB']);
  expect(lines).toContainEqual(['lzo', 'gone', '700 B', '-', '-700 B']);
  expect(lines).toContainEqual(['busybox', '1.36.1 to 1.37.0', '1.27 KiB', '1.26 KiB', '-10 B']);
  expect(lines).toContainEqual(['files', '/usr/bin/bc', 'bc', '-', '5.86 KiB', '+5.86 KiB']);

  const one = await treewright(['diff', '1.0', '2.0', '--config', file, '--package', 'busybox', '--json']);
  const { packages } = JSON.parse(one.stdout) as SizeDifference;
  expect(packages.map(({ name, files }) => [name, files.length])).toEqual([['busybox', 3]]);

  const wrong = await treewright(['diff', '1.0', '--config', file, '--package', 'same']);
  expect([wrong.exitCode, wrong.stderr]).toEqual([
    2,
    expect.stringMatching(/no package same changed from 1\.0 to 2\.0/),
  ]);
});

test('any two releases of the branch can be compared', async () => {
  const options = { config: await loadConfig(file), events: noEvents, now: new Date() };
  expect(await diffReleases({ ...options, from: '2.0', to: '1.0' })).toMatchObject({
    from: '2.0',
    to: '1.0',
    difference: -4290,
  });
  for (const [from, to] of [
    ['1.0', '3.0'],
    [undefined, '1.0'],
  ] as const) {
    const versions = { to, ...(from === undefined ? {} : { from }) };
    await expect(diffReleases({ ...options, ...versions })).rejects.toMatchObject({
      code: 'usage/no-such-version',
    });
  }
});

test('a rollback has the packages of the release that it brings back, and says what that changes', async () => {
  const config = await loadConfig(file);
  const { version, sizes } = await rollbackRelease({ config, to: '1.0', events: noEvents, now: new Date() });
  expect(await readFile(path(version, 'packages.json'))).toEqual(
    await readFile(path('1.0', 'packages.json')),
  );
  expect(sizes).toMatchObject({ from: '2.0', to: version, difference: -4290 });
  const bom = await json<{ components: object[] }>(version, 'sbom.cdx.json');
  expect(bom.components).toHaveLength(4);
});

test('a changed list is found by verify and by diff', async () => {
  const list = path('1.0', 'packages.json');
  const text = await readFile(list, 'utf8');
  await writeFile(list, text.replace('5000', '4000'));
  const corrupt = { code: 'trust/corrupt-file' };
  await expect(
    verifyRelease({ location: project.output, events: noEvents, now: new Date() }),
  ).rejects.toMatchObject(corrupt);
  const { exitCode, stdout } = await treewright(['diff', '1.0', '--config', file, '--json']);
  expect([exitCode, JSON.parse(stdout)]).toEqual([
    5,
    expect.objectContaining({ error: expect.objectContaining(corrupt) as unknown }),
  ]);
  await writeFile(list, text);
});

/** Apps from folder to OCI layout and back: same bytes, hostile folders, damaged releases, other programs as judges. */
import { execa } from 'execa';
import fc from 'fast-check';
import {
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { gzipSync } from 'node:zlib';
import { readAppArchive } from '../../src/apps/app-archive.ts';
import type { AppDescriptor, AppOptions, AppSpec } from '../../src/apps/build.ts';
import { buildApp, listApps } from '../../src/apps/build.ts';
import { parseIgnoreRules } from '../../src/apps/ignore-rules.ts';
import { addToIndex } from '../../src/apps/oci-layout.ts';
import type { RegistryClient } from '../../src/apps/registry.ts';
import { verifyApp } from '../../src/apps/verify.ts';
import type { Diagnostic } from '../../src/core/diagnostics.ts';
import type { Digest } from '../../src/formats/oci.ts';
import { blobPath, decodeImageIndex, digestOf } from '../../src/formats/oci.ts';
import { openStore } from '../../src/platform/store.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import { startRegistry } from './registry-server.ts';

let work: string;
let folder: string;
let layout: string;

const A = `sha256:${'a'.repeat(64)}` as Digest;
const B = `sha256:${'b'.repeat(64)}` as Digest;
const COMPOSE = `services:\n  web:\n    image: nginx:1.27@${A}\n    volumes: [./conf:/etc/conf:ro]\n`;

beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'tw-apps-'));
  folder = join(work, 'shop');
  layout = join(work, 'release/apps');
  await put('docker-compose.yml', COMPOSE);
  await put('conf/site.conf', 'listen 80;\n'.repeat(200));
});

afterEach(() => rm(work, { recursive: true }));

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), content);
}

async function build(
  { version = '1.0', ...spec }: Partial<AppSpec & { version: string }> = {},
  options: AppOptions = {},
  into = layout,
): Promise<AppDescriptor> {
  const app = await buildApp({ compose: join(folder, 'docker-compose.yml'), ...spec }, into, options);
  await listApps(into, version, [app]);
  return app;
}

function code(expected: string) {
  return expect.objectContaining({ code: expected }) as Error;
}

function archiveOf(app: AppDescriptor): string {
  const blob = app.blobs.find(({ mediaType }) => mediaType === 'application/octet-stream');
  if (blob === undefined) throw new Error('no archive');
  return join(layout, blobPath(blob.digest));
}

describe('an app', () => {
  test("is what composeapp reads: the manifest's members, and an archive that real tar unpacks", async () => {
    const app = await build({ repository: 'hub.example.com/factory/shop' });
    expect(app).toMatchObject({
      name: 'shop',
      uri: `hub.example.com/factory/shop@sha256:${app.digest}`,
      services: [{ name: 'web', image: `docker.io/library/nginx@${A}`, resolvedFrom: `nginx:1.27@${A}` }],
    });
    expect(app.bytes).toBe(app.blobs.reduce((sum, { size }) => sum + size, 0));
    const manifest: unknown = JSON.parse(
      await readFile(join(layout, blobPath(digestOf(app.digest))), 'utf8'),
    );
    expect(manifest).toEqual({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      artifactType: 'application/vnd.fio+compose-app',
      config: app.blobs[1],
      layers: [app.blobs[2]],
      annotations: { 'compose-app': 'v1' },
    });
    const out = join(work, 'out');
    await mkdir(out);
    await execa('tar', ['-xzf', archiveOf(app), '-C', out]);
    expect(await readFile(join(out, 'conf/site.conf'))).toEqual(
      await readFile(join(folder, 'conf/site.conf')),
    );
    expect(await readFile(join(out, 'docker-compose.yml'), 'utf8')).toMatch(
      /^services:\n {4}web:\n {8}image: docker\.io\/library\/nginx@sha256:a{64}\n {8}labels:\n {12}io\.compose-spec\.config-hash: [0-9a-f]{64}\n/,
    );
    const { stdout } = await execa('tar', ['--numeric-owner', '--utc', '-tvzf', archiveOf(app)]);
    expect(stdout.split('\n').map((line) => line.replace(/ +/g, ' '))).toEqual([
      'drwxr-xr-x 0/0 0 1970-01-01 00:00 conf/',
      '-rw-r--r-- 0/0 2200 1970-01-01 00:00 conf/site.conf',
      expect.stringMatching(/^-rw-r--r-- 0\/0 \d+ 1970-01-01 00:00 docker-compose\.yml$/),
    ]);
  });

  test('has the digest it always had: nothing of the machine gets in', async () => {
    const app = await build();
    expect(app.digest).toMatchInlineSnapshot(
      `"a37e93a051bb3270b2835cd0907f198de74e41b10567911abe8293294033e178"`,
    );
  });

  test('has the same digest from a copy with other times, another umask and another order of creation', async () => {
    await put('z', '1');
    await put('a/b/c', '2');
    const first = await build();
    const copy = join(work, 'copy', 'shop');
    for (const path of ['z', 'conf/site.conf', 'a/b/c', 'docker-compose.yml']) {
      await mkdir(dirname(join(copy, path)), { recursive: true, mode: 0o775 });
      await cp(join(folder, path), join(copy, path));
      await chmod(join(copy, path), 0o664);
      await utimes(join(copy, path), 1e9, 1e9);
    }
    const second = await build({ compose: join(copy, 'docker-compose.yml') }, {}, join(work, 'other'));
    expect(second).toEqual(first);
  });

  test('keeps execute bits and links inside the folder; a change of either changes the digest', async () => {
    await put('run.sh', '#!/bin/sh\n');
    await symlink('conf/site.conf', join(folder, 'current.conf'));
    const plain = await build();
    await chmod(join(folder, 'run.sh'), 0o755);
    const executable = await build();
    expect(executable.digest).not.toBe(plain.digest);
    const { stdout } = await execa('tar', ['-tvzf', archiveOf(executable)]);
    expect(stdout).toMatch(/-rwxr-xr-x .* run\.sh/);
    expect(stdout).toContain('current.conf -> conf/site.conf');
    await verifyApp(openStore(layout), executable);
  });

  test('any folder of files unpacks to itself with real tar', async () => {
    const names = fc.stringMatching(/^[a-z0-9ü_ -]{1,12}$/).filter((name) => name.trim() === name);
    const files = fc.dictionary(
      names,
      fc.oneof(fc.uint8Array({ maxLength: 3000 }), fc.constant(new Uint8Array(70_000))),
      { maxKeys: 5 },
    );
    await fc.assert(
      fc.asyncProperty(files, fc.integer({ min: 1, max: 60 }), async (content, repeat) => {
        const app = await mkdtemp(join(work, 'any-'));
        const deep = Array.from({ length: repeat }, () => 'long-name')
          .join('-')
          .slice(0, 200);
        await mkdir(join(app, deep));
        await writeFile(join(app, 'docker-compose.yml'), COMPOSE);
        for (const [name, bytes] of Object.entries(content)) await writeFile(join(app, deep, name), bytes);
        const built = await build({ compose: join(app, 'docker-compose.yml'), name: 'any' });
        const out = `${app}-out`;
        await mkdir(out);
        await execa('tar', ['-xzf', archiveOf(built), '-C', out]);
        await rm(join(app, 'docker-compose.yml'));
        await rm(join(out, 'docker-compose.yml'));
        await execa('diff', ['-r', app, out]);
      }),
      { numRuns: 12 },
    );
  });

  test('takes a Compose file of another name and ships it as docker-compose.yml only', async () => {
    await cp(join(folder, 'docker-compose.yml'), join(folder, 'compose.yaml'));
    await rm(join(folder, 'docker-compose.yml'));
    const app = await build({ compose: join(folder, 'compose.yaml') });
    const { stdout } = await execa('tar', ['-tzf', archiveOf(app)]);
    expect(stdout.split('\n')).toEqual(['conf/', 'conf/site.conf', 'docker-compose.yml']);
  });

  test('leaves out what .composeappignores names', async () => {
    await put('.composeappignores', '# notes\n*.md\ndocs\n!docs/keep.md\n');
    await put('README.md', 'x');
    await put('docs/a.md', 'x');
    await put('docs/keep.md', 'x');
    const app = await build();
    const { stdout } = await execa('tar', ['-tzf', archiveOf(app)]);
    expect(stdout.split('\n')).toEqual(['conf/', 'conf/site.conf', 'docker-compose.yml', 'docs/keep.md']);
  });
});

describe('images', () => {
  const registry = (answers: Record<string, Digest>): RegistryClient & { asked: string[] } => {
    const asked: string[] = [];
    return {
      asked,
      resolve: (reference) => {
        asked.push(`${reference.domain}/${reference.path}:${reference.tag ?? ''}`);
        const digest = answers[reference.path];
        if (digest === undefined) throw new Error('not expected');
        return Promise.resolve({ digest, mediaType: 'm', size: 1, platforms: ['linux/amd64'] });
      },
    };
  };

  test('given by digest need no registry; given by tag they are asked for once each', async () => {
    await put(
      'docker-compose.yml',
      `services:\n  a: {image: "x:1"}\n  b: {image: "x:1"}\n  c: {image: "y@${A}"}\n`,
    );
    const client = registry({ 'library/x': B });
    const app = await build({}, { registry: client });
    expect(app.services.map(({ image }) => image)).toEqual([
      `docker.io/library/x@${B}`,
      `docker.io/library/x@${B}`,
      `docker.io/library/y@${A}`,
    ]);
    expect(client.asked).toEqual(['docker.io/library/x:1']);
    await expect(build()).rejects.toThrow(/docker-compose\.yml:2:14: .*write docker\.io\/library\/x@sha256/);
  });

  test('take variables from the environment first, then from .env, else name the one that is missing', async () => {
    await put('docker-compose.yml', `services:\n  a: {image: "$HUB/x:\${TAG:-0}@${A}"}\n`);
    await put('.env', 'HUB=ghcr.io/team\nTAG=1\n');
    expect((await build()).services[0]?.resolvedFrom).toBe(`ghcr.io/team/x:1@${A}`);
    const other = await build({}, { env: { HUB: 'localhost:5000' } });
    expect(other.services[0]?.image).toBe(`localhost:5000/x@${A}`);
    await rm(join(folder, '.env'));
    await expect(build()).rejects.toThrow(code('config/unset-variable'));
    await expect(build()).rejects.toThrow(
      /docker-compose\.yml:2:14: image of service a: the variable HUB is not set/,
    );
  });

  test("that lack the device's architecture are told", async () => {
    await put('docker-compose.yml', 'services: {a: {image: x}}');
    const found: Diagnostic[] = [];
    await build(
      { architecture: 'arm64' },
      {
        registry: registry({ 'library/x': A }),
        events: (event) => event.type === 'diagnostic' && found.push(event.diagnostic),
      },
    );
    expect(found.filter(({ severity }) => severity === 'warning').map(({ code: what }) => what)).toEqual([
      'input/no-image-platform',
    ]);
  });
});

describe('hostile and mistaken folders', () => {
  test('links that lead out, by text or through other links, nowhere or to absolute paths', async () => {
    await writeFile(join(work, 'secret'), 'x');
    await mkdir(join(folder, 'p/q'), { recursive: true });
    await mkdir(join(folder, 'top'));
    for (const links of [
      [['../secret', 'link']],
      [['/etc/passwd', 'link']],
      [['missing', 'link']],
      [['loop', 'loop']],
      [['conf/../../secret', 'link']],
      // As text p/q/in/../.. is p; in truth it is the folder's parent.
      [
        ['../../top', 'p/q/in'],
        ['in/../..', 'p/q/out'],
      ],
    ] as const) {
      for (const [target, path] of links) await symlink(target, join(folder, path));
      await expect(build(), JSON.stringify(links)).rejects.toThrow(code('input/bad-app-file'));
      for (const [, path] of links) await rm(join(folder, path));
    }
  });

  test('signing keys and releases never get into an app whose folder is that of the whole project', async () => {
    const keepOut = [join(folder, 'keys'), join(folder, 'out/release'), join(work, 'elsewhere')];
    await put('keys/root.key', 'secret');
    await expect(build({}, { keepOut })).rejects.toThrow(`${join(folder, 'keys')} cannot go into the app`);
    // Named by a rule they stay out, and an exception does not bring them back.
    await put('.composeappignores', 'keys\n!keys/*.key\n');
    await expect(build({}, { keepOut })).rejects.toThrow(code('input/bad-app-file'));
    await put('.composeappignores', 'keys\n');
    const { stdout } = await execa('tar', ['-tzf', archiveOf(await build({}, { keepOut }))]);
    expect(stdout).not.toContain('keys');
    await put('out/release/tuf/timestamp.json', '{}');
    await expect(build({}, { keepOut })).rejects.toThrow(code('input/bad-app-file'));
    // The keys may lie above the app.
    await rm(join(folder, 'out'), { recursive: true });
    await build({}, { keepOut: [work] });
  });

  test('a link to a directory is a link, not a copy of what lies behind it', async () => {
    await symlink('conf', join(folder, 'alias'));
    const { stdout } = await execa('tar', ['-tzf', archiveOf(await build())]);
    expect(stdout.split('\n')).toContain('alias');
    expect(stdout).not.toContain('alias/');
  });

  test('pipes, more than a gibibyte, names that are not UTF-8', async () => {
    await execa('mkfifo', [join(folder, 'pipe')]);
    await expect(build()).rejects.toThrow(code('input/bad-app-file'));
    await rm(join(folder, 'pipe'));
    await put('huge', '');
    await truncate(join(folder, 'huge'), 2 ** 30 + 1);
    await expect(build()).rejects.toThrow(code('input/bad-app-file'));
    await rm(join(folder, 'huge'));
    await writeFile(Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0xff, 0x41)]), '');
    await expect(build()).rejects.toThrow(code('input/bad-app-file'));
  });

  test('a Compose file beyond 1 MiB, as written or with its anchors written out', async () => {
    await put('docker-compose.yml', `${COMPOSE}# ${'x'.repeat(1024 * 1024)}`);
    await expect(build()).rejects.toThrow(code('input/too-large'));
    const uses = Array.from({ length: 20 }, (_, i) => `x-${i}: *big`).join('\n');
    await put('docker-compose.yml', `x-big: &big "${'y'.repeat(100_000)}"\n${uses}\n${COMPOSE}`);
    await expect(build()).rejects.toThrow(code('config/compose-too-large'));
  });

  test('a second Compose file that docker compose would add on the device', async () => {
    for (const name of ['docker-compose.override.yml', 'compose.yaml']) {
      await put(name, COMPOSE);
      await expect(build(), name).rejects.toThrow(code('input/bad-app-file'));
      await rm(join(folder, name));
    }
  });

  test('files the Compose file names but the folder lacks', async () => {
    await put('docker-compose.yml', `${COMPOSE}    env_file: web.env\n`);
    await expect(build()).rejects.toThrow(/docker-compose\.yml:5:15: web\.env is not in the app's folder/);
  });

  test('names and versions that registries and devices would not take', async () => {
    for (const name of ['Shop', 'a/b', '..', '', 'a.b'])
      await expect(build({ name }), name).rejects.toThrow(code('config/bad-app-name'));
    await expect(build({ version: '1.0 beta' })).rejects.toThrow(code('config/bad-version'));
    const app = await build({ version: '2024.02~rc1+g1' });
    await verifyApp(openStore(layout), app);
    await expect(build({ compose: join(folder, 'none.yml') })).rejects.toThrow(
      code('config/no-compose-file'),
    );
    await expect(build({ repository: 'host/x:tag' })).rejects.toThrow(code('config/bad-repository'));
  });
});

describe('the layout', () => {
  test('keeps earlier releases, replaces an entry of the same name, and is not written where nothing changed', async () => {
    const first = await build({ version: '1.0' });
    await put('conf/site.conf', 'new');
    const second = await build({ version: '1.1' });
    const again = await build({ version: '1.1' });
    expect(again).toEqual(second);
    const index = decodeImageIndex(await readFile(join(layout, 'index.json')));
    expect(
      index.manifests.map(({ digest, annotations }) => [
        digest,
        annotations?.['org.opencontainers.image.ref.name'],
      ]),
    ).toEqual([
      [digestOf(first.digest), 'shop:1.0'],
      [digestOf(second.digest), 'shop:1.1'],
    ]);
    await verifyApp(openStore(layout), first);
    await verifyApp(openStore(layout), second);
    // Two archives, two manifests, one config; no temporary files.
    expect(await readdir(join(layout, 'blobs/sha256'))).toHaveLength(5);
  });

  test('a blob cut short by a broken copy is written again', async () => {
    const app = await build();
    await truncate(archiveOf(app), 10);
    await build();
    await verifyApp(openStore(layout), app);
  });

  test('a failing build leaves the index as it was', async () => {
    await build();
    const before = await readFile(join(layout, 'index.json'));
    await symlink('/etc/passwd', join(folder, 'link'));
    await expect(build({ version: '2.0' })).rejects.toThrow(code('input/bad-app-file'));
    expect(await readFile(join(layout, 'index.json'))).toEqual(before);
  });

  test('an index that is damaged is reported, not replaced', async () => {
    await build();
    await writeFile(join(layout, 'index.json'), '{"schemaVersion":2}');
    await expect(addToIndex(layout, [])).rejects.toThrow(code('input/bad-oci'));
  });
});

describe('verification', () => {
  test('any changed byte of any blob is found, and so is a missing blob', async () => {
    const app = await build();
    const store = openStore(layout);
    for (const { digest } of app.blobs) {
      const path = join(layout, blobPath(digest));
      const good = await readFile(path);
      for (const at of [0, good.length >> 1, good.length - 1]) {
        const bad = Buffer.from(good);
        bad[at] = (bad[at] ?? 0) ^ 1;
        await writeFile(path, bad);
        await expect(verifyApp(store, app), `${digest} byte ${at}`).rejects.toThrow(code('trust/bad-app'));
      }
      await writeFile(path, Buffer.concat([good, Buffer.of(0)]));
      await expect(verifyApp(store, app), `${digest} longer`).rejects.toThrow(code('trust/bad-app'));
      await rm(path);
      await expect(verifyApp(store, app), `${digest} missing`).rejects.toThrow(code('trust/bad-app'));
      await writeFile(path, good);
    }
    await verifyApp(store, app);
  });

  test('what the release says must agree: services, images, sizes', async () => {
    const app = await build();
    const store = openStore(layout);
    const [web] = app.services;
    if (web === undefined) throw new Error('no service');
    for (const wrong of [
      { services: [] },
      { services: [web, { ...web, name: 'more' }] },
      { services: [{ ...web, image: `docker.io/library/nginx@${B}` }] },
      { bytes: app.bytes + 1 },
      { manifestSize: app.manifestSize + 1 },
    ]) {
      await expect(verifyApp(store, { ...app, ...wrong }), JSON.stringify(wrong)).rejects.toThrow(
        code('trust/bad-app'),
      );
    }
  });

  test('an app that is not in the index, and a layout without its marker, are refused', async () => {
    const app = await build();
    await writeFile(join(layout, 'index.json'), '{"schemaVersion":2,"manifests":[]}');
    await expect(verifyApp(openStore(layout), app)).rejects.toThrow('does not list');
    await build();
    await writeFile(join(layout, 'oci-layout'), '{');
    await expect(verifyApp(openStore(layout), app)).rejects.toThrow(code('trust/bad-app'));
    await rm(join(layout, 'oci-layout'));
    await expect(verifyApp(openStore(layout), app)).rejects.toThrow('is missing');
  });
});

describe('hostile archives', () => {
  type Entry = Parameters<ReturnType<typeof pack>['entry']>[0];
  const compose: [Entry, string] = [{ name: 'docker-compose.yml' }, COMPOSE];
  const archive = async (...entries: [Entry, string?][]): Promise<AsyncIterable<Uint8Array>> => {
    const tar = pack();
    for (const [header, content] of entries) tar.entry(header, content ?? '');
    tar.finalize();
    const chunks: Uint8Array[] = [];
    for await (const chunk of tar as AsyncIterable<Uint8Array>) chunks.push(chunk);
    const zipped = gzipSync(Buffer.concat(chunks));
    return (async function* () {
      await Promise.resolve();
      yield zipped;
    })();
  };
  const cases: [string, [Entry, string?][]][] = [
    ['a path that climbs out', [compose, [{ name: '../evil' }, 'x']]],
    ['an absolute path', [compose, [{ name: '/etc/evil' }, 'x']]],
    ['a link that leads out', [compose, [{ name: 'a/l', type: 'symlink', linkname: '../../x' }]]],
    ['a link to an absolute path', [compose, [{ name: 'l', type: 'symlink', linkname: '/etc' }]]],
    [
      'a file behind a link',
      [compose, [{ name: 'l', type: 'symlink', linkname: 'a' }], [{ name: 'l/x' }, 'x']],
    ],
    ['a hard link', [compose, [{ name: 'l', type: 'link', linkname: 'docker-compose.yml' }]]],
    ['a device', [compose, [{ name: 'd', type: 'character-device', devmajor: 1, devminor: 3 }]]],
    ['two files of one name', [compose, compose]],
    ['two files of one name, written differently', [compose, [{ name: './docker-compose.yml' }, 'x']]],
    ['no Compose file', [[{ name: 'x' }, 'x']]],
    ['a Compose file that is a link', [[{ name: 'docker-compose.yml', type: 'symlink', linkname: 'x' }]]],
    ['a giant Compose file', [[{ name: 'docker-compose.yml' }, 'x'.repeat(1024 * 1024 + 1)]]],
  ];
  for (const [name, entries] of cases) {
    test(name, async () => {
      await expect(readAppArchive(await archive(...entries), 'archive')).rejects.toMatchObject({
        code: expect.stringMatching(/^input\/bad-(app-archive|path)$/) as string,
      });
    });
  }

  test('the same reader takes a harmless one', async () => {
    const read = await readAppArchive(await archive([{ name: 'd', type: 'directory' }], compose), 'archive');
    expect(Buffer.from(read.compose).toString()).toBe(COMPOSE);
    expect(read.paths).toEqual(['d', 'docker-compose.yml']);
  });

  test('what is no gzip, and a small file that unpacks beyond the limit', async () => {
    const noise = (async function* () {
      await Promise.resolve();
      yield Buffer.from('not gzip');
    })();
    await expect(readAppArchive(noise, 'archive')).rejects.toMatchObject({ code: 'input/bad-app-archive' });
    const bomb = await archive(compose, [{ name: 'zeros' }, '\0'.repeat(2 ** 22)]);
    await expect(readAppArchive(bomb, 'archive', 2 ** 21)).rejects.toThrow('unpacks to more than');
  });
});

test('ignore rules follow .dockerignore: depth, wildcards, exceptions, the last match decides', () => {
  const rules = parseIgnoreRules('*.log\n**/cache\n/build\ntmp/?x\n!important.log\na/**/z\n[ab].txt\n');
  const ignored = [
    'x.log',
    'cache',
    'd/cache/f',
    'build/out',
    'tmp/ax',
    'a/z',
    'a/b/c/z',
    'a.txt',
    '.composeappignores',
  ];
  const kept = ['d/x.log', 'important.log', 'd/build', 'tmp/x', 'tmp/abx', 'az', 'c.txt', 'xcache'];
  expect(ignored.filter((path) => !rules.matches(path))).toEqual([]);
  expect(kept.filter((path) => rules.matches(path))).toEqual([]);
});

describeReference('skopeo and a registry', ['skopeo', 'docker-registry'], () => {
  test('skopeo reads the layout, copies the artifact and finds the same digest', async () => {
    const app = await build();
    const { stdout } = await runTool('skopeo', ['inspect', '--raw', `oci:${layout}:shop:1.0`]);
    expect(JSON.parse(stdout)).toMatchObject({ artifactType: 'application/vnd.fio+compose-app' });
    const copy = join(work, 'copy');
    await runTool('skopeo', ['copy', '--preserve-digests', `oci:${layout}:shop:1.0`, `oci:${copy}:shop:1.0`]);
    await verifyApp(openStore(copy), app);
  });

  test('pushed to a registry, a device finds manifest and archive under the digests the release names', async () => {
    const app = await build();
    const registry = await startRegistry(false);
    try {
      const target = `docker://${registry.host}/factory/shop:1.0`;
      await runTool('skopeo', [
        'copy',
        '--dest-tls-verify=false',
        '--preserve-digests',
        `oci:${layout}:shop:1.0`,
        target,
      ]);
      const base = `http://${registry.host}/v2/factory/shop`;
      const manifest = await fetch(`${base}/manifests/sha256:${app.digest}`, {
        headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
      });
      expect(Buffer.from(await manifest.arrayBuffer())).toEqual(
        await readFile(join(layout, blobPath(digestOf(app.digest)))),
      );
      for (const { digest, size } of app.blobs.slice(1)) {
        expect((await (await fetch(`${base}/blobs/${digest}`)).arrayBuffer()).byteLength).toBe(size);
      }
    } finally {
      await registry.stop();
    }
  });
});

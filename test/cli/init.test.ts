import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { noEvents } from '../../src/core/events.ts';
import { configTemplate, scalar } from '../../src/release/init-template.ts';
import { yoctoInputs } from '../../src/sources/yocto.ts';
import { initProject } from '../../src/release/init.ts';

const run = promisify(execFile);

let directory = '';
beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'init-')), 'My Gateway');
  await mkdir(directory);
});
afterEach(() => rm(join(directory, '..'), { recursive: true, force: true }));

/** A real tar archive of a few files at `path`. */
async function archive(path: string): Promise<void> {
  const tree = `${directory}/../tree`;
  await mkdir(join(tree, 'usr'), { recursive: true });
  await mkdir(join(tree, 'etc'), { recursive: true });
  await writeFile(join(tree, 'etc/os-release'), 'ID=test\n');
  await mkdir(join(path, '..'), { recursive: true });
  await run('tar', ['-cf', path, '-C', tree, '.']);
}

async function buildroot(at: string): Promise<void> {
  await archive(join(directory, at, 'images/rootfs.tar'));
  await writeFile(
    join(directory, at, '.config'),
    '# Buildroot 2025.02.16 Configuration\nBR2_aarch64=y\nBR2_ARCH="aarch64"\nBR2_DEFCONFIG="/x/configs/verdin_imx8mm_defconfig"\n',
  );
}

async function yocto(machine: string, image = 'core-image-minimal'): Promise<void> {
  const deploy = join(directory, 'build/tmp/deploy/images', machine);
  await archive(join(deploy, `${image}-${machine}.rootfs.tar`));
  await writeFile(join(deploy, `${image}-${machine}.rootfs.testdata.json`), `{"MACHINE":"${machine}"}`);
  await writeFile(join(deploy, `${image}-${machine}.rootfs.manifest`), 'bc arm64 1.0\n');
}

const init = (options: Partial<Parameters<typeof initProject>[0]> = {}) =>
  initProject({ dir: directory, events: noEvents, ...options });

describe('init', () => {
  it('finds a Buildroot output and writes a configuration that fits it', async () => {
    await buildroot('output');
    const report = await init();
    expect(report).toMatchObject({
      product: 'my-gateway',
      machine: 'verdin_imx8mm',
      machineKnown: true,
      source: { kind: 'buildroot', path: join(directory, 'output') },
    });
    const config = await loadConfig(report.file);
    expect(config).toMatchObject({
      product: 'my-gateway',
      machine: 'verdin_imx8mm',
      source: { kind: 'buildroot', output: join(directory, 'output') },
      version: { kind: 'from-source' },
      ostree: { branch: 'my-gateway/verdin_imx8mm/stable', osname: 'my-gateway', layout: 'ostree' },
    });
    const text = await readFile(report.file, 'utf8');
    expect(text.split('\n')[0]).toBe(`# yaml-language-server: $schema=./${basename(report.schema)}`);
    expect(JSON.parse(await readFile(report.schema, 'utf8'))).toMatchObject({ title: 'treewright.yaml' });
    expect(parse(text)).toMatchObject({ source: { buildroot: './output' } });
  });

  it('finds a Yocto deploy directory below a build directory; its folder names the machine', async () => {
    await yocto('board-a');
    expect(await init()).toMatchObject({ machine: 'board-a', source: { kind: 'yocto' } });
  });

  it('offers the first of several machines and names the others', async () => {
    await yocto('board-b');
    await yocto('board-a');
    const report = await init();
    expect(report).toMatchObject({ machine: 'board-a', machineKnown: true });
    expect(await readFile(report.file, 'utf8')).toContain(
      '# also found: { yocto: ./build/tmp/deploy/images/board-b }',
    );
  });

  it('names one of several images, so that the first release needs no edit, and says so', async () => {
    await yocto('board-a', 'product-image-dev');
    await yocto('board-a', 'product-image');
    await yocto('board-a', 'product-initramfs');
    const codes: string[] = [];
    const report = await init({
      events: (event) => {
        if (event.type === 'diagnostic') codes.push(event.diagnostic.code);
      },
    });
    expect(codes).toEqual(['input/several-images']);
    const config = await loadConfig(report.file);
    expect(config.source).toMatchObject({ kind: 'yocto', image: 'product-image' });
    expect(await readFile(report.file, 'utf8')).toContain('image: product-image-dev }');
    if (config.source.kind !== 'yocto') throw new Error('no Yocto source');
    expect((await yoctoInputs(config.source)).rootfs).toContain('/product-image-board-a.rootfs.tar');
  });

  it('refuses the root filesystem itself as the folder of the project: its keys would be installed', async () => {
    for (const part of ['usr', 'etc']) await mkdir(join(directory, part));
    await expect(init()).rejects.toMatchObject({ code: 'usage/inside-rootfs' });
    expect((await readdir(directory)).sort()).toEqual(['etc', 'usr']);
    const beside = join(directory, '..', 'product');
    expect((await init({ dir: beside, source: directory })).source).toMatchObject({ kind: 'rootfs' });
  });

  it('takes an archive in the folder for a root filesystem, and leaves the machine to the user', async () => {
    await archive(join(directory, 'rootfs.tar'));
    const report = await init();
    expect(report).toMatchObject({
      machineKnown: false,
      source: { kind: 'rootfs', path: join(directory, 'rootfs.tar') },
    });
    expect(await readFile(report.file, 'utf8')).toContain('not found in the build');
  });

  it('writes a valid configuration even where no build is', async () => {
    const report = await init({ product: 'p', machine: 'm' });
    expect(report.source).toBeUndefined();
    expect((await loadConfig(report.file)).source).toEqual({
      kind: 'buildroot',
      output: join(directory, 'output'),
    });
  });

  it('refuses a source that is none, and a name that TUF could not carry', async () => {
    await writeFile(join(directory, 'notes.txt'), 'nothing\n');
    await expect(init({ source: join(directory, 'notes.txt') })).rejects.toMatchObject({
      code: 'input/not-an-archive',
    });
    await expect(init({ machine: 'größe' })).rejects.toMatchObject({ code: 'usage/bad-name' });
    expect(await readdir(directory)).toEqual(['notes.txt']);
  });

  it('makes private keys that only their owner can read, and hides them from git', async () => {
    const { keys } = await init();
    expect(keys.made).toEqual(['root', 'targets', 'snapshot', 'timestamp', 'ostree']);
    for (const role of keys.made)
      expect((await stat(join(keys.dir, `${role}.key`))).mode & 0o777).toBe(0o600);
    expect(await readFile(join(keys.dir, '.gitignore'), 'utf8')).toBe('*.key\n');
  });

  it('never overwrites a configuration without --force, and keys not even then', async () => {
    const first = await init({ machine: 'one' });
    const key = await readFile(join(first.keys.dir, 'root.key'), 'utf8');
    await expect(init({ machine: 'two' })).rejects.toMatchObject({ code: 'usage/exists' });
    expect((await loadConfig(first.file)).machine).toBe('one');
    const second = await init({ machine: 'two', force: true });
    expect((await loadConfig(second.file)).machine).toBe('two');
    expect(second.keys).toMatchObject({
      made: [],
      kept: ['root', 'targets', 'snapshot', 'timestamp', 'ostree'],
    });
    expect(await readFile(join(first.keys.dir, 'root.key'), 'utf8')).toBe(key);
  });

  it('does not make a second root key when the first is kept elsewhere', async () => {
    const { keys } = await init();
    await rm(join(keys.dir, 'root.key'));
    const again = await init({ force: true });
    expect(again.keys.kept).toContain('root');
    await expect(stat(join(keys.dir, 'root.key'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('leaves no configuration behind when the keys cannot be made', async () => {
    await mkdir(join(directory, 'keys'));
    await chmod(join(directory, 'keys'), 0o777);
    await expect(init()).rejects.toMatchObject({ code: 'trust/key-permissions' });
    expect(await readdir(directory)).toEqual(['keys']);
  });
});

describe('the template', () => {
  it('keeps any name and path text, whatever YAML would make of it', () => {
    const names = fc.oneof(
      fc.string({ minLength: 1 }),
      fc.constantFrom(
        'true',
        'no',
        'null',
        '1.10',
        '1e3',
        '0x1F',
        '~',
        '.inf',
        '- a',
        'a: b',
        'a #b',
        '.',
        "'",
      ),
    );
    fc.assert(
      fc.property(names, (text) => {
        expect(parse(`key: ${scalar(text)}   # comment\n`)).toEqual({ key: text });
      }),
    );
  });

  it('is a configuration for any path of a source', () => {
    const path = fc.string({ minLength: 1, maxLength: 20 }).filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(path, (name) => {
        const output = join('/project', name);
        const text = configTemplate({
          dir: '/project',
          product: '1.10',
          machine: 'no',
          machineKnown: true,
          source: { kind: 'buildroot', output },
          alternatives: [],
        });
        const value = parse(text) as { source: { buildroot: string }; product: string; machine: string };
        expect(join('/project', value.source.buildroot)).toBe(output.replace(/\/$/, '') || '/');
        expect(value).toMatchObject({ product: '1.10', machine: 'no' });
      }),
    );
  });
});

/** dist/treewright.mjs: what is in it, that nothing of its origin shows, and that it runs with nothing beside it. */
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import fg from 'fast-glob';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Bundle } from '../../bundle/build.ts';
import { makeBundle, writeBundle } from '../../bundle/build.ts';
import { licenseTexts, packageFolders } from '../../bundle/licenses.ts';
import { COMMANDS } from '../../src/cli/program.ts';
import { forEachConcurrent } from '../../src/core/concurrency.ts';
import { PROJECT } from '../support/project.ts';

let scratch: string;
let bundle: Bundle;
let text: string;
/** Holds the file and nothing else; the name is one that has to be encoded in a URL. */
let folder: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-bundle-'));
  bundle = await makeBundle(PROJECT);
  text = Buffer.from(bundle.code).toString('utf8');
  await writeBundle(bundle, join(scratch, 'made'));
  folder = join(scratch, 'alone % #1');
  await mkdir(folder);
  await cp(join(scratch, 'made/treewright.mjs'), join(folder, 'treewright.mjs'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** By the file alone, in an empty directory, with nothing in the environment but the way to programs. */
async function treewright(...args: readonly string[]) {
  const empty = await mkdtemp(join(scratch, 'empty-'));
  const { exitCode, stdout, stderr } = await execa(
    process.execPath,
    [join(folder, 'treewright.mjs'), ...args],
    { cwd: empty, env: { PATH: process.env['PATH'] }, extendEnv: false, reject: false, stdin: 'ignore' },
  );
  expect(await readdir(empty)).toEqual([]);
  return { exitCode, stdout, stderr };
}

describe('the bundle', () => {
  it('is the same from another directory, and names no place and no time', async () => {
    const other = join(scratch, 'another/place');
    await mkdir(other, { recursive: true });
    for (const name of [
      'package.json',
      'LICENSE',
      'src',
      'configs',
      'layers',
      ...packageFolders(bundle.inputs),
    ]) {
      await cp(join(PROJECT, name), join(other, name), { recursive: true });
    }
    const again = await makeBundle(other);
    expect(Buffer.compare(again.code, bundle.code)).toBe(0);
    expect(again.licenses).toBe(bundle.licenses);
    expect([PROJECT, scratch, homedir()].filter((place) => text.includes(`${place}/`))).toEqual([]);
  });

  it('changes with a file that the program reads at run time', async () => {
    const other = join(scratch, 'another/place');
    await writeFile(join(other, 'layers/device/treewright-update'), '#!/bin/sh\n');
    expect(Buffer.compare((await makeBundle(other)).code, bundle.code)).not.toBe(0);
  });

  it('imports nothing but modules of Node, and has no native add-on', () => {
    expect(bundle.imports).toContain('node:worker_threads');
    expect(bundle.imports.filter((name) => !isBuiltin(name))).toEqual([]);
    expect(bundle.inputs.filter((input) => /\.(node|wasm)$/.test(input))).toEqual([]);
  });

  it('is ASCII, which Node reads faster', () => {
    expect(/[\x80-\xff]/.test(Buffer.from(bundle.code).toString('latin1'))).toBe(false);
  });

  it('comes with its checksum, executable', async () => {
    const sum = createHash('sha256').update(bundle.code).digest('hex');
    expect(await readFile(join(scratch, 'made/treewright.mjs.sha256'), 'utf8')).toBe(
      `${sum}  treewright.mjs\n`,
    );
    await execa('sha256sum', ['--check', 'treewright.mjs.sha256'], { cwd: join(scratch, 'made') });
    expect((await execa(join(folder, 'treewright.mjs'), ['--version'])).exitCode).toBe(0);
  });
});

describe('licences', () => {
  it('of every package that is in it, beside it and inside', async () => {
    const packages = packageFolders(bundle.inputs);
    expect(packages).toEqual(expect.arrayContaining(['node_modules/zod', 'node_modules/@noble/hashes']));
    // What is only there for other runtimes, or for development, is not in it.
    expect(packages.filter((name) => /\/(bare-|@types|esbuild|vitest)/.test(name))).toEqual([]);
    for (const name of packages) {
      const facts = JSON.parse(await readFile(join(PROJECT, name, 'package.json'), 'utf8')) as {
        name: string;
        version: string;
      };
      const heading = `\n${facts.name} ${facts.version} (`;
      expect(bundle.licenses).toContain(heading);
      expect(text.includes(heading), heading).toBe(true);
    }
    expect(bundle.licenses).toContain(await readFile(join(PROJECT, 'LICENSE'), 'utf8'));
    expect(await readFile(join(scratch, 'made/treewright.licenses.txt'), 'utf8')).toBe(bundle.licenses);
  });

  it('that are missing stop it', async () => {
    const project = join(scratch, 'unlicensed');
    const inputs = ['node_modules/free/index.js'];
    await mkdir(join(project, 'node_modules/free'), { recursive: true });
    await writeFile(join(project, 'package.json'), '{"name":"p","version":"1.0.0","license":"MIT"}');
    await writeFile(join(project, 'LICENSE'), 'do what you like\n');
    const facts = join(project, 'node_modules/free/package.json');
    await writeFile(facts, '{"name":"free","version":"1.0.0"}');
    await expect(licenseTexts(project, inputs)).rejects.toThrow(/does not say name, version and licence/);
    await writeFile(facts, '{"name":"free","version":"1.0.0","license":"ISC"}');
    await expect(licenseTexts(project, inputs)).rejects.toThrow(/no file with the text of the licence/);
    await writeFile(join(project, 'node_modules/free/LICENSE.md'), 'free\r\nas air\n\n');
    expect(await licenseTexts(project, inputs)).toMatch(/\nfree 1\.0\.0 \(ISC\)\n\nfree\nas air\n$/);
  });
});

describe('the file alone', () => {
  it('tells the version of the package', async () => {
    const { version } = JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8')) as {
      version: string;
    };
    expect(await treewright('--version')).toEqual({ exitCode: 0, stdout: version, stderr: '' });
  });

  it('has every command', async () => {
    const { exitCode, stdout } = await treewright('--help');
    expect(exitCode).toBe(0);
    for (const { name, summary } of COMMANDS)
      expect(stdout).toMatch(new RegExp(`^  ${name} +${summary}$`, 'm'));
    await forEachConcurrent(COMMANDS, 2, async ({ name }) => {
      const help = await treewright(name, '--help');
      expect(help).toMatchObject({ exitCode: 0, stderr: '' });
      expect(help.stdout).toMatch(new RegExp(`^Usage: treewright ${name} `));
    });
  });

  it('prints the schema that the package has', async () => {
    const { stdout } = await treewright('schema');
    const stored = await readFile(join(PROJECT, 'configs/treewright.schema.json'), 'utf8');
    expect(JSON.parse(stdout)).toEqual(JSON.parse(stored));
  });
});

describe('what src/ reads of the package', () => {
  /** A second way to such a file would work everywhere but in the bundle. */
  it('goes through platform/package-files.ts', async () => {
    const found: string[] = [];
    for (const file of await fg('src/**/*.ts', { cwd: PROJECT })) {
      const source = await readFile(join(PROJECT, file), 'utf8');
      if (/new URL\([^)]*import\.meta|import\.meta\.(?!url\b)|fileURLToPath\(import/.test(source))
        found.push(file);
    }
    expect(found.sort()).toEqual([
      'src/cli/program.ts',
      'src/platform/package-files.ts',
      'src/platform/workers.ts',
    ]);
  });
});

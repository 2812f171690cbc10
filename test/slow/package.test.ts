/** The npm package: what is in it, and that it works where nothing but Node and npm is. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import fg from 'fast-glob';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StaticServer } from '../support/http-server.ts';
import { startNpmRegistry } from '../support/npm-registry.ts';
import { PROJECT } from '../support/project.ts';
import { treewright } from '../support/release.ts';
import { writeSmallRootfs } from '../support/small-rootfs.ts';

let scratch: string;
let registry: StaticServer;
let tarball: string;
let files: string[];
let expected: string[];

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-package-'));
  const checkout = join(scratch, 'checkout');
  for (const name of ['package.json', 'README.md', 'LICENSE', 'configs', 'layers', 'src', 'docs', 'bundle']) {
    await cp(join(PROJECT, name), join(checkout, name), { recursive: true });
  }
  // A dist/ that is built anew has exactly these, each with a map and types.
  const sources = await fg('**/*.ts', { cwd: join(PROJECT, 'src') });
  const programs = sources.map((source) => `dist/${source.replace(/\.ts$/, '')}`);
  for (const program of programs) {
    for (const suffix of ['.js', '.js.map', '.d.ts']) {
      await cp(join(PROJECT, program + suffix), join(checkout, program + suffix));
    }
  }
  for (const stray of [
    'dist/treewright.mjs',
    'test/a.test.js',
    'bench/main.js',
    '.cache/x',
    'keys/root.key',
  ]) {
    await mkdir(join(checkout, stray, '..'), { recursive: true });
    await writeFile(join(checkout, stray), 'not for the package');
  }
  expected = [
    'LICENSE',
    'README.md',
    'package.json',
    ...programs.map((program) => `${program}.js`),
    ...(await fg(['configs/**', 'layers/**'], { cwd: PROJECT, dot: true })),
  ].sort();
  registry = await startNpmRegistry(join(scratch, 'registry'));
  const { stdout } = await run('npm', checkout, 'pack', '--json', '--pack-destination', scratch);
  const [packed] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  files = (packed?.files ?? []).map(({ path }) => path).sort();
  tarball = join(scratch, packed?.filename ?? '');
});
afterAll(async () => {
  await registry.close();
  await rm(scratch, { recursive: true, force: true });
});

/** npm and npx of a user who has neither configuration nor cache, and no registry but ours. */
function run(program: 'npm' | 'npx', cwd: string, ...args: readonly string[]) {
  const env = {
    PATH: process.env['PATH'],
    HOME: join(scratch, 'home'),
    npm_config_registry: registry.url,
    npm_config_yes: 'false',
    npm_config_update_notifier: 'false',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
  };
  return execa(program, args, { cwd, env, extendEnv: false, stdin: 'ignore' });
}

test('holds the program, its data and the layers, and nothing else', () => {
  expect(files).toEqual(expected);
  expect(files).toContain('dist/cli/main.js');
});

test('`npx treewright` runs from it in an empty directory', async () => {
  const empty = join(scratch, 'empty');
  await mkdir(empty);
  await run('npm', empty, 'install', tarball);
  const { version } = JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8')) as {
    version: string;
  };
  expect((await run('npx', empty, 'treewright', '--version')).stdout).toBe(version);

  const { directory } = await writeSmallRootfs(join(scratch, 'build'), { release: 1, programs: 2 });
  const commit = (repo: string) => [
    'commit', '--repo', join(scratch, repo), '--branch', 'gateway/stable', '--source', join(directory, 'rootfs.tar'),
    '--layout', 'none', '--timestamp', '1700000000', '--json',
  ]; // prettier-ignore
  const ours = JSON.parse((await run('npx', empty, 'treewright', ...commit('repo-of-package'))).stdout) as {
    commit: string;
  };
  const theirs = JSON.parse((await treewright(commit('repo-of-checkout'))).stdout) as { commit: string };
  expect(ours.commit).toBe(theirs.commit);
});

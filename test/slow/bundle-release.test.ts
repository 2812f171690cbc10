/** A release made by the single file, in its own worker threads, is the one that the package makes. */
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeBundle, writeBundle } from '../../bundle/build.ts';
import { PROJECT } from '../support/project.ts';
import { makeProject, prepareRelease } from '../support/release.ts';

let scratch: string;
/** The two programs, by the name of what they make. */
let programs: Readonly<Record<string, string>>;
let configs: string[];
/** Loaded first in every thread, this notes the thread in a file. */
let recorder: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-bundle-release-'));
  const { file } = await writeBundle(await makeBundle(PROJECT), join(scratch, 'the bundle'));
  programs = { bundle: file, package: join(PROJECT, 'dist/cli/main.js') };
  recorder = join(scratch, 'threads.mjs');
  await writeFile(
    recorder,
    `import { appendFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
appendFileSync(process.env.THREADS, threadId + '\\n');
`,
  );
  const project = await makeProject(scratch);
  const extra = 'deltas: { from: { last: 1 } }\n';
  configs = [];
  for (const release of [1, 2]) {
    const config = await prepareRelease(project, { release, programs: 8, extra });
    const text = await readFile(config, 'utf8');
    await writeFile(config, text.replace(/^boot: .*$/m, BOOT));
    configs.push(config);
  }
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** Board and rollback need files of the package. */
const BOOT = 'boot: { board: qemu-arm64, root: LABEL=root, kargs: [quiet], rollback: { attempts: 3 } }';

/** In an empty directory, with nothing in the environment but what is named here; answers the JSON document. */
async function treewright(program: string, ...args: readonly string[]): Promise<unknown> {
  const empty = await mkdtemp(join(scratch, 'empty-'));
  const env = {
    PATH: process.env['PATH'],
    SOURCE_DATE_EPOCH: '1700000000',
    NODE_OPTIONS: `--import=${pathToFileURL(recorder).href}`,
    THREADS: join(scratch, `${program}.threads`),
  };
  const { stdout } = await execa(process.execPath, [programs[program] ?? '', ...args, '--json'], {
    cwd: empty,
    env,
    extendEnv: false,
    stdin: 'ignore',
  });
  expect(await readdir(empty)).toEqual([]);
  return JSON.parse(stdout);
}

/** Content of every file below a directory. */
async function contents(directory: string): Promise<Map<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const found = new Map<string, string>();
  for (const path of paths.sort()) found.set(relative(directory, path), await readFile(path, 'latin1'));
  return found;
}

test('two releases with a delta, an image, and the proof of them', { timeout: 5 * 60_000 }, async () => {
  const made: Record<string, Map<string, string>> = {};
  for (const program of Object.keys(programs)) {
    const output = join(scratch, `release of ${program}`);
    for (const [index, config] of configs.entries()) {
      await treewright(
        program,
        'release',
        '--config',
        config,
        '--version',
        `${index + 1}.0`,
        '--output',
        output,
      );
    }
    expect(await treewright(program, 'verify', output)).toMatchObject({
      releases: [{ version: '1.0' }, { version: '2.0' }],
    });
    const image = join(scratch, `${program}.tar`);
    const config = configs.at(-1) ?? '';
    await treewright(
      program,
      'image',
      '--config',
      config,
      '--release',
      output,
      '--format',
      'tar',
      '--output',
      image,
    );
    made[program] = await contents(output);
    made[program].set('image', await readFile(image, 'latin1'));
    const threads = new Set((await readFile(join(scratch, `${program}.threads`), 'utf8')).trim().split('\n'));
    expect(threads.has('0')).toBe(true);
    expect(threads.size).toBeGreaterThan(1);
  }

  const [ours, theirs] = [
    made['bundle'] ?? new Map<string, string>(),
    made['package'] ?? new Map<string, string>(),
  ];
  expect([...ours.keys()]).toEqual([...theirs.keys()]);
  expect([...ours.keys()].some((path) => /^ostree\/deltas\/.*\/superblock$/.test(path))).toBe(true);
  const different = [...ours].filter(([path, content]) => theirs.get(path) !== content).map(([path]) => path);
  // TUF metadata names its expiry, which is counted from the real clock.
  expect(different.filter((path) => !path.startsWith('tuf/'))).toEqual([]);
});

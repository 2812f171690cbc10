/** kas files by kas itself: it fetches the repositories that they name, here small ones, and writes the build's configuration. */
import { execa } from 'execa';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { RunResult } from '../reference/tools.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import { PROJECT } from '../support/project.ts';

const EXAMPLE = 'examples/yocto-gateway/kas.yml';
const FRAGMENT = 'layers/meta-treewright/kas/treewright.yml';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tw-kas-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** A repository with one commit on this branch; absent content is copied from the project. */
async function makeRepository(
  path: string,
  branch: string,
  files: Readonly<Record<string, string | null>>,
): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true });
    if (content === null) await cp(join(PROJECT, name), join(path, name), { recursive: true });
    else await writeFile(join(path, name), content);
  }
  const git = (...args: string[]) => execa('git', ['-C', path, ...args]);
  await git('init', '-q', '-b', branch);
  await git('add', '-A');
  await git('-c', 'user.name=test', '-c', 'user.email=test@example.com', 'commit', '-q', '-m', 'first');
}

/** Repositories that the example names, each with what kas looks at in it. */
const UPSTREAM: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  bitbake: { 'bin/bitbake': '' },
  'openembedded-core': {
    'oe-init-build-env': 'mkdir -p "$1/conf"; export BUILDDIR="$1" BBPATH="$1"\n',
    'meta/conf/layer.conf': '',
  },
  'meta-openembedded': { 'meta-oe/conf/layer.conf': '', 'meta-python/conf/layer.conf': '' },
};

/** Runs `kas checkout`, with every host answered by repositories below `origin`. */
async function checkout(work: string, file: string): Promise<RunResult & { readonly conf: string }> {
  await mkdir(work, { recursive: true });
  const result = await runTool('kas', ['checkout', file], {
    suite: 'kas',
    cwd: work,
    env: { KAS_WORK_DIR: work, KAS_PREMIRRORS: `https://[^/]+/ file://${scratch}/origin/` },
    reject: false,
  });
  return { ...result, conf: join(work, 'build/conf') };
}

interface Kas {
  readonly machine: string;
  readonly repos: Readonly<Record<string, { readonly branch?: string }>>;
  readonly local_conf_header: Readonly<Record<string, string>>;
}

const kas = async (path: string): Promise<Kas> => parse(await readFile(join(PROJECT, path), 'utf8')) as Kas;

describeReference('kas', ['kas:kas'], () => {
  beforeAll(async () => {
    const { repos } = await kas(EXAMPLE);
    for (const [name, files] of Object.entries(UPSTREAM)) {
      await makeRepository(join(scratch, 'origin', name), repos[name]?.branch ?? '', files);
    }
    await makeRepository(join(scratch, 'origin/treewright'), 'main', {
      [EXAMPLE]: null,
      'layers/meta-treewright': null,
    });
  });

  test('the example: layers and lines of local.conf', async () => {
    const { exitCode, stderr, conf } = await checkout(
      join(scratch, 'example'),
      join(scratch, 'origin/treewright', EXAMPLE),
    );
    expect(stderr).not.toMatch(/WARN|ERROR/);
    expect(exitCode).toBe(0);
    const layers = await readFile(join(conf, 'bblayers.conf'), 'utf8');
    for (const layer of [
      'meta-openembedded/meta-oe',
      'meta-openembedded/meta-python',
      'openembedded-core/meta',
    ]) {
      expect(layers).toContain(`/${layer} `);
    }
    expect(layers).toMatch(/treewright\/layers\/meta-treewright"/);
    expect(layers).not.toContain('/bitbake');
    const { machine, local_conf_header: header } = await kas(EXAMPLE);
    const local = await readFile(join(conf, 'local.conf'), 'utf8');
    expect(local).toContain(Object.values(header).join(''));
    expect(local).toContain(`MACHINE ??= "${machine}"`);
  });

  test("the file to include, from a product's own kas file", async () => {
    const { repos } = await kas(EXAMPLE);
    const own = join(scratch, 'product.yml');
    await writeFile(
      own,
      `header: { version: 14, includes: [{ repo: treewright, file: ${FRAGMENT} }] }
machine: qemuarm64
repos:
  treewright: { url: 'https://example.com/treewright', branch: main, layers: { layers/meta-treewright: } }
  openembedded-core:
    url: https://git.openembedded.org/openembedded-core
    branch: ${repos['openembedded-core']?.branch ?? ''}
    layers: { meta: }
local_conf_header: { product: 'TREEWRIGHT_PRODUCT = "own"' }
`,
    );
    const { exitCode, stderr, conf } = await checkout(join(scratch, 'product'), own);
    expect(stderr).not.toMatch(/WARN|ERROR/);
    expect(exitCode).toBe(0);
    const local = await readFile(join(conf, 'local.conf'), 'utf8');
    expect(local).toContain(Object.values((await kas(FRAGMENT)).local_conf_header).join(''));
    expect(local).toContain('TREEWRIGHT_PRODUCT = "own"');
    expect(await readFile(join(conf, 'bblayers.conf'), 'utf8')).toContain(
      'treewright/layers/meta-treewright',
    );
  });

  test('kas finds what is wrong with a file', async () => {
    const bad = join(scratch, 'bad.yml');
    await writeFile(bad, 'header: { version: 14 }\nmachine: qemuarm64\nlocal_conf_headers: {}\n');
    const { exitCode, stderr } = await checkout(join(scratch, 'bad'), bad);
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain('local_conf_headers');
  });
});

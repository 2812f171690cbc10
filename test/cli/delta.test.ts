/** `treewright delta` as a user meets it: answers, documents, mistakes. */
import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/cli/program.ts';
import { generateKeys } from '../../src/trust/keys.ts';
import { signSummary, verifySummarySignature } from '../../src/trust/ostree-sign.ts';
import { loadPublicKeys, loadSigners } from '../../src/trust/keys.ts';
import { serveDirectory } from '../support/http-server.ts';

const CHECKSUM = /^[0-9a-f]{64}$/;

let directory = '';
let from = '';
let to = '';

/** Runs the program in this process; a path starts with `./`. */
async function treewright(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const output = { stdout: '', stderr: '' };
  const stream = (name: keyof typeof output) => ({ write: (text: string) => void (output[name] += text) });
  const argv = args.map((text) => (text.startsWith('./') ? join(directory, text) : text));
  const terminal = { stdout: stream('stdout'), stderr: stream('stderr'), env: { SOURCE_DATE_EPOCH: '5000' } };
  const exitCode = await runProgram(terminal, argv);
  return { exitCode, stdout: output.stdout.trimEnd(), stderr: output.stderr };
}

/** The document of a command that must succeed. */
async function answer(...args: string[]): Promise<Record<string, unknown>> {
  const { exitCode, stdout, stderr } = await treewright(...args, '--json');
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: expect.anything() as string });
  return JSON.parse(stdout) as Record<string, unknown>;
}

async function commit(
  repo: string,
  files: Readonly<Record<string, string>>,
  timestamp: number,
): Promise<string> {
  const tree = join(directory, `tree-${timestamp}`);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(tree, path, '..'), { recursive: true });
    await writeFile(join(tree, path), content);
  }
  const { stdout } = await treewright(
    ...['commit', '--quiet', '--repo', repo, '--branch', 'dev', '--source', tree],
    ...['--layout', 'none', '--owner', 'root', '--timestamp', String(timestamp)],
  );
  expect(stdout).toMatch(CHECKSUM);
  return stdout;
}

const lines = Array.from({ length: 2000 }, (_, i) => `line ${i} ${(i * 7919) % 1009}`);
const ONE = { 'usr/share/text': lines.join('\n'), 'usr/bin/tool': 'one' };
const TWO = { 'usr/share/text': lines.with(1000, 'changed').join('\n'), 'usr/bin/tool': 'two' };

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cli-delta-'));
  from = await commit('./repo', ONE, 1000);
  expect(await commit('./mirror', ONE, 1000)).toBe(from);
  to = await commit('./repo', TWO, 2000);
  await mkdir(join(directory, 'bare'));
  await writeFile(join(directory, 'bare/config'), '[core]\nrepo_version=1\nmode=bare\n');
  await generateKeys(join(directory, 'keys'), { roles: ['ostree'] });
  await generateKeys(join(directory, 'other'), { roles: ['ostree'] });
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const BETWEEN = ['--repo', './repo', '--from', 'dev^', '--to', 'dev'];

describe('a delta in the repository', () => {
  it('is made, named by the summary, explained and verified, also over HTTP', async () => {
    const made = await answer('delta', ...BETWEEN);
    expect(made).toMatchObject({
      ...{ repo: join(directory, 'repo'), name: `${from}-${to}`, from, to, published: true, reused: false },
      ...{ inline: false, byteOrder: 'little', signed: false, fallbacks: [], diagnostics: [] },
      forms: { metadata: { objects: 4 }, raw: { objects: 1 }, splice: { objects: 1 }, patch: { objects: 0 } },
      requests: { delta: 2, loose: 7 },
    });
    expect(made['milliseconds']).toBeTypeOf('number');
    const { path, bytes, looseBytes } = made as { path: string; bytes: number; looseBytes: number };
    expect(bytes).toBeLessThan(looseBytes);
    let size = 0;
    for (const name of ['superblock', '0']) size += (await stat(join(directory, 'repo', path, name))).size;
    expect(size).toBe(bytes);
    expect((await readFile(join(directory, 'repo/summary'))).includes(`${from}-${to}`)).toBe(true);
    expect((await answer('delta', 'generate', ...BETWEEN))['reused']).toBe(true);

    const shown = await answer('delta', 'show', ...BETWEEN);
    expect(shown).toMatchObject({
      ...{ from, to, timestamp: 2000, byteOrder: 'little', bytes, fallbacks: [] },
      commit: { timestamp: 2000 },
      signatures: { superblock: {}, commit: 0 },
      parts: [
        { index: 0, inline: false, compression: 'xz', objects: 6, memory: { window: 65_536, patched: 0 } },
      ],
      forms: made['forms'],
    });
    expect(shown['objects']).toContainEqual(
      expect.objectContaining({
        ...{ part: 0, type: 'file', form: 'splice', size: TWO['usr/share/text'].length },
        ...{ paths: ['usr/share/text'], sourcePaths: ['usr/share/text'] },
      }),
    );
    const { stdout } = await treewright('delta', 'show', ...BETWEEN);
    expect(stdout).toMatch(/file +splice .* usr\/share\/text$/m);

    const listed = { summary: true, index: true };
    const verified = {
      ...{ from, to, name: `${from}-${to}`, parts: 1, objects: 6, fallbacks: 0 },
      ...{ listed, diagnostics: [] },
    };
    expect(await answer('delta', 'verify', ...BETWEEN)).toEqual(verified);
    const server = await serveDirectory(join(directory, 'repo'));
    try {
      const url = ['--repo', server.url, '--from', from, '--to', 'dev'];
      expect(await answer('delta', 'verify', ...url)).toEqual(verified);
    } finally {
      await server.close();
    }
  });

  it('is not right when the summary names another superblock', async () => {
    const summary = await readFile(join(directory, 'repo/summary'));
    await answer('delta', ...BETWEEN, '--endianness', 'B');
    expect(await answer('delta', 'verify', ...BETWEEN)).toMatchObject({ listed: { summary: true } });
    await writeFile(join(directory, 'repo/summary'), summary);
    expect(await treewright('delta', 'verify', ...BETWEEN)).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('the summary says that its superblock has the checksum') as string,
    });
    await answer('delta', ...BETWEEN);
  });

  it('leaves a signed summary signed by the same key, or is not made', async () => {
    const keys = await loadPublicKeys(join(directory, 'keys'), 'ostree');
    const { ostree } = await loadSigners(join(directory, 'keys'), ['ostree']);
    const summary = join(directory, 'repo/summary');
    await writeFile(`${summary}.sig`, await signSummary(await readFile(summary), ostree));
    const before = await readFile(summary);
    const scratch = ['delta', '--repo', './repo', '--to', 'dev'];
    expect(await treewright(...scratch)).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('[trust/summary-signed]') as string,
    });
    expect(await treewright(...scratch, '--keys', './other')).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('[trust/other-key]') as string,
    });
    expect(await readFile(summary)).toEqual(before);
    await answer(...scratch, '--keys', './keys');
    const after = await readFile(summary);
    expect(after.equals(before)).toBe(false);
    verifySummarySignature(after, await readFile(`${summary}.sig`), keys);
    await rm(`${summary}.sig`);
  });

  it('is applied to another repository over HTTP', async () => {
    expect(await commit('./far', ONE, 1000)).toBe(from);
    const server = await serveDirectory(join(directory, 'repo'));
    try {
      const apply = [
        'delta',
        'apply',
        '--repo',
        './far',
        '--source',
        server.url,
        '--from',
        'dev^',
        '--to',
        'dev',
      ];
      expect(await answer(...apply)).toMatchObject({ from, to, present: false, objects: { written: 7 } });
      const requests = server.requests.filter(({ path }) => path.startsWith('/objects/'));
      // The branch and the parent are looked up; nothing else comes out of objects/.
      expect(requests.map(({ path }) => path)).toEqual([`/objects/${to.slice(0, 2)}/${to.slice(2)}.commit`]);
    } finally {
      await server.close();
    }
    expect(await readFile(join(directory, 'far/refs/heads/dev'), 'utf8')).toBe(`${from}\n`);
    expect((await treewright('delta', ...BETWEEN.with(1, './far'), '--dry-run')).exitCode).toBe(2);
    expect(await answer('delta', 'apply', '--repo', './far', '--to', to, '--source', './repo')).toMatchObject(
      {
        present: true,
      },
    );
  });

  it('of a release directory is not replaced', async () => {
    await mkdir(join(directory, 'release/tuf'), { recursive: true });
    await cp(join(directory, 'repo'), join(directory, 'release/ostree'), { recursive: true });
    await rm(join(directory, 'release/ostree/deltas'), { recursive: true });
    const make = ['delta', ...BETWEEN.with(1, './release/ostree')];
    await answer(...make);
    expect(await treewright(...make, '--endianness', 'B')).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('[input/released-delta]') as string,
    });
    await answer(...make, '--endianness', 'B', '--output', './elsewhere');
  });
});

describe('--dry-run', () => {
  it('tells what a delta would be worth and writes nothing', async () => {
    const before = await readFile(join(directory, 'repo/summary'));
    const estimate = await answer('delta', ...BETWEEN, '--dry-run');
    expect(estimate).toMatchObject({
      ...{ dryRun: true, from, to, name: `${from}-${to}`, objects: 6, looseRequests: 7 },
      files: [{ paths: [expect.any(String)], size: expect.any(Number) as number }, {}],
    });
    const { stdout } = await treewright('delta', ...BETWEEN, '--dry-run');
    expect(stdout).toMatch(/changed +usr\/share\/text$/m);
    expect(await readFile(join(directory, 'repo/summary'))).toEqual(before);
  });
});

describe('a delta by itself', () => {
  it('is signed, shown, verified and applied', async () => {
    const made = await answer(
      ...['delta', ...BETWEEN, '--inline', '--sign', './keys/ostree.key', '--output', './update.delta'],
    );
    expect(made).toMatchObject({
      path: join(directory, 'update.delta'),
      published: false,
      inline: true,
      signed: true,
    });
    expect((await stat(join(directory, 'update.delta'))).size).toBe(made['bytes']);
    expect(await answer('delta', 'show', './update.delta')).toMatchObject({
      signatures: { superblock: { 'ostree.sign.ed25519': 1 } },
      parts: [{ inline: true }],
    });
    const key = ['--public-key', './keys/trusted.ed25519'];
    expect(await answer('delta', 'verify', './update.delta', '--repo', './repo', ...key)).toMatchObject({
      signed: 'superblock',
    });
    const wrong = await treewright(
      ...[
        'delta',
        'apply',
        './update.delta',
        '--repo',
        './mirror',
        '--public-key',
        './other/trusted.ed25519',
      ],
    );
    expect(wrong).toMatchObject({
      exitCode: 5,
      stderr: expect.stringContaining('[trust/bad-signature]') as string,
    });
    expect(
      await answer('delta', 'apply', './update.delta', '--repo', './mirror', '--ref', 'dev', ...key),
    ).toMatchObject({
      ...{ repo: join(directory, 'mirror'), from, to, ref: 'dev', signed: 'superblock', present: false },
      objects: { total: 7, written: 7 },
    });
    expect(await readFile(join(directory, 'mirror/refs/heads/dev'), 'utf8')).toBe(`${to}\n`);
    expect((await readFile(join(directory, 'mirror/summary'))).includes(Buffer.from(to, 'hex'))).toBe(true);
    const { stdout } = await treewright('delta', 'apply', './update.delta', '--repo', './mirror');
    expect(stdout).toContain('was there already');
  });

  it('that nobody signed is refused when a key is given', async () => {
    await answer('delta', ...BETWEEN, '--output', './plain');
    expect(
      await treewright('delta', 'verify', './plain', '--repo', './repo', '--public-key', './keys/ostree.pub'),
    ).toMatchObject({ exitCode: 5, stderr: expect.stringContaining('[trust/unsigned]') as string });
  });

  it('takes sizes in libostree’s unit and in words', async () => {
    const make = (...args: string[]) =>
      answer('delta', ...BETWEEN, '--output', `./sizes-${args.join('')}`, ...args);
    const { fallbacks } = (await make('--min-fallback-size', '2B')) as { fallbacks: unknown[] };
    expect(fallbacks.length).toBe(1);
    expect((await make('--min-fallback-size', '1'))['fallbacks']).toEqual([]);
    expect((await make('--endianness', 'B', '--disable-bsdiff'))['byteOrder']).toBe('big');
    const { parts } = (await make('--max-chunk-size', '100B')) as { parts: unknown[] };
    expect(parts.length).toBeGreaterThan(2);
  });
});

describe('mistakes', () => {
  it.each([
    [['--repo', './repo', '--from', 'dev', '--to', 'dev'], 2, 'usage/same-commit'],
    [['--repo', './repo', '--to', 'devel'], 2, 'usage/unknown-revision'],
    [['--repo', './repo', '--to', 'dev^^'], 2, 'usage/unknown-revision'],
    [['--repo', './repo', '--to', '../dev'], 2, 'usage/bad-ref'],
    [['--repo', './repo', '--to', 'f'.repeat(64)], 4, 'input/missing-commit'],
    [['--repo', './keys', '--to', 'dev'], 4, 'input/no-repository'],
    [['--repo', './repo'], 2, 'usage/missing-mandatory-option-value'],
    [
      ['--repo', './repo', '--to', 'dev', '--from', 'dev^', '--sign', './keys/ostree.key'],
      2,
      'usage/signed-delta',
    ],
    [['--repo', './repo', '--to', 'dev', '--max-chunk-size', '0'], 2, 'usage/invalid-argument'],
    [['--repo', './repo', '--to', 'dev', '--output', './keys'], 2, 'usage/output-exists'],
    [['--repo', './repo', '--from', 'dev', '--to', 'dev', '--dry-run'], 2, 'usage/same-commit'],
    [['shwo', '--repo', './repo'], 2, 'usage/unknown-command'],
    [['show'], 2, 'usage/which-delta'],
    [['show', './nowhere'], 4, 'input/no-delta'],
    [['show', './plain', '--to', 'dev'], 2, 'usage/which-delta'],
    [['show', '--repo', './repo', '--from', 'dev', '--to', 'dev^'], 5, 'trust/missing-delta'],
    [['verify', './plain', '--repo', './repo', '--public-key', './repo/config'], 5, 'trust/bad-key'],
    [['--repo', './bare', '--to', 'dev'], 4, 'input/bad-repository'],
    [['verify', './plain', '--repoo', './repo'], 2, 'usage/unknown-option'],
    [['verify', './keys/ostree.pub', '--repo', './repo'], 5, 'trust/corrupt-delta'],
  ])('%j exit %i with %s', async (args, code, name) => {
    const { exitCode, stderr, stdout } = await treewright('delta', ...args, '--json');
    expect({ exitCode, stderr }).toEqual({
      exitCode: code,
      stderr: expect.stringContaining(`[${name}]`) as string,
    });
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: name } });
  });

  it('a commit that is there in part is refused', async () => {
    await writeFile(join(directory, 'repo/state', `${from}.commitpartial`), '');
    const { exitCode, stderr } = await treewright('delta', ...BETWEEN);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 4,
      stderr: expect.stringContaining('[input/partial-commit]') as string,
    });
    await rm(join(directory, 'repo/state', `${from}.commitpartial`));
  });
});

/** The program as a user meets it: built, started as a process. */
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/program.ts';

const MAIN = new URL('../../dist/cli/main.js', import.meta.url).pathname;

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cli-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function treewright(args: readonly string[], env: Record<string, string> = {}) {
  const { exitCode, stdout, stderr } = await execa('node', [MAIN, ...args], {
    cwd: directory,
    env,
    reject: false,
    stdin: 'ignore',
  });
  return { exitCode, stdout, stderr };
}

describe('help', () => {
  it('lists every command and every exit code', async () => {
    const { exitCode, stdout, stderr } = await treewright(['--help']);
    expect(exitCode).toBe(0);
    expect(stderr).toBe('');
    for (const { name, summary } of COMMANDS)
      expect(stdout).toMatch(new RegExp(`^  ${name} +${summary}$`, 'm'));
    for (const code of ['0', '1', '2', '3', '4', '5', '6', '7', '130, 143']) {
      expect(stdout).toMatch(new RegExp(`^  ${code}  \\S`, 'm'));
    }
    expect(stdout).toMatch(/^Examples:\n {2}\$ treewright /m);
  });

  it.each(COMMANDS.map(({ name }) => name))('of %s has an example and the common options', async (name) => {
    const { exitCode, stdout, stderr } = await treewright([name, '--help']);
    expect(exitCode).toBe(0);
    expect(stderr).toBe('');
    expect(stdout).toMatch(new RegExp(`^Usage: treewright ${name} `));
    expect(stdout).toMatch(new RegExp(`^Examples?:\\n {2}\\$ (\\w+=\\S+ )*treewright ${name}`, 'm'));
    for (const option of ['--json', '--quiet', '--strict', '--verbose', '--help'])
      expect(stdout).toContain(option);
    expect((await treewright(['help', name])).stdout).toBe(stdout);
  });

  it('loads nothing of the rest of the program', async () => {
    const coverage = join(directory, 'coverage');
    for (const args of [['--help'], ['release', '--help']]) {
      await rm(coverage, { recursive: true, force: true });
      await treewright(args, { NODE_V8_COVERAGE: coverage });
      const loaded: string[] = [];
      for (const name of await readdir(coverage)) {
        const report = JSON.parse(await readFile(join(coverage, name), 'utf8')) as {
          result: { url: string }[];
        };
        loaded.push(...report.result.map(({ url }) => url));
      }
      expect(loaded.some((url) => url.includes('/dist/cli/program.js'))).toBe(true);
      expect(loaded.filter((url) => /node_modules\/(zod|yaml|execa|tar-stream)\//.test(url))).toEqual([]);
      expect(loaded.filter((url) => /\/dist\/(?!cli\/|core\/)/.test(url))).toEqual([]);
    }
  });

  it('prints the version of the package', async () => {
    const { version } = JSON.parse(
      await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
    ) as { version: string };
    expect(await treewright(['--version'])).toEqual({ exitCode: 0, stdout: version, stderr: '' });
  });
});

describe('usage errors', () => {
  it.each([
    [['relase'], "unknown command 'relase'; did you mean release?"],
    [['release', '--cofig', 'x'], "unknown option '--cofig'; did you mean --config?"],
    [['commit', '--repo', 'x'], "required option '--branch <ref>' not specified"],
    [['commit', '--repo', 'x', '--brnch', 'y', '--source', 'z'], 'did you mean --branch?'],
    [['comit', '--help'], "unknown command 'comit'; did you mean commit?"],
    [['help', 'comit'], "unknown command 'comit'; did you mean commit?"],
    [['commit', '--layout', 'debian'], 'Allowed choices are ostree, meta-updater, none.'],
    [['commit', '--timestamp', '1.5'], 'Expected a whole number'],
    [['commit', '--repo', ''], 'It is empty.'],
    [['inspect'], "missing required argument 'path'"],
    [['inspect', 'a', 'b'], "too many arguments for 'inspect'"],
    [['--json', 'release'], 'options come after the command'],
  ])('%j exits 2 and says %j', async (args, message) => {
    const { exitCode, stderr, stdout } = await treewright(args);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/hint: .*--help/);
    expect(stderr).not.toMatch(/^ {4}at /m);
    if (!args.includes('--json')) expect(stdout).toBe('');
  });

  it('without a command shows help on standard error', async () => {
    const { exitCode, stdout, stderr } = await treewright([]);
    expect(exitCode).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('Usage: treewright COMMAND');
  });

  it('with --json are one document on standard output', async () => {
    const { exitCode, stdout } = await treewright(['release', '--json', '--nonsense']);
    expect(exitCode).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'usage/unknown-option', message: "unknown option '--nonsense'", data: {} },
    });
  });
});

describe('configuration errors', () => {
  const broken =
    'product: gateway\nmachine: board\nsource: { buildroot: ./output }\nboot: { loadr: u-boot }\n';

  it('exit 3, with every fault at its place', async () => {
    await writeFile(join(directory, 'broken.yaml'), broken);
    const { exitCode, stdout, stderr } = await treewright(['release', '--config', 'broken.yaml']);
    expect(exitCode).toBe(3);
    expect(stdout).toBe('');
    expect(stderr).toContain('broken.yaml:4:9: unknown key "loadr" in boot; did you mean "loader"?');
  });

  it('are machine-readable', async () => {
    await writeFile(join(directory, 'broken.yaml'), broken);
    const { exitCode, stdout, stderr } = await treewright([
      'rollback',
      '1.0',
      '--config',
      'broken.yaml',
      '--json',
    ]);
    expect(exitCode).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      error: {
        code: 'config/invalid',
        data: { file: 'broken.yaml', faults: [expect.stringContaining('broken.yaml:4:9: ')] },
      },
      diagnostics: [],
    });
    expect(stderr).toContain('error: broken.yaml has 1 fault');
  });

  it('tell how to get a configuration', async () => {
    const { exitCode, stderr } = await treewright(['release', '--config', 'nowhere.yaml']);
    expect(exitCode).toBe(3);
    expect(stderr).toContain('hint: run `treewright init`');
  });

  it('show a stack only with --verbose or TREEWRIGHT_DEBUG', async () => {
    const args = ['release', '--config', 'nowhere.yaml'];
    expect((await treewright(args)).stderr).not.toContain('load.js');
    expect((await treewright([...args, '--verbose'])).stderr).toContain('load.js');
    expect((await treewright(args, { TREEWRIGHT_DEBUG: '1' })).stderr).toContain('load.js');
  });

  it('include warnings with --strict, before anything is written', async () => {
    const file = join(directory, 'odd.yaml');
    await writeFile(
      file,
      'product: p\nmachine: m\nsource: { rootfs: nowhere }\ndeltas: { max-ratio: 2 }\noutput: odd-release\n',
    );
    const { exitCode, stderr, stdout } = await treewright([
      'release',
      '--config',
      file,
      '--strict',
      '--json',
    ]);
    expect(exitCode).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      error: {
        code: 'config/max-ratio',
        data: { warnings: [expect.stringContaining('max-ratio') as unknown] },
      },
      diagnostics: [{ code: 'config/max-ratio', severity: 'warning', where: { line: 4, column: 22 } }],
    });
    expect(stderr).toContain('--strict: 1 warning counts as an error');
    await expect(stat(join(directory, 'odd-release'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('schema', () => {
  it('prints what the repository holds, and writes it', async () => {
    const stored = await readFile(new URL('../../configs/treewright.schema.json', import.meta.url), 'utf8');
    const { stdout } = await treewright(['schema']);
    expect(`${stdout}\n`).toBe(stored);
    const { exitCode } = await treewright(['schema', '--output', 'schema.json', '--quiet']);
    expect(exitCode).toBe(0);
    expect(await readFile(join(directory, 'schema.json'), 'utf8')).toBe(stored);
  });
});

describe('a process that is disturbed', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ends on %s with %i and one line', async (signal, status) => {
    let connected = (): void => undefined;
    const asked = new Promise<void>((resolve) => (connected = resolve));
    // A server that takes the question and never answers keeps the command at work.
    const server = createServer(() => connected());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const child = execa('node', [MAIN, 'verify', `http://127.0.0.1:${port}/`], {
        reject: false,
        cwd: directory,
      });
      // A command that ends by itself has not been disturbed: its exit code fails the test below.
      await Promise.race([asked, child]);
      child.kill(signal);
      const { exitCode, stderr } = await child;
      expect(exitCode).toBe(status);
      expect(stderr).toMatch(/interrupted; .*\n?$/);
      expect(stderr).not.toMatch(/^ {4}at /m);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('stays silent when its reader goes away', async () => {
    const { stderr } = await execa('sh', ['-c', `{ node "${MAIN}" schema; echo "status $?" >&2; } | true`], {
      cwd: directory,
      reject: false,
    });
    expect(stderr).toBe('status 0');
  });
});

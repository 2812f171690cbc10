/** `treewright delta` beside `ostree static-delta generate`, on pairs of real trees. */
import { execa } from 'execa';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { RECIPES } from '../test/reference/recipes.ts';
import { ensureRoot, rootPath } from '../test/reference/roots.ts';
import { PROJECT } from '../test/support/project.ts';
import type { Figures } from './measure.ts';
import { measure } from './measure.ts';
import type { Pair } from './pairs.ts';
import {
  diffablePart,
  equalTree,
  kernelBump,
  kernelModules,
  largeFile,
  plainInitramfs,
  pythonBump,
  renamedTree,
  securityUpdate,
} from './pairs.ts';

interface Made extends Figures {
  /** Size of everything below `deltas/`. */
  readonly bytes: number;
}

const PAIRS = [
  securityUpdate,
  diffablePart,
  plainInitramfs,
  kernelBump,
  pythonBump,
  renamedTree,
  largeFile,
  equalTree,
];

async function sizeOf(directory: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

/** Runs `command` on a copy of the pair's repository that shares its objects. */
async function make(
  pair: Pair,
  scratch: string,
  command: (repo: string) => readonly string[],
): Promise<Made> {
  const repo = join(scratch, 'repo');
  await execa('cp', ['-al', pair.repo, repo]);
  const [program = '', ...args] = command(repo);
  const figures = await measure(program, args);
  const bytes = await sizeOf(join(repo, 'deltas'));
  await rm(repo, { recursive: true });
  return { ...figures, bytes };
}

function ours({ from, to }: Pair, cpu?: number): (repo: string) => readonly string[] {
  return (repo) => [
    ...(cpu === undefined ? [] : ['taskset', '-c', String(cpu)]),
    process.execPath, join(PROJECT, 'dist/cli/main.js'), 'delta', '--repo', repo, '--from', from, '--to', to, '--json',
  ]; // prettier-ignore
}

const COLUMNS = ['wall s', 'cpu s', 'memory MiB', 'bytes'];

function row(label: string, values: readonly string[]): string {
  return label.padEnd(14) + values.map((value) => value.padStart(14)).join('');
}

function figures(label: string, { wall, cpu, memory, bytes }: Made): string {
  return row(label, [wall.toFixed(1), cpu.toFixed(1), memory.toFixed(0), String(bytes)]);
}

export async function benchDelta(): Promise<void> {
  const chosen = process.argv[3];
  await ensureRoot(RECIPES.bookworm, (line) => process.stderr.write(`${line}\n`));
  const ostree = join(rootPath(RECIPES.bookworm), 'run-bin', 'ostree');
  const { stdout } = await execa(ostree, ['--version']);
  const scratch = await mkdtemp(join(tmpdir(), 'treewright-bench-'));
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  try {
    await mkdir(scratch, { recursive: true });
    print(
      `libostree ${/Version: '(.*)'/.exec(stdout)?.[1] ?? ''}; ${availableParallelism()} cores of ${cpus()[0]?.model ?? ''}`,
    );
    for (const pairFunction of PAIRS) {
      if (chosen !== undefined && chosen !== pairFunction.name) continue;
      const pair = await pairFunction();
      const a = await make(pair, scratch, ours(pair));
      const b = await make(pair, scratch, (repo) => [
        ostree, 'static-delta', 'generate', `--repo=${repo}`, `--from=${pair.from}`, `--to=${pair.to}`,
      ]); // prettier-ignore
      print(`\n${pair.name}: ${pair.what}`);
      print(row('', COLUMNS));
      print(figures('treewright', a));
      print(figures('ostree', b));
      const ratio = (x: number, y: number): string => (x / y).toFixed(3);
      print(
        row('ratio', [
          ratio(a.wall, b.wall),
          ratio(a.cpu, b.cpu),
          ratio(a.memory, b.memory),
          ratio(a.bytes, b.bytes),
        ]),
      );
    }
    if (chosen === undefined || chosen === 'growth') await benchGrowth(scratch, print);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Time against the bytes that changed, and against the number of cores. */
async function benchGrowth(scratch: string, print: (line: string) => void): Promise<void> {
  const quarter = await make(await kernelModules(4), scratch, ours(await kernelModules(4)));
  const all = await kernelModules(1);
  const whole = await make(all, scratch, ours(all));
  const single = await make(all, scratch, ours(all, 0));
  print('\ngrowth: kernel modules, every fourth and all of them');
  print(row('', COLUMNS));
  print(figures('a quarter', quarter));
  print(figures('all', whole));
  print(figures('all, one core', single));
  print(`four times the bytes take ${(whole.wall / quarter.wall).toFixed(2)} times as long`);
  print(
    `${availableParallelism()} cores instead of one: ${(single.wall / whole.wall).toFixed(2)} times as fast, ` +
      `efficiency ${(single.wall / whole.wall / availableParallelism()).toFixed(2)}`,
  );
}

/** `treewright commit` beside `ostree commit`: a first commit, and the same tree once more. */
import { stat, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { RECIPES } from '../test/reference/recipes.ts';
import { ensureRoot, rootPath } from '../test/reference/roots.ts';
import { PROJECT } from '../test/support/project.ts';
import type { Figures } from './measure.ts';
import { measure, median } from './measure.ts';
import { benchRootfs } from './rootfs.ts';

const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3);
const TIMESTAMP = '1700000000';

interface Round {
  readonly first: Figures;
  readonly again: Figures;
}

export async function benchCommit(): Promise<void> {
  const rootfs = await benchRootfs();
  await ensureRoot(RECIPES.bookworm, (line) => process.stderr.write(`${line}\n`));
  const ostree = join(rootPath(RECIPES.bookworm), 'run-bin', 'ostree');
  const scratch = await mkdtemp(join(tmpdir(), 'treewright-bench-'));
  const ours: Round[] = [];
  const theirs: Round[] = [];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const a = join(scratch, `treewright-${round}`);
      const b = join(scratch, `ostree-${round}`);
      await mkdir(b);
      await measure(ostree, ['init', `--repo=${b}`, '--mode=archive']);
      const treewright = (): Promise<Figures> =>
        measure(process.execPath, [
          join(PROJECT, 'dist/cli/main.js'), 'commit', '--repo', a, '--branch', 'bench', '--source', rootfs,
          '--layout', 'none', '--timestamp', TIMESTAMP, '--subject', 'bench', '--json',
        ]); // prettier-ignore
      const reference = (): Promise<Figures> =>
        measure(ostree, [
          'commit', `--repo=${b}`, '--branch=bench', `--tree=tar=${rootfs}`, `--timestamp=@${TIMESTAMP}`,
          '--subject=bench',
        ]); // prettier-ignore
      // In turns, so that a slow moment of the machine hits both.
      const first = [await treewright(), await reference()] as const;
      const again = [await treewright(), await reference()] as const;
      checkEqual(first, again);
      ours.push({ first: first[0], again: again[0] });
      theirs.push({ first: first[1], again: again[1] });
      await rm(a, { recursive: true });
      await rm(b, { recursive: true });
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  print((await stat(rootfs)).size, ours, theirs);
}

/** A benchmark of two programs that do different things would mean nothing. */
function checkEqual(...rounds: readonly (readonly [Figures, Figures])[]): void {
  for (const [ours, theirs] of rounds) {
    const { commit } = JSON.parse(ours.stdout) as { commit: string };
    if (commit !== theirs.stdout.trim()) {
      throw new Error(`the commits differ: treewright ${commit}, ostree ${theirs.stdout.trim()}`);
    }
  }
}

function print(bytes: number, ours: readonly Round[], theirs: readonly Round[]): void {
  const lines = [
    `${ROUNDS} rounds in turns, medians; ${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown processor'}`,
    `root filesystem: ${(bytes / 1e6).toFixed(0)} MB tar; the commits are equal`,
    '',
    '                      treewright      ostree   ostree/treewright',
  ];
  for (const run of ['first', 'again'] as const) {
    for (const [figure, unit] of [['wall', 's'], ['cpu', 's'], ['memory', 'MiB']] as const) {
      const a = median(ours.map((round) => round[run][figure]));
      const b = median(theirs.map((round) => round[run][figure]));
      const name = `${run === 'first' ? 'first commit' : 'unchanged'} ${figure}`;
      const show = (value: number): string => `${value.toFixed(unit === 's' ? 2 : 0)} ${unit}`;
      lines.push(`${name.padEnd(20)}${show(a).padStart(12)}${show(b).padStart(12)}${(b / a).toFixed(2).padStart(12)}x`);
    }
  } // prettier-ignore
  process.stdout.write(`${lines.join('\n')}\n`);
}

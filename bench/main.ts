/** `npm run bench -- NAME`: treewright beside the reference tool, in one run, as ratios. */
import { benchCommit } from './commit.ts';
import { benchDelta } from './delta.ts';

const BENCHES: Readonly<Record<string, () => Promise<void>>> = {
  commit: benchCommit,
  delta: benchDelta,
};

const name = process.argv[2] ?? '';
const bench = BENCHES[name];
if (bench === undefined) {
  process.stderr.write(`usage: npm run bench -- ${Object.keys(BENCHES).join('|')}\n`);
  process.exitCode = 2;
} else {
  await bench();
}

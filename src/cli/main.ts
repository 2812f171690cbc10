#!/usr/bin/env node
/** The `treewright` program. */
import { runProgram } from './program.ts';
import { abandonView } from './run.ts';

/** A reader that goes away (`| head`) is no reason to stop work half-way, nor to print a stack. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

for (const [signal, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => {
    abandonView();
    process.stderr.write('interrupted; what was published before is whole, run again to finish\n');
    process.exit(exitCode);
  });
}

process.exitCode = await runProgram(process, process.argv.slice(2));

// Idle connections and threads must not hold a finished program; what is still being printed may.
setTimeout(() => process.exit(), 2000).unref();

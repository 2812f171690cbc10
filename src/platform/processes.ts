/** External programs, run without a shell, with errors that say what to install. */
import { execa } from 'execa';
import type { Readable } from 'node:stream';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';

/** The Debian package of each program treewright calls, for the hint when it is missing. */
const PACKAGE_OF: Readonly<Record<string, string>> = {
  xz: 'xz-utils',
  zstd: 'zstd',
  bzip2: 'bzip2',
  gzip: 'gzip',
  mkimage: 'u-boot-tools',
  dtc: 'device-tree-compiler',
};

function toolError(program: string, args: readonly string[], error: unknown): TreewrightError {
  // A directory of PATH that may not be searched makes a missing program fail with EACCES.
  if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'EACCES') {
    return new TreewrightError(
      'tool/missing',
      `the program "${program}" is needed but not on PATH; install ${PACKAGE_OF[program] ?? program}`,
      { cause: error, data: { program } },
    );
  }
  const printed = typeof error === 'object' && error !== null && 'stderr' in error ? error.stderr : undefined;
  const text = printed instanceof Uint8Array ? Buffer.from(printed).toString() : printed;
  const stderr =
    typeof text === 'string'
      ? text
          .trim()
          .split(/\s*\n\s*/)
          .slice(0, 3)
          .join('; ')
      : '';
  return new TreewrightError(
    'tool/failed',
    `"${program} ${args.join(' ')}" failed${stderr === '' ? '' : `: ${stderr}`}`,
    { cause: error, data: { program } },
  );
}

export interface ProgramOptions {
  readonly cwd?: string;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds. */
  readonly timeout: number;
}

/** Runs a program that works on files, without a terminal to ask questions on. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<void> {
  try {
    // In a session of its own: a program that wants a passphrase opens /dev/tty whatever its input is.
    await execa(program, args, { ...options, stdin: 'ignore', stdout: 'ignore', detached: true });
  } catch (error) {
    throw toolError(program, args, error);
  }
}

/** Sends `input` through a filter program such as `xz -d -c` and returns what it prints. */
export async function filterBytes(
  program: string,
  args: readonly string[],
  input: Uint8Array,
): Promise<Uint8Array> {
  try {
    const result = await execa(program, args, { input, encoding: 'buffer', stripFinalNewline: false });
    return result.stdout;
  } catch (error) {
    throw toolError(program, args, error);
  }
}

/** Streams `input` through a filter program; the stream ends with an error when the program fails. */
export async function* filterStream(
  program: string,
  args: readonly string[],
  input: Readable,
): AsyncGenerator<Uint8Array> {
  const child = execa(program, args, { input, buffer: { stdout: false }, encoding: 'buffer' });
  const failure = child.then(
    () => undefined,
    (error: unknown) => toolError(program, args, error),
  );
  let ended = false;
  try {
    for await (const chunk of child.stdout) yield chunk as Uint8Array;
    ended = true;
  } finally {
    // A consumer that stops early leaves the program writing to nobody.
    if (!ended) child.kill();
  }
  const error = await failure;
  if (error !== undefined) throw error;
}

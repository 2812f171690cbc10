/** What the command line writes to, and what it may assume about it. */
import pc from 'picocolors';

/** The part of a writable stream that is used here; `process.stdout` and a test's array both fit. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Terminal {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Environment;
}

export type Paint = ReturnType<typeof pc.createColors>;

/** Colours only on a terminal, and never against NO_COLOR (https://no-color.org); FORCE_COLOR asks for them anyway. */
export function paintFor(output: Output, env: Environment): Paint {
  if (env['NO_COLOR']) return pc.createColors(false);
  if (env['FORCE_COLOR'] && env['FORCE_COLOR'] !== '0') return pc.createColors(true);
  return pc.createColors(output.isTTY === true && env['TERM'] !== 'dumb');
}

/** Whether lines may be redrawn there: not in a file, a pipe, a dumb terminal or a CI log that calls itself one. */
export function canRedraw(output: Output, env: Environment): boolean {
  return output.isTTY === true && env['TERM'] !== 'dumb' && !env['CI'];
}

/** Whether the terminal shows more than ASCII, by the same variables that libc looks at. */
export function hasUnicode(env: Environment): boolean {
  if (env['TERM'] === 'linux') return false;
  return /utf-?8/i.test(env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '');
}

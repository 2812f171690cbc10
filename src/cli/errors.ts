/** From anything thrown to what the user reads, what a machine reads, and the exit code. */
import type { ErrorCode, ErrorData } from '../core/errors.ts';
import { exitCodeOf, isTreewrightError, systemErrorCode, TreewrightError } from '../core/errors.ts';
import { printable } from './format.ts';
import type { Paint } from './terminal.ts';

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
  readonly data: ErrorData;
  readonly exitCode: number;
  readonly stack?: string;
}

/** The members of TreewrightError's `data` that say where, in the order in which they are tried. */
const PLACES = ['file', 'path', 'location', 'repo', 'url'] as const;

/** What the operating system refuses, in terms of what the user can do. */
const SYSTEM_ERRORS: Readonly<Record<string, readonly [code: ErrorCode, what: string, hint?: string]>> = {
  ENOSPC: [
    'input/no-space',
    'no space is left on the device',
    'free some space and run again; what was published before is whole',
  ],
  EDQUOT: ['input/no-space', 'the disk quota is used up', 'free some space and run again'],
  EFBIG: ['input/no-space', 'the file would be larger than the file system or a limit allows'],
  EACCES: ['input/permission', 'permission denied'],
  EPERM: ['input/permission', 'the operation is not permitted'],
  EROFS: ['input/permission', 'the file system is read-only'],
  ENOENT: ['input/not-found', 'no such file or directory'],
  ENOTDIR: ['input/not-found', 'a part of the path is not a directory'],
  EEXIST: ['input/exists', 'a file of that name is in the way', 'move it away, or name another place'],
  ENOTEMPTY: ['input/exists', 'a directory with content is in the way'],
  EISDIR: ['input/not-found', 'it is a directory, a file was expected'],
  ELOOP: ['input/not-found', 'too many levels of symbolic links'],
  ENAMETOOLONG: ['input/not-found', 'the name is too long'],
  EXDEV: ['input/io', 'it lies on another file system than the rest of its directory'],
  EBUSY: ['input/io', 'it is in use'],
  ETXTBSY: ['input/io', 'it is being executed'],
  EMLINK: ['input/io', 'the file system has no more room for names there'],
  ENOTSUP: ['input/io', 'the file system cannot do this'],
  ENXIO: ['input/io', 'there is no such device'],
  ENODEV: ['input/io', 'there is no such device'],
  ESTALE: ['input/io', 'the file server has lost the file', 'try again'],
  EIO: ['input/io', 'the device reports an input/output error'],
  EMFILE: ['tool/limit', 'too many files are open', 'raise the limit with `ulimit -n`'],
  ENFILE: ['tool/limit', 'too many files are open on this system'],
  ENOMEM: ['tool/limit', 'not enough memory'],
  ECONNREFUSED: ['network/unreachable', 'the connection was refused'],
  ECONNRESET: ['network/interrupted', 'the connection was reset', 'try again'],
  ETIMEDOUT: ['network/interrupted', 'the connection timed out', 'try again'],
  ENOTFOUND: ['network/unreachable', 'the host name is not known'],
  EAI_AGAIN: ['network/unreachable', 'the host name cannot be looked up now', 'try again'],
  EHOSTUNREACH: ['network/unreachable', 'the host cannot be reached'],
  ENETUNREACH: ['network/unreachable', 'the network cannot be reached'],
};

const BUG_HINT =
  'this is a bug in treewright: please report it with this message, the command, and what --verbose prints';

/** Describes any thrown value. Nothing but a TreewrightError's own `data` is passed on as data. */
export function describeFailure(error: unknown): Failure {
  const stack = error instanceof Error ? stackOf(error) : undefined;
  const withStack = stack === undefined ? {} : { stack };
  if (isTreewrightError(error)) {
    const { hint, ...data } = error.data;
    const internal = error.code.startsWith('internal/');
    const text = typeof hint === 'string' ? hint : internal ? BUG_HINT : undefined;
    return {
      code: error.code,
      message: error.message,
      ...(text === undefined ? {} : { hint: text }),
      data,
      exitCode: exitCodeOf(error),
      ...withStack,
    };
  }
  const system = systemFailure(error);
  if (system) return { ...system, ...withStack };
  const message = error instanceof Error ? `${error.name}: ${error.message}` : `thrown: ${String(error)}`;
  return { code: 'internal/unexpected', message, hint: BUG_HINT, data: {}, exitCode: 1, ...withStack };
}

function systemFailure(error: unknown): Failure | undefined {
  const code = systemErrorCode(error);
  const known = code === undefined ? undefined : SYSTEM_ERRORS[code];
  if (code === undefined || known === undefined || !(error instanceof Error)) return undefined;
  const [domain, what, hint] = known;
  const path = 'path' in error && typeof error.path === 'string' ? error.path : undefined;
  const coded = new TreewrightError(
    domain,
    path === undefined ? `${what} (${code})` : `${path}: ${what} (${code})`,
  );
  return {
    code: coded.code,
    message: coded.message,
    ...(hint === undefined ? {} : { hint }),
    data: { errno: code, ...(path === undefined ? {} : { path }) },
    exitCode: exitCodeOf(coded),
  };
}

function stackOf(error: Error): string {
  const text = error.stack ?? `${error.name}: ${error.message}`;
  return error.cause instanceof Error ? `${text}\ncaused by: ${stackOf(error.cause)}` : text;
}

/** The block that ends a failed run: message, place, what to do, and the stack when asked for. */
export function failureText(failure: Failure, paint: Paint, verbose: boolean): string {
  const { code, message, hint, data, stack } = failure;
  const lines = [`${paint.red(paint.bold('error'))}: ${printable(message)} ${paint.dim(`[${code}]`)}`];
  const place = PLACES.map((name) => data[name]).find((value) => typeof value === 'string');
  if (place !== undefined && !message.includes(place)) lines.push(`  at: ${printable(place)}`);
  if (hint !== undefined && !message.includes(hint)) lines.push(`  hint: ${printable(hint)}`);
  if (verbose && stack !== undefined) lines.push(paint.dim(printable(stack)));
  return `${lines.join('\n')}\n`;
}

/** What `--json` prints for a failure. */
export function failureJson({ code, message, hint, data }: Failure): Record<string, unknown> {
  return { code, message, ...(hint === undefined ? {} : { hint }), data };
}

/**
 * Every failure treewright reports on purpose, grouped by the exit code it leads to.
 *
 * Callers test `code`, not the class: the class may exist twice when two copies of the package meet.
 */
export const EXIT_CODES = {
  internal: 1,
  usage: 2,
  config: 3,
  input: 4,
  trust: 5,
  tool: 6,
  network: 7,
} as const;

/** The domain of a failure, which is also the first word of its code. */
export type ErrorDomain = keyof typeof EXIT_CODES;

/** `domain/reason`, such as `input/no-kernel`. The part before the slash decides the exit code. */
export type ErrorCode = `${ErrorDomain}/${string}`;

/** JSON-safe facts about a failure. Never holds key material. */
export type ErrorData = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** A failure with a stable code, a message that says what, where and what to do, and JSON-safe data. */
export class TreewrightError extends Error {
  override readonly name = 'TreewrightError';
  readonly code: ErrorCode;
  readonly data: ErrorData;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; data?: ErrorData } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.data = options.data ?? {};
  }
}

/** True for a TreewrightError of any realm or package copy. */
export function isTreewrightError(error: unknown): error is TreewrightError {
  return error instanceof Error && error.name === 'TreewrightError' && 'code' in error && 'data' in error;
}

/** The process exit code for any thrown value; what carries no code is an internal error. */
export function exitCodeOf(error: unknown): number {
  if (!isTreewrightError(error)) return EXIT_CODES.internal;
  const domain = error.code.slice(0, error.code.indexOf('/'));
  return domain in EXIT_CODES ? EXIT_CODES[domain as ErrorDomain] : EXIT_CODES.internal;
}

/** The `code` of a failed Node system call (`ENOENT`, ...), or undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Files of the host that go onto a disk: their sizes before, their content while it is written. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { ErrorCode } from '../../core/errors.ts';
import { TreewrightError, systemErrorCode } from '../../core/errors.ts';

/** Bytes read at once. */
const CHUNK = 1 << 20;

/**
 * Size of a regular file that is not empty.
 *
 * @param what what the file is, such as `the boot loader file`
 * @param advice what to do when it is missing
 * @throws TreewrightError `code` when it is not there, no file, or empty
 */
export async function sizeOfInput(
  path: string,
  { what, board, code, advice }: { what: string; board: string | undefined; code: ErrorCode; advice: string },
): Promise<number> {
  const owner = board === undefined ? '' : ` of the board "${board}"`;
  const fail = (problem: string, cause?: unknown): never => {
    throw new TreewrightError(
      code,
      `${what} ${basename(path)}${owner} ${problem}: looked for ${path}; ${advice}`,
      { cause, data: { path, board: board ?? null } },
    );
  };
  try {
    const facts = await stat(path);
    if (!facts.isFile()) return fail('is not a file');
    if (facts.size === 0) return fail('is empty');
    return facts.size;
  } catch (error) {
    const reason = systemErrorCode(error);
    if (reason === undefined) throw error;
    return fail(
      reason === 'ENOENT' || reason === 'ENOTDIR' ? 'is missing' : `cannot be read (${reason})`,
      error,
    );
  }
}

/** Content of a file of the host, in chunks. */
export async function* readInput(path: string): AsyncGenerator<Uint8Array> {
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK })) yield chunk as Uint8Array;
}

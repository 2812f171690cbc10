/** Reading the small text files of an app's folder. */
import { open } from 'node:fs/promises';
import { fromUtf8 } from '../core/bytes.ts';
import { TreewrightError, isTreewrightError, systemErrorCode } from '../core/errors.ts';

/** For `.env` and `.composeappignores`, in bytes. */
export const MAX_TEXT_SIZE = 1024 * 1024;

/** Throws `config/no-compose-file`, `config/not-utf8` or `input/too-large`. */
export async function readText(file: string, limit: number): Promise<string> {
  try {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      if (size > limit) {
        throw new TreewrightError(
          'input/too-large',
          `${file} has ${size} bytes; at most ${limit} are allowed`,
        );
      }
      const text = fromUtf8(await handle.readFile());
      if (text === undefined) throw new TreewrightError('config/not-utf8', `${file} is not UTF-8`);
      return text;
    } finally {
      await handle.close();
    }
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'EISDIR') {
      throw new TreewrightError('config/no-compose-file', `there is no file ${file}`, { cause: error });
    }
    throw error;
  }
}

/** Undefined when the file is absent. */
export async function readOptional(file: string, limit: number): Promise<string | undefined> {
  try {
    return await readText(file, limit);
  } catch (error) {
    if (isTreewrightError(error) && error.code === 'config/no-compose-file') return undefined;
    throw error;
  }
}

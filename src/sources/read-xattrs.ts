/** Xattrs of a directory by getfattr, which Node itself cannot read. */
import { Readable } from 'node:stream';
import { compareUtf8 } from '../core/bytes.ts';
import { isTreewrightError } from '../core/errors.ts';
import { decodeFattrBlock, utf8OfLatin1 } from '../formats/getfattr.ts';
import { filterStream } from '../platform/processes.ts';
import type { Xattr } from '../tree/types.ts';

/** Xattrs by path relative to `directory` (the root is empty); undefined when getfattr is not there. */
export async function readXattrs(
  directory: string,
): Promise<ReadonlyMap<string, readonly Xattr[]> | undefined> {
  const found = new Map<string, readonly Xattr[]>();
  let block: string[] = [];
  const finish = (): void => {
    if (block.length === 0) return;
    const { path, xattrs } = decodeFattrBlock(block);
    block = [];
    // A name that is not UTF-8 is refused where the name itself is read.
    const name = utf8OfLatin1(path);
    if (name === undefined || !name.startsWith(directory)) return;
    // libostree does not see an xattr without a value (libglnx skips a length of 0), so neither do we.
    const sorted = xattrs.filter(({ value }) => value.length > 0).sort((a, b) => compareUtf8(a.name, b.name));
    found.set(name.slice(directory.length).replace(/^\//, ''), sorted);
  };
  const args = ['-R', '-P', '-h', '-d', '-m', '-', '-e', 'base64', '--absolute-names', '--', directory];
  let rest = '';
  try {
    for await (const chunk of filterStream('getfattr', args, Readable.from([]))) {
      const lines = (rest + Buffer.from(chunk).toString('latin1')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line === '') finish();
        else block.push(line);
      }
    }
  } catch (error) {
    if (isTreewrightError(error) && error.code === 'tool/missing') return undefined;
    throw error;
  }
  if (rest !== '') block.push(rest);
  finish();
  return found;
}

/**
 * What `getfattr --dump --encoding=base64` prints: a block per file, `# file: path`, lines `name=0sBASE64`,
 * an empty line. Source: getfattr(1); backslash, newline and carriage return come as a backslash and three octal digits.
 */
import { fromUtf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';

const HEADER = '# file: ';

/** One file of a dump. The path is bytes as text of latin1, because file names need not be UTF-8. */
export interface FattrBlock {
  readonly path: string;
  readonly xattrs: readonly { readonly name: string; readonly value: Uint8Array }[];
}

function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Text of UTF-8 from text of latin1; undefined when it is not UTF-8. */
export function utf8OfLatin1(text: string): string | undefined {
  return fromUtf8(Uint8Array.from(text, (character) => character.charCodeAt(0)));
}

/** Decodes the lines of one block, without the empty line; `lines` are latin1. */
export function decodeFattrBlock(lines: readonly string[]): FattrBlock {
  const [first = '', ...rest] = lines;
  if (!first.startsWith(HEADER)) {
    throw new TreewrightError(
      'tool/bad-output',
      `getfattr printed ${JSON.stringify(first.slice(0, 80))} where "${HEADER}" was expected`,
    );
  }
  const xattrs = rest.map((line) => {
    const equals = line.indexOf('=');
    const name = utf8OfLatin1(unescape(equals < 0 ? line : line.slice(0, equals)));
    const value = equals < 0 ? '' : line.slice(equals + 1);
    if (name === undefined || name === '' || (value !== '' && !/^0s[A-Za-z0-9+/]*={0,2}$/.test(value))) {
      throw new TreewrightError(
        'tool/bad-output',
        `getfattr printed the line ${JSON.stringify(line.slice(0, 80))}, expected name=0sBASE64`,
      );
    }
    return { name, value: fromBase64(value.slice(2)) };
  });
  return { path: unescape(first.slice(HEADER.length)), xattrs };
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/**
 * U-Boot's environment: the text that `env import -t` reads (uEnv.txt) and the binary form in flash, on a raw
 * partition or in a file. Source: U-Boot lib/hashtable.c, include/env_internal.h, tools/mkenvimage.c.
 */
import { compareUtf8, fromUtf8, utf8 } from '../core/bytes.ts';
import { crc32 } from '../core/crc32.ts';
import { TreewrightError } from '../core/errors.ts';

/** Largest environment that is read, in bytes; boards use 8 KiB to 256 KiB. */
export const MAX_ENVIRONMENT_SIZE = 1024 * 1024;

/** What an import does to the environment: sets a variable, or deletes it when `value` is undefined. */
export interface EnvironmentChange {
  readonly name: string;
  readonly value: string | undefined;
}

function fail(problem: string): never {
  throw new TreewrightError('input/bad-uboot-env', `U-Boot environment: ${problem}`);
}

function isBlank(char: string | undefined): boolean {
  return char === ' ' || char === '\t';
}

/**
 * The changes `env import -t` makes, in order. As in U-Boot: blanks before a name are dropped, `#` starts a
 * comment line, `name` and `name=` delete, a backslash takes the next character as it is, even a line end,
 * a NUL separates like a line end, and a second one ends the text. A carriage return is part of the value.
 *
 * Throws `input/bad-uboot-env` at a value without a name, where U-Boot stops too.
 */
export function parseEnvironmentText(text: string): EnvironmentChange[] {
  return parseSeparated(text, '\n');
}

function parseSeparated(text: string, separator: '\n' | '\0'): EnvironmentChange[] {
  const changes: EnvironmentChange[] = [];
  // An index past the end reads as NUL, as U-Boot's copy of the text has one there.
  const at = (index: number): string => text[index] ?? '\0';
  const ends = (index: number): boolean => at(index) === '\0' || at(index) === separator;
  let next = 0;
  if (text.length === 0) return changes;
  do {
    while (isBlank(at(next))) next++;
    if (at(next) === '#') {
      while (!ends(next)) next++;
      next++;
      continue;
    }
    const start = next;
    while (at(next) !== '=' && !ends(next)) next++;
    const name = text.slice(start, next);
    if (ends(next) || ends(next + 1)) {
      next += at(next) === '=' ? 2 : 1;
      if (name !== '') changes.push({ name, value: undefined });
      continue;
    }
    next++;
    let value = '';
    for (; !ends(next); next++) {
      if (at(next) === '\\' && at(next + 1) !== '\0') next++;
      value += at(next);
    }
    next++;
    if (name === '') fail(`the value ${JSON.stringify(value.slice(0, 40))} has no name before its "="`);
    changes.push({ name, value });
  } while (next < text.length && at(next) !== '\0');
  return changes;
}

/** The variables after importing into an empty environment. */
export function applyChanges(changes: readonly EnvironmentChange[]): Map<string, string> {
  const variables = new Map<string, string>();
  for (const { name, value } of changes) {
    if (value === undefined) variables.delete(name);
    else variables.set(name, value);
  }
  return variables;
}

/** Why U-Boot could not hold a variable of this name and value, or undefined. */
function variableProblem(name: string, value: string): string | undefined {
  if (name === '') return 'a name is empty';
  if (/[=\0\n]/.test(name) || isBlank(name[0]) || name.startsWith('#')) {
    return `the name ${JSON.stringify(name)} could not be read back`;
  }
  if (value === '') return `${name} is empty, which means that it is deleted`;
  if (value.includes('\0')) return `the value of ${name} contains a NUL`;
  return undefined;
}

function checkVariables(variables: ReadonlyMap<string, string>): void {
  for (const [name, value] of variables) {
    const problem = variableProblem(name, value);
    if (problem !== undefined)
      throw new TreewrightError('input/bad-uboot-env', `U-Boot environment: ${problem}`);
  }
}

/** The text `env export -t` writes: sorted by name, line ends and backslashes escaped. */
export function formatEnvironmentText(variables: ReadonlyMap<string, string>): string {
  checkVariables(variables);
  return [...variables]
    .sort(([a], [b]) => compareUtf8(a, b))
    .map(([name, value]) => `${name}=${value.replace(/[\\\n]/g, '\\$&')}\n`)
    .join('');
}

/** How an environment lies in its storage. */
export interface EnvironmentLayout {
  /** Bytes of the whole storage (CONFIG_ENV_SIZE). */
  readonly size: number;
  /** One of two copies: a flag byte follows the checksum. */
  readonly redundant?: boolean;
  /** Byte order of the checksum; the target's. Little-endian unless said otherwise. */
  readonly bigEndian?: boolean;
}

const CRC_SIZE = 4;

function headerSize(layout: EnvironmentLayout): number {
  return CRC_SIZE + (layout.redundant === true ? 1 : 0);
}

/**
 * A binary environment: CRC-32 of what follows, the flag byte of a redundant one, `name=value` strings each with
 * its NUL, an empty string, fill. In the given order, as `mkenvimage` writes it; `fill` and `flag` have its defaults.
 *
 * Backslashes are doubled, because U-Boot's import drops a single one in this form too.
 */
export function encodeEnvironment(
  variables: ReadonlyMap<string, string>,
  layout: EnvironmentLayout,
  options: { readonly fill?: number; readonly flag?: number } = {},
): Uint8Array {
  checkVariables(variables);
  const text = utf8(
    [...variables].map(([name, value]) => `${name}=${value.replaceAll('\\', '\\\\')}\0`).join('') + '\0',
  );
  // An empty environment still is two NULs, so that the first name is empty.
  const strings = variables.size === 0 ? new Uint8Array(2) : text;
  const start = headerSize(layout);
  if (!Number.isInteger(layout.size) || layout.size > MAX_ENVIRONMENT_SIZE) {
    throw new TreewrightError(
      'config/bad-env-size',
      `the size of a U-Boot environment must be a whole number of bytes up to ${MAX_ENVIRONMENT_SIZE}, got ${layout.size}`,
    );
  }
  if (start + strings.length > layout.size) {
    throw new TreewrightError(
      'config/env-too-small',
      `the U-Boot environment needs ${start + strings.length} bytes, its storage has ${layout.size}`,
      { data: { needed: start + strings.length, size: layout.size } },
    );
  }
  const out = new Uint8Array(layout.size).fill(options.fill ?? 0xff, start);
  out.set(strings, start);
  if (layout.redundant === true) out[CRC_SIZE] = options.flag ?? 1;
  new DataView(out.buffer).setUint32(0, crc32(out.subarray(start)), layout.bigEndian !== true);
  return out;
}

/** The variables of a binary environment whose checksum is right; `flag` is there for a redundant one. */
export function decodeEnvironment(
  bytes: Uint8Array,
  layout: EnvironmentLayout,
): { readonly variables: Map<string, string>; readonly flag?: number } {
  const start = headerSize(layout);
  if (bytes.length !== layout.size || bytes.length > MAX_ENVIRONMENT_SIZE || bytes.length < start + 2) {
    fail(`it has ${bytes.length} bytes, expected ${layout.size}, at most ${MAX_ENVIRONMENT_SIZE}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data = bytes.subarray(start);
  if (crc32(data) !== view.getUint32(0, layout.bigEndian !== true)) fail('its checksum is wrong');
  // What lies after the empty string is fill or the rest of a longer, older environment.
  let end = 0;
  while (data[end] !== 0 || data[end + 1] !== 0) {
    if (++end >= data.length - 1) fail('nothing ends its list of variables');
  }
  const text = fromUtf8(data.subarray(0, end));
  if (text === undefined) fail('it is not UTF-8');
  const variables = new Map<string, string>();
  for (const entry of text === '' ? [] : text.split('\0')) {
    const equals = entry.indexOf('=');
    if (equals < 1) fail(`the entry ${JSON.stringify(entry.slice(0, 40))} is not name=value`);
    const name = entry.slice(0, equals);
    if (variables.has(name)) fail(`${JSON.stringify(name)} is set twice`);
    variables.set(name, entry.slice(equals + 1).replace(/\\(.)/gs, '$1'));
  }
  const flag = layout.redundant === true ? view.getUint8(CRC_SIZE) : undefined;
  return { variables, ...(flag === undefined ? {} : { flag }) };
}

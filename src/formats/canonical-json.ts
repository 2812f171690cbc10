/**
 * Canonical JSON, the byte form that TUF signatures cover, and a strict reader for what is signed.
 *
 * Rules of the OLPC form that TUF 1.0 names: no white space, members sorted by code point, integers only, and
 * in strings nothing escaped but `"` and `\`. aktualizr signs over jsoncpp's form instead, which differs as
 * soon as a string leaves printable ASCII; what we write stays inside the part where both agree.
 */
import { compareUtf8, fromUtf8, utf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';

/** Any JSON value without fractions. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

/** A JSON object. Its members may have any name, `__proto__` included. */
export interface JsonObject {
  readonly [name: string]: JsonValue;
}

/** True for an object, false for arrays and null. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Nesting that no metadata comes near; stops a hostile file from exhausting the stack. */
const MAX_DEPTH = 64;

/**
 * `portable`: what every client signs over alike; printable ASCII and safe integers only.
 * `any`: the full OLPC form, for checking signatures that others made.
 */
export type CanonicalCharset = 'portable' | 'any';

/**
 * The canonical bytes of a value, without a newline at the end.
 * Throws `input/not-canonical`, naming the member, for fractions, numbers beyond 2^53 - 1, lone surrogates,
 * anything that is not JSON, and in `portable` form for every character outside U+0020..U+007E.
 */
export function encodeCanonicalJson(value: unknown, charset: CanonicalCharset = 'portable'): Uint8Array {
  const out: string[] = [];
  writeValue(out, value, charset, '', 0);
  return utf8(out.join(''));
}

function refuse(path: string, problem: string): never {
  throw new TreewrightError(
    'input/not-canonical',
    `the value at ${path === '' ? 'the top' : path} cannot be signed: ${problem}`,
    { data: { path } },
  );
}

function writeValue(
  out: string[],
  value: unknown,
  charset: CanonicalCharset,
  path: string,
  depth: number,
): void {
  if (depth > MAX_DEPTH) refuse(path, `it is nested deeper than ${MAX_DEPTH} levels`);
  if (value === null || typeof value === 'boolean') out.push(String(value));
  else if (typeof value === 'number') out.push(numberText(value, path));
  else if (typeof value === 'string') out.push(stringText(value, charset, path));
  else if (Array.isArray(value)) {
    out.push('[');
    value.forEach((element: unknown, i) => {
      if (i > 0) out.push(',');
      writeValue(out, element, charset, `${path}/${i}`, depth + 1);
    });
    out.push(']');
  } else if (typeof value === 'object' && isPlain(value)) {
    out.push('{');
    const members = Object.entries(value).sort(([a], [b]) => compareUtf8(a, b));
    members.forEach(([name, member]: [string, unknown], i) => {
      if (i > 0) out.push(',');
      out.push(stringText(name, charset, path), ':');
      writeValue(out, member, charset, `${path}/${name}`, depth + 1);
    });
    out.push('}');
  } else {
    refuse(path, `JSON has no form for ${typeof value === 'object' ? 'this kind of object' : typeof value}`);
  }
}

/** Dates, Maps, typed arrays and the like have no members to speak of and would silently become `{}`. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function numberText(value: number, path: string): string {
  if (!Number.isInteger(value)) {
    refuse(path, `${value} is not an integer; clients print fractions differently, use a string instead`);
  }
  if (!Number.isSafeInteger(value)) refuse(path, `${value} is beyond 2^53 - 1, use a string instead`);
  return String(value);
}

const PORTABLE = /^[\x20-\x7e]*$/;

function stringText(text: string, charset: CanonicalCharset, path: string): string {
  if (!text.isWellFormed()) refuse(path, 'a string in it has a lone surrogate');
  if (charset === 'portable' && !PORTABLE.test(text)) {
    refuse(
      path,
      `${JSON.stringify(text.slice(0, 60))} has a character that is not printable ASCII; ` +
        'clients disagree on how such a character is signed',
    );
  }
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/**
 * Reads a JSON file that is going to be checked against a signature: UTF-8, one value, white space allowed.
 * Throws `input/bad-json` with the offset for what JSON.parse lets pass: a member named twice (parsers differ
 * on which one counts), fractions, integers beyond 2^53 - 1, lone surrogates, and endless nesting.
 */
export function parseStrictJson(bytes: Uint8Array): JsonValue {
  const text = fromUtf8(bytes);
  if (text === undefined) throw new TreewrightError('input/bad-json', 'the file is not valid UTF-8');
  const reader = { text, at: 0 };
  const value = readValue(reader, 0);
  skipSpace(reader);
  if (reader.at !== text.length) bad(reader, 'something follows the value');
  return value;
}

interface Reader {
  readonly text: string;
  at: number;
}

function bad(reader: Reader, problem: string): never {
  throw new TreewrightError('input/bad-json', `character ${reader.at + 1}: ${problem}`, {
    data: { offset: reader.at },
  });
}

const SPACE = /[ \t\n\r]*/y;
const INTEGER = /-?(?:0|[1-9][0-9]*)/y;

function skipSpace(reader: Reader): void {
  SPACE.lastIndex = reader.at;
  SPACE.test(reader.text);
  reader.at = SPACE.lastIndex;
}

/** Skips white space and takes `character` when it comes next. */
function take(reader: Reader, character: string): boolean {
  skipSpace(reader);
  if (reader.text[reader.at] !== character) return false;
  reader.at += 1;
  return true;
}

function readValue(reader: Reader, depth: number): JsonValue {
  if (depth > MAX_DEPTH) bad(reader, `nested deeper than ${MAX_DEPTH} levels`);
  if (take(reader, '{')) return readObject(reader, depth);
  if (take(reader, '[')) return readArray(reader, depth);
  if (reader.text[reader.at] === '"') return readString(reader);
  for (const [word, value] of WORDS) {
    if (reader.text.startsWith(word, reader.at)) {
      reader.at += word.length;
      return value;
    }
  }
  return readInteger(reader);
}

const WORDS: readonly (readonly [string, boolean | null])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];

function readObject(reader: Reader, depth: number): JsonObject {
  const members = new Map<string, JsonValue>();
  if (!take(reader, '}')) {
    do {
      skipSpace(reader);
      if (reader.text[reader.at] !== '"') bad(reader, 'expected a member name in quotes');
      const name = readString(reader);
      if (members.has(name)) bad(reader, `the member ${JSON.stringify(name.slice(0, 80))} is there twice`);
      if (!take(reader, ':')) bad(reader, 'expected ":"');
      members.set(name, readValue(reader, depth + 1));
    } while (take(reader, ','));
    if (!take(reader, '}')) bad(reader, 'expected "," or "}"');
  }
  // fromEntries defines members one by one, so that "__proto__" becomes a member like any other.
  return Object.fromEntries(members);
}

function readArray(reader: Reader, depth: number): JsonValue[] {
  const elements: JsonValue[] = [];
  if (take(reader, ']')) return elements;
  do elements.push(readValue(reader, depth + 1));
  while (take(reader, ','));
  if (!take(reader, ']')) bad(reader, 'expected "," or "]"');
  return elements;
}

function readString(reader: Reader): string {
  const start = reader.at;
  let end = start + 1;
  while (end < reader.text.length && reader.text[end] !== '"') end += reader.text[end] === '\\' ? 2 : 1;
  let value: unknown;
  try {
    value = JSON.parse(reader.text.slice(start, end + 1));
  } catch {
    bad(reader, 'a string is not closed, or has a bad escape or a raw control character');
  }
  if (typeof value !== 'string' || !value.isWellFormed()) bad(reader, 'a string has a lone surrogate');
  reader.at = end + 1;
  return value;
}

function readInteger(reader: Reader): number {
  INTEGER.lastIndex = reader.at;
  const digits = INTEGER.exec(reader.text)?.[0];
  if (digits === undefined) bad(reader, 'expected a value');
  const after = reader.text[reader.at + digits.length] ?? '';
  if (/[.eE]/.test(after)) bad(reader, 'numbers with a fraction or an exponent are not allowed');
  const value = Number(digits);
  if (!Number.isSafeInteger(value)) bad(reader, `the number ${digits.slice(0, 40)} is beyond 2^53 - 1`);
  reader.at += digits.length;
  return value === 0 ? 0 : value;
}

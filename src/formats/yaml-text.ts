/**
 * YAML text with one form for one value: what Go's yaml.v3 writes for decoded maps, lists and scalars.
 *
 * Compose tools are Go programs. composeapp names a service by the SHA-256 of the text yaml.v3 gives for it, so an
 * equal hash needs equal text. Rules read in yaml.v3: resolve.go (what a plain scalar means), sorter.go (order of
 * keys), encode.go and emitterc.go (quoting, indentation of four, no folding, no comments, no anchors).
 */
import { TreewrightError } from '../core/errors.ts';

/** Integers are bigints so that `1` and `1.0` stay apart and no digit is lost. */
export type YamlValue = null | boolean | bigint | number | string | readonly YamlValue[] | YamlMap;

/** A mapping; keys are strings, as Compose demands. */
export type YamlMap = ReadonlyMap<string, YamlValue>;

export function isYamlMap(value: YamlValue | undefined): value is YamlMap {
  return value instanceof Map;
}

const WORDS: ReadonlyMap<string, null | boolean | number> = new Map<string, null | boolean | number>([
  ...['', '~', 'null', 'Null', 'NULL'].map((word) => [word, null] as const),
  ...['true', 'True', 'TRUE'].map((word) => [word, true] as const),
  ...['false', 'False', 'FALSE'].map((word) => [word, false] as const),
  ...['.nan', '.NaN', '.NAN'].map((word) => [word, Number.NaN] as const),
  ...['.inf', '.Inf', '.INF'].flatMap((word) => [
    [word, Infinity] as const,
    [`+${word}`, Infinity] as const,
    [`-${word}`, -Infinity] as const,
  ]),
]);

const INTEGER = /^([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))$/;
const FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
const DATE =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:[Tt]|\s)(\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?(?:Z|[-+]\d\d:\d\d)?)?$/;

/** Booleans of YAML 1.1, which yaml.v3 reads as text and quotes when it writes. */
const OLD_BOOLEAN = /^(?:[yYnN]|yes|Yes|YES|on|On|ON|no|No|NO|off|Off|OFF)$/;
const BASE60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;

/** True for a plain scalar that yaml.v3 turns into a point in time. */
export function isTimestamp(text: string): boolean {
  const match = DATE.exec(text);
  if (match === null) return false;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
  const clock = Number.isNaN(hour) || (hour < 24 && minute < 60 && second < 60);
  return month >= 1 && month <= 12 && day >= 1 && day <= days && clock;
}

/** What an unquoted scalar means. Timestamps are given back as text; see {@link isTimestamp}. */
export function resolvePlainScalar(text: string): null | boolean | bigint | number | string {
  const word = WORDS.get(text);
  if (word !== undefined) return word;
  if (!/^[-+.0-9]/.test(text) || isTimestamp(text)) return text;
  if (text.startsWith('.')) return FLOAT.test(text) ? finiteOr(text, text) : text;
  const plain = text.replaceAll('_', '');
  const integer = INTEGER.exec(plain);
  if (integer !== null) {
    const [, sign, hex, binary, octal, decimal] = integer;
    const magnitude =
      hex !== undefined
        ? BigInt(`0x${hex}`)
        : binary !== undefined
          ? BigInt(`0b${binary}`)
          : octal !== undefined
            ? BigInt(`0o${octal}`)
            : BigInt(decimal ?? '0');
    const value = sign === '-' ? -magnitude : magnitude;
    // Go knows int64, and uint64 for what carries no sign.
    if (value >= -(1n << 63n) && value < 1n << (sign === '' ? 64n : 63n)) return value;
  }
  return FLOAT.test(plain) ? finiteOr(plain, text) : text;
}

function finiteOr(digits: string, text: string): number | string {
  const value = Number(digits);
  return Number.isFinite(value) ? value : text;
}

/** yaml.v3's order of keys: runs of digits by their value, letters after everything else. */
export function compareYamlKeys(a: string, b: string): number {
  const left = Array.from(a);
  const right = Array.from(b);
  let inDigits = false;
  for (let i = 0; i < left.length && i < right.length; i++) {
    const l = left[i] ?? '';
    const r = right[i] ?? '';
    if (l === r) {
      inDigits = isDigit(l);
      continue;
    }
    const byCode = (l.codePointAt(0) ?? 0) - (r.codePointAt(0) ?? 0);
    const leftLetter = isLetter(l);
    const rightLetter = isLetter(r);
    if (leftLetter && rightLetter) return byCode;
    if (leftLetter || rightLetter) return (inDigits ? leftLetter : rightLetter) ? -1 : 1;
    // A zero inside a number is a digit of it; at its start it counts only by the length of the run.
    const lead = (l === '0' || r === '0') && insideNumber(left, i) ? '1' : '';
    const leftRun = digitsFrom(left, i);
    const rightRun = digitsFrom(right, i);
    // Go counts in int64 and lets it overflow.
    const leftValue = BigInt.asIntN(64, BigInt(`${lead}${leftRun}` || '0'));
    const rightValue = BigInt.asIntN(64, BigInt(`${lead}${rightRun}` || '0'));
    if (leftValue !== rightValue) return leftValue < rightValue ? -1 : 1;
    return leftRun.length === rightRun.length ? byCode : leftRun.length - rightRun.length;
  }
  return left.length - right.length;
}

function isLetter(character: string): boolean {
  return /^\p{L}$/u.test(character);
}

function isDigit(character: string): boolean {
  return /^\p{Nd}$/u.test(character);
}

function insideNumber(characters: readonly string[], at: number): boolean {
  for (let j = at - 1; j >= 0 && isDigit(characters[j] ?? ''); j--) if (characters[j] !== '0') return true;
  return false;
}

function digitsFrom(characters: readonly string[], at: number): string {
  let end = at;
  while (end < characters.length && /^[0-9]$/.test(characters[end] ?? '')) end++;
  return characters.slice(at, end).join('');
}

/** Go's `strconv.FormatFloat(x, 'g', -1, 64)`. */
function formatFloat(value: number): string {
  if (Number.isNaN(value)) return '.nan';
  if (!Number.isFinite(value)) return value > 0 ? '.inf' : '-.inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const [mantissa = '', power = '0'] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent >= -4 && exponent < 6) return String(value);
  return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

type Style = 'plain' | 'single' | 'double' | 'literal';

const DOCUMENT_MARK = /^(?:---|\.\.\.)/;
const FIRST_INDICATOR = /^[#,[\]{}&*!|>'"%@`]/;
const PRINTABLE = /^[\n\x20-\x7e\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]*$/;

function styleOf(text: string, key: boolean): Style {
  const special = !PRINTABLE.test(text.replaceAll('\t', '')) || / \n/.test(text);
  if (text.includes('\n')) return special || text.endsWith(' ') || key ? 'double' : 'literal';
  const resolved = resolvePlainScalar(text);
  if (typeof resolved !== 'string' || isTimestamp(text) || OLD_BOOLEAN.test(text) || BASE60.test(text))
    return 'double';
  if (special || text.includes('\t')) return 'double';
  // Unquoted, it would be read as a merge key.
  if (text === '<<') return 'double';
  const indicator =
    DOCUMENT_MARK.test(text) ||
    FIRST_INDICATOR.test(text) ||
    /^[?-](?: |$)/.test(text) ||
    /:(?: |$)/.test(text) ||
    / #/.test(text);
  return indicator || text.startsWith(' ') || text.endsWith(' ') ? 'single' : 'plain';
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\0': '\\0',
  '\x07': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\v': '\\v',
  '\f': '\\f',
  '\r': '\\r',
  '\x1b': '\\e',
  '"': '\\"',
  '\\': '\\\\',
  '\x85': '\\N',
  '\u2028': '\\L',
  '\u2029': '\\P',
};

function doubleQuoted(text: string): string {
  let out = '"';
  for (const character of text) {
    const known = ESCAPES[character];
    if (known !== undefined) out += known;
    else if (character !== '\n' && PRINTABLE.test(character)) out += character;
    else {
      const code = character.codePointAt(0) ?? 0;
      const digits = code.toString(16).toUpperCase();
      if (code <= 0xff) out += `\\x${digits.padStart(2, '0')}`;
      else if (code <= 0xffff) out += `\\u${digits.padStart(4, '0')}`;
      else out += `\\U${digits.padStart(8, '0')}`;
    }
  }
  return `${out}"`;
}

/** A block scalar; `indent` is that of its lines, `parent` that of the collection it stands in. */
function literal(text: string, parent: number, indent: number): string {
  const leading = text.startsWith(' ');
  // yaml.v3 always writes the indicator 4, which is wrong in lists, and loses a line break at the start: we quote.
  if (text.startsWith('\n') || (leading && indent - parent !== 4)) return doubleQuoted(text);
  const chomp = text.endsWith('\n\n') ? '+' : text.endsWith('\n') ? '' : '-';
  const lines = text.split('\n').map((line) => (line === '' ? '' : ' '.repeat(indent) + line));
  const body = lines.join('\n');
  return `|${leading ? '4' : ''}${chomp}\n${text.endsWith('\n') ? body.slice(0, -1) : body}`;
}

function scalar(value: null | boolean | bigint | number | string, parent: number, indent: number): string {
  if (value === null) return 'null';
  if (typeof value === 'number') return formatFloat(value);
  if (typeof value !== 'string') return String(value);
  switch (styleOf(value, false)) {
    case 'plain':
      return value;
    case 'single':
      return `'${value.replaceAll("'", "''")}'`;
    case 'double':
      return doubleQuoted(value);
    case 'literal':
      return literal(value, parent, indent);
  }
}

function key(text: string): string {
  const style = styleOf(text, true);
  if (style === 'plain') return text;
  return style === 'single' ? `'${text.replaceAll("'", "''")}'` : doubleQuoted(text);
}

/** Lines of a value that follows a key or a dash; the first one has no indentation. */
function block(value: YamlValue, parent: number, indent: number, out: string[], head: string): void {
  if (value instanceof Map) {
    if (value.size === 0) out.push(`${head} {}`);
    else mapping(value as YamlMap, indent, out, head);
  } else if (Array.isArray(value)) {
    if (value.length === 0) out.push(`${head} []`);
    else sequence(value as readonly YamlValue[], indent, out, head);
  } else {
    out.push(`${head} ${scalar(value as null | boolean | bigint | number | string, parent, indent)}`);
  }
}

/** `head` is what stands before the first entry: nothing, `key:` or a dash. */
function mapping(map: YamlMap, indent: number, out: string[], head: string): void {
  let lead = startOfCollection(indent, out, head);
  // Everything aligns to four, also below a dash, which takes only two.
  const inner = 4 * Math.floor((indent + 4) / 4);
  for (const name of [...map.keys()].sort(compareYamlKeys)) {
    block(map.get(name) ?? null, indent, inner, out, `${lead}${key(name)}:`);
    lead = ' '.repeat(indent);
  }
}

function sequence(items: readonly YamlValue[], indent: number, out: string[], head: string): void {
  let lead = startOfCollection(indent, out, head);
  for (const item of items) {
    block(item, indent, indent + 2, out, `${lead}-`);
    lead = ' '.repeat(indent);
  }
}

function startOfCollection(indent: number, out: string[], head: string): string {
  if (head.endsWith('-')) return `${head} `;
  if (head !== '') out.push(head);
  return ' '.repeat(indent);
}

/** The text of a document. Throws `input/bad-yaml` for text with lone surrogates. */
export function encodeYaml(value: YamlMap): string {
  if (value.size === 0) return '{}\n';
  const out: string[] = [];
  mapping(value, 0, out, '');
  const text = `${out.join('\n')}\n`;
  if (!text.isWellFormed()) {
    throw new TreewrightError('input/bad-yaml', 'a text of the document is not valid Unicode');
  }
  return text;
}

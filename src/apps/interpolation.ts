/**
 * Compose's variables in texts: `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:+other}`,
 * `${VAR+other}`, `${VAR:?message}`, `${VAR?message}` and `$$` for a dollar sign.
 * Source: Compose specification, "Interpolation"; `.env` files as docker compose reads them.
 */
import { TreewrightError } from '../core/errors.ts';

export interface Variable {
  readonly name: string;
  /** The operator, such as `:-`, and what stands after it. */
  readonly operator?: string;
  readonly argument?: string;
}

type Piece = string | Variable;

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const OPERATOR = /:?[-+?]/y;
const MAX_NESTING = 16;

function bad(message: string): TreewrightError {
  return new TreewrightError('config/bad-interpolation', message);
}

function match(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** Literal texts and variables in order. Throws `config/bad-interpolation` for a `$` that starts nothing. */
function pieces(text: string): Piece[] {
  const out: Piece[] = [];
  let from = 0;
  for (let at = text.indexOf('$'); at >= 0; at = text.indexOf('$', from)) {
    out.push(text.slice(from, at));
    if (text[at + 1] === '$') {
      out.push('$');
      from = at + 2;
      continue;
    }
    const braced = text[at + 1] === '{';
    const start = at + (braced ? 2 : 1);
    const name = match(NAME, text, start);
    if (name === undefined) {
      throw bad(`${JSON.stringify(text)} has a "$" that starts no variable; write "$$" for a dollar sign`);
    }
    from = start + name.length;
    if (!braced) {
      out.push({ name });
      continue;
    }
    const end = closingBrace(text, from);
    const operator = match(OPERATOR, text, from);
    if (operator === undefined && end !== from)
      throw bad(`${JSON.stringify(text)}: "${name}" is followed by something unknown`);
    out.push(
      operator === undefined
        ? { name }
        : { name, operator, argument: text.slice(from + operator.length, end) },
    );
    from = end + 1;
  }
  out.push(text.slice(from));
  return out;
}

/** Defaults may hold variables themselves. */
function closingBrace(text: string, from: number): number {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    if (text.startsWith('${', at)) depth++;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  throw bad(`${JSON.stringify(text)} has a "\${" without its "}"`);
}

/** The variables of a text, without those inside defaults. A text that is not well formed has none. */
export function variablesOf(text: string): readonly Variable[] {
  try {
    return pieces(text).filter((piece) => typeof piece !== 'string');
  } catch {
    return [];
  }
}

/**
 * Replaces the variables. One that is neither set nor has a default is an error that names it: an empty text in
 * its place, which is what docker compose takes, would make another image name.
 */
export function interpolate(text: string, lookup: (name: string) => string | undefined, nesting = 0): string {
  if (nesting > MAX_NESTING) throw bad('variables are nested too deeply');
  const resolve = (argument: string): string => interpolate(argument, lookup, nesting + 1);
  return pieces(text)
    .map((piece) => {
      if (typeof piece === 'string') return piece;
      const { name, operator = '', argument = '' } = piece;
      const value = lookup(name);
      const usable = value !== undefined && !(operator.startsWith(':') && value === '');
      switch (operator.at(-1)) {
        case '-':
          return usable ? value : resolve(argument);
        case '+':
          return usable ? resolve(argument) : '';
        default:
          if (usable) return value;
          throw new TreewrightError(
            'config/unset-variable',
            `the variable ${name} is not set${argument === '' ? '' : ` (${argument})`}; set it in the environment or in the ".env" file beside the Compose file`,
            { data: { variable: name } },
          );
      }
    })
    .join('');
}

/** Variables of a `.env` file; later lines may use earlier ones and the environment. */
export function parseDotEnv(text: string, outer: (name: string) => string | undefined): Map<string, string> {
  const values = new Map<string, string>();
  const lookup = (name: string): string => outer(name) ?? values.get(name) ?? '';
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/);
  for (let i = 0; i < lines.length; i++) {
    const line = (lines[i] ?? '').trimStart();
    if (line === '' || line.startsWith('#')) continue;
    const head = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:[=:]\s*(.*))?$/s.exec(line);
    const name = head?.[1];
    if (name === undefined) throw bad(`line ${i + 1} is not NAME=value`);
    let value = head?.[2];
    if (value === undefined) {
      // A bare name passes the outer variable on.
      const inherited = outer(name);
      if (inherited !== undefined) values.set(name, inherited);
      continue;
    }
    const quote = /^['"]/.exec(value)?.[0];
    if (quote === undefined) {
      values.set(name, interpolate(value.replace(/(?:^|\s+)#.*$/, '').trimEnd(), lookup));
      continue;
    }
    const start = i;
    while (quotedText(value, quote) === undefined) {
      const next = lines[++i];
      if (next === undefined) throw bad(`line ${start + 1} opens a quote that is never closed`);
      value += `\n${next}`;
    }
    const inner = quotedText(value, quote) ?? '';
    values.set(name, quote === "'" ? inner : interpolate(unescape(inner), lookup));
  }
  return values;
}

function quotedText(text: string, quote: string): string | undefined {
  const pattern = quote === "'" ? /^'([^']*)'/ : /^"((?:[^"\\]|\\.)*)"/s;
  return pattern.exec(text)?.[1];
}

function unescape(text: string): string {
  const known: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', $: '$$' };
  return text.replace(/\\(.)/gs, (_, character: string) => known[character] ?? character);
}

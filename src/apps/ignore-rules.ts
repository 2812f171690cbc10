/**
 * `.composeappignores`: what composectl leaves out of an app's archive, in the syntax of `.dockerignore`.
 * Source: composeapp publish.go (getIgnores); Docker's documentation of .dockerignore.
 */
import { posix } from 'node:path';
import { TreewrightError } from '../core/errors.ts';

/** The file's name; composectl leaves it out of the archive when it holds a rule. */
export const IGNORE_FILE = '.composeappignores';

export interface IgnoreRules {
  /** True when the path, or a directory above it, is left out. */
  matches(path: string): boolean;
  /** True when a rule starts with `!`. */
  readonly hasExceptions: boolean;
}

/** Leaves nothing out. */
export const NO_IGNORE_RULES: IgnoreRules = { matches: () => false, hasExceptions: false };

/** Parses the file's text. The last rule that matches a path decides. */
export function parseIgnoreRules(text: string): IgnoreRules {
  const rules: { keep: boolean; pattern: RegExp }[] = [];
  for (const line of text.replace(/^\ufeff/, '').split('\n')) {
    const rule = line.trim();
    if (rule === '' || line.startsWith('#')) continue;
    const keep = rule.startsWith('!');
    const clean = posix.normalize((keep ? rule.slice(1) : rule).trim()).replace(/^\/+|\/+$/g, '');
    if (clean !== '' && clean !== '.') rules.push({ keep, pattern: compile(clean) });
  }
  if (rules.length === 0) return NO_IGNORE_RULES;
  rules.push({ keep: false, pattern: compile(IGNORE_FILE) });
  return {
    hasExceptions: rules.some(({ keep }) => keep),
    matches: (path) => {
      let ignored = false;
      for (const { keep, pattern } of rules) if (keep === ignored && pattern.test(path)) ignored = !keep;
      return ignored;
    },
  };
}

/** `*` and `?` stay within a component, `**` goes through any number of them, below a match everything matches. */
function compile(pattern: string): RegExp {
  let source = '';
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] ?? '';
    if (pattern.startsWith('**', at)) {
      at++;
      if (pattern[at + 1] === '/') {
        at++;
        source += '(?:.*/)?';
      } else {
        source += '.*';
      }
    } else if (character === '*') source += '[^/]*';
    else if (character === '?') source += '[^/]';
    else if (character === '[') {
      const end = pattern.indexOf(']', at + 1);
      if (end < 0) source += '\\[';
      else {
        source += `[${pattern.slice(at + 1, end).replace(/[\\[]/g, '\\$&')}]`;
        at = end;
      }
    } else if (character === '\\' && at + 1 < pattern.length) source += escape(pattern[++at] ?? '');
    else source += escape(character);
  }
  try {
    return new RegExp(`^${source}(?:/.*)?$`, 's');
  } catch (error) {
    throw new TreewrightError(
      'config/bad-ignore-rule',
      `${IGNORE_FILE}: ${JSON.stringify(pattern)} is not a pattern; look at its brackets`,
      { cause: error },
    );
  }
}

function escape(character: string): string {
  return character.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}

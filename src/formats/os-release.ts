/** os-release: shell-like assignments. Source: os-release(5). */

export type OsRelease = Readonly<Record<string, string>>;

/** Quotes and backslashes are taken as a shell would; lines that are not assignments are ignored. */
export function decodeOsRelease(text: string): OsRelease {
  const values: Record<string, string> = {};
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line);
    if (match === null) continue;
    const [, name = '', raw = ''] = match;
    values[name] = unquote(raw.trim());
  }
  return values;
}

function unquote(text: string): string {
  let out = '';
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (quote === "'") {
      if (character === quote) quote = '';
      else out += character;
    } else if (character === '\\' && at + 1 < text.length) {
      const next = text.charAt(++at);
      // Inside double quotes a shell keeps the backslash before any other character.
      out += quote === '"' && !'"$`\\'.includes(next) ? `\\${next}` : next;
    } else if (quote === '"' && character === '"') {
      quote = '';
    } else if (quote === '' && (character === '"' || character === "'")) {
      quote = character;
    } else {
      out += character;
    }
  }
  return out;
}

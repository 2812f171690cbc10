/** os-release(5), read with the rules of libostree (parse_os_release in ostree-sysroot-deploy.c). */

export type OsRelease = Readonly<Record<string, string>>;

/** Variables of the file; a line whose quoting is broken is skipped, a repeated name keeps the last value. */
export function decodeOsRelease(text: string): OsRelease {
  const values: Record<string, string> = {};
  for (const line of text.split(/\r?\n/)) {
    const equals = line.indexOf('=');
    if (line.startsWith('#') || equals < 0) continue;
    const value = shellUnquote(line.slice(equals + 1));
    if (value !== undefined) values[line.slice(0, equals)] = value;
  }
  return values;
}

/** Removes shell quoting as g_shell_unquote does: no expansion of any kind; undefined when a quote stays open. */
function shellUnquote(text: string): string | undefined {
  let out = '';
  let quote: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] ?? '';
    if (quote === undefined && (char === '"' || char === "'")) {
      quote = char;
    } else if (char === quote) {
      quote = undefined;
    } else if (char === '\\' && quote !== "'") {
      const next = text[i + 1];
      if (quote === undefined) {
        out += next ?? '';
        i++;
      } else if (next !== undefined && '"\\`$'.includes(next)) {
        out += next;
        i++;
      } else {
        out += char;
      }
    } else {
      out += char;
    }
  }
  return quote === undefined ? out : undefined;
}

/** The name of the system, as boot entries show it: PRETTY_NAME, else ID, else undefined. */
export function osTitle(values: OsRelease): string | undefined {
  return values['PRETTY_NAME'] ?? values['ID'];
}

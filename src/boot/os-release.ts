/** os-release as libostree reads it for the title of a boot entry (parse_os_release in ostree-sysroot-deploy.c). */

/** Variables of an os-release file; a line whose quoting is broken is skipped, a repeated name keeps the last value. */
export function parseOsRelease(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    const equals = line.indexOf('=');
    if (line.startsWith('#') || equals < 0) continue;
    const value = shellUnquote(line.slice(equals + 1));
    if (value !== undefined) values.set(line.slice(0, equals), value);
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

/** The title before libostree adds version and deployment: PRETTY_NAME, else ID, else undefined. */
export function osTitle(values: ReadonlyMap<string, string>): string | undefined {
  return values.get('PRETTY_NAME') ?? values.get('ID');
}

/**
 * What BitBake keeps about a package in `tmp/pkgdata/<machine>/runtime`: lines of `NAME: value`, where the value has
 * Python's escapes. Source: openembedded-core, meta/lib/oe/packagedata.py.
 */

export interface PkgData {
  /** As the recipe says, such as `GPL-2.0-only & MIT`. */
  readonly license?: string;
  /** Paths of its files, with a leading slash. */
  readonly files: readonly string[];
}

/** What cannot be understood is passed over: the file is of another program, and only told about. */
export function decodePkgData(text: string): PkgData {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    // FILES_INFO:kernel-base: the package's name before it was renamed; LICENSE without it is the recipe's.
    const [, name, own, value] = /^(LICENSE|FILES_INFO)(:[^ ]+)?: (.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    if (own !== undefined || !values.has(name)) values.set(name, unescape(value));
  }
  const license = values.get('LICENSE');
  return {
    ...(license === undefined || license === '' ? {} : { license }),
    files: filesOf(values.get('FILES_INFO')),
  };
}

function filesOf(info: string | undefined): string[] {
  if (info === undefined) return [];
  try {
    const value: unknown = JSON.parse(info);
    return typeof value === 'object' && value !== null ? Object.keys(value) : [];
  } catch {
    return [];
  }
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

/** The escapes that Python's `unicode_escape` writes. */
function unescape(text: string): string {
  return text.replace(
    /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/g,
    (_, x?: string, u?: string, long?: string, character = '') => {
      const code = x ?? u ?? long;
      return code === undefined
        ? (ESCAPES[character as string] ?? (character as string))
        : String.fromCodePoint(Math.min(parseInt(code, 16), 0x10ffff));
    },
  );
}

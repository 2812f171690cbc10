/** A `.config` file of Linux' kconfig, which Buildroot uses too. Source: Documentation/kbuild/kconfig-language.rst. */

/** Symbols that are set: `y`, numbers and the text of quoted strings. What is "not set" is absent. */
export type Kconfig = ReadonlyMap<string, string>;

const ASSIGNMENT = /^([A-Za-z0-9_]+)=(.*)$/;

/** Lines that are neither assignments nor comments are ignored, as kconfig itself only warns about them. */
export function decodeKconfig(text: string): Kconfig {
  const symbols = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const match = ASSIGNMENT.exec(line);
    if (match === null) continue;
    const [, name = '', value = ''] = match;
    if (value === 'n') continue;
    const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(value);
    symbols.set(name, quoted === null ? value : (quoted[1] ?? '').replace(/\\(.)/g, '$1'));
  }
  return symbols;
}

/** `2025.02.16` of the comment `# Buildroot 2025.02.16 Configuration` at the top; undefined when there is none. */
export function buildrootVersion(text: string): string | undefined {
  return /^# Buildroot (\S+) Configuration$/m.exec(text.slice(0, 4096))?.[1];
}

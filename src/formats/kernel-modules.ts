/** depmod's text files: which modules there are and what must be loaded before each. Source: kmod, modules.dep(5). */

export interface ModuleIndex {
  /** Module name, with "_" for "-", to its path below the release's directory. */
  readonly paths: ReadonlyMap<string, string>;
  /** Path to the paths it needs, the deepest last, as modules.dep lists them. */
  readonly needs: ReadonlyMap<string, readonly string[]>;
  /** Module name to names or aliases to load before it. */
  readonly softDependencies: ReadonlyMap<string, readonly string[]>;
  /** Alias without wildcards to module names. */
  readonly aliases: ReadonlyMap<string, readonly string[]>;
}

/** `kernel/fs/ext4/ext4.ko.xz` to `ext4`; modules are named with either sign, the kernel takes both as "_". */
export function moduleName(path: string): string {
  const base = path.slice(path.lastIndexOf('/') + 1);
  return base.replace(/\.ko(?:\.(?:gz|xz|zst))?$/, '').replaceAll('-', '_');
}

/** Reads modules.dep, and modules.softdep and modules.alias where they are there. */
export function readModuleIndex(texts: {
  readonly dep: string;
  readonly softdep?: string;
  readonly alias?: string;
}): ModuleIndex {
  const paths = new Map<string, string>();
  const needs = new Map<string, readonly string[]>();
  for (const line of texts.dep.split('\n')) {
    const colon = line.indexOf(':');
    if (colon < 0) continue;
    const path = line.slice(0, colon);
    paths.set(moduleName(path), path);
    needs.set(path, words(line.slice(colon + 1)));
  }
  const softDependencies = new Map<string, readonly string[]>();
  for (const line of (texts.softdep ?? '').split('\n')) {
    const [keyword, name, ...rest] = words(line);
    if (keyword !== 'softdep' || name === undefined) continue;
    const post = rest.indexOf('post:');
    const pre = rest.indexOf('pre:');
    if (pre >= 0) softDependencies.set(name, rest.slice(pre + 1, post > pre ? post : undefined));
  }
  const aliases = new Map<string, string[]>();
  for (const line of (texts.alias ?? '').split('\n')) {
    const [keyword, alias, name] = words(line);
    if (keyword !== 'alias' || alias === undefined || name === undefined || /[*?[]/.test(alias)) continue;
    const names = aliases.get(alias);
    if (names) names.push(name);
    else aliases.set(alias, [name]);
  }
  return { paths, needs, softDependencies, aliases };
}

function words(line: string): string[] {
  return line.split(/\s+/).filter((word) => word !== '');
}

/** Paths of these modules and of all they need, in an order in which each can be loaded. Unknown names are left out. */
export function loadOrder(index: ModuleIndex, names: Iterable<string>): string[] {
  const order: string[] = [];
  const visiting = new Set<string>();
  const visit = (name: string): void => {
    const path = index.paths.get(name.replaceAll('-', '_'));
    if (path === undefined) {
      for (const real of index.aliases.get(name) ?? []) if (real !== name) visit(real);
      return;
    }
    if (order.includes(path) || visiting.has(path)) return;
    visiting.add(path);
    for (const needed of [...(index.needs.get(path) ?? [])].reverse()) visit(moduleName(needed));
    for (const soft of index.softDependencies.get(moduleName(path)) ?? []) visit(soft);
    order.push(path);
  };
  for (const name of names) visit(name);
  return order;
}

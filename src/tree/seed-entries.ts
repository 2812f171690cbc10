/** What of the factory copy the device must bring to /var, parents first. */
import type { LayoutRules } from './layout-rules.ts';
import type { Directory, TreeNode } from './types.ts';
import { sortedEntries } from './walk.ts';

export interface SeedEntry {
  /** From the root, such as `var/lib/app/state`. */
  readonly path: string;
  readonly node: TreeNode;
  /** A directory the layout itself asks for. */
  readonly base: boolean;
}

/**
 * Every name of the factory copy, so that one which a later release adds is seeded on devices that have the rest.
 * Below a directory of another user than its parent's only the directory itself is listed: systemd-tmpfiles refuses
 * to follow a path whose owner changes away from another user than root (it would help that user to attack root).
 */
export function seedEntries(factory: Directory, rules: LayoutRules): SeedEntry[] {
  const base = new Set([...rules.moved.map(({ to }) => to), ...rules.base.map(({ path }) => path)]);
  const entries: SeedEntry[] = [];
  const descend = (directory: Directory, path: string): void => {
    const owner = directory.stat.uid;
    for (const [name, node] of sortedEntries(directory)) {
      const below = `${path}/${name}`;
      entries.push({ path: below, node, base: base.has(below) });
      if (node.kind === 'directory' && (owner === 0 || node.stat.uid === owner)) descend(node, below);
    }
  };
  descend(factory, 'var');
  return entries;
}

/** Targets of symlinks whose directory moves. */

/**
 * The target a symlink needs after its directory was moved, when it lies in `path` (`usr/local/bin`) below the moved
 * directory `top` (`usr/local`). A relative target that stays below `top` moves along; one that leaves it becomes
 * absolute, because `..` counts from the new place.
 */
export function rebaseTarget(target: string, path: string, top: string): string {
  const resolved = leaving(target, path, top);
  return resolved === undefined ? target : `/${resolved}`;
}

/** The path from the root that a relative target means, if it leaves `top` on its way; undefined otherwise. */
export function leaving(target: string, path: string, top: string): string | undefined {
  if (target.startsWith('/')) return undefined;
  const depth = top.split('/').length;
  const parts = path.split('/');
  let left = false;
  for (const part of target.split('/')) {
    if (part === '..') {
      parts.pop();
      if (parts.length < depth) left = true;
    } else if (part !== '' && part !== '.') parts.push(part);
  }
  return left ? parts.join('/') : undefined;
}

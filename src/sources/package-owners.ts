/** Which package each file of a tree is from. */
import type { Directory, FileTree, RegularFile } from '../tree/types.ts';
import { resolve } from '../tree/walk.ts';
import type { PackageFile } from './types.ts';

/**
 * Looks the packages' files up in the tree as the build made it. Symlinks are followed on the way to a file, so that
 * `./bin/sh` is found where /bin leads to usr/bin, and not at its end: a link is no file of the package that it leads to.
 * What is not in the tree is passed over: builds remove files after packages have installed them.
 */
export function packageOwners(tree: FileTree, files: readonly PackageFile[]): Map<RegularFile, string> {
  const directories = new Map<string, Directory | undefined>();
  const directoryOf = (path: string): Directory | undefined => {
    if (!directories.has(path)) {
      const node = resolve(tree, path)?.node;
      directories.set(path, node?.kind === 'directory' ? node : undefined);
    }
    return directories.get(path);
  };
  const owners = new Map<RegularFile, string>();
  for (const { package: name, path } of files) {
    const slash = path.lastIndexOf('/');
    const node = directoryOf(path.slice(0, Math.max(slash, 0)))?.entries.get(path.slice(slash + 1));
    if (node?.kind === 'file') owners.set(node, name);
  }
  return owners;
}

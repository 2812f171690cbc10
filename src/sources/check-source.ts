/** What a source shows and the finished tree no longer does. */
import type { Diagnostic } from '../core/diagnostics.ts';
import type { OsRelease } from '../formats/os-release.ts';
import type { Directory, FileTree } from '../tree/types.ts';

/** Ids of people and of nobody: what fakeroot and Node's view of it leave behind (see docs/sources.md). */
export function isBuilderId(id: number): boolean {
  return id >= 1000;
}

export function checkSource(tree: FileTree, osRelease: OsRelease | undefined): Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  if (osRelease !== undefined && osRelease['PRETTY_NAME'] === undefined && osRelease['ID'] === undefined) {
    diagnostics.push({
      severity: 'error',
      code: 'input/no-os-release',
      message:
        'os-release has neither PRETTY_NAME nor ID, so libostree refuses to deploy the tree; ' +
        'set one of them in /usr/lib/os-release',
    });
  }
  const owner = onlyOwner(tree.root);
  if (owner !== undefined && isBuilderId(owner)) {
    diagnostics.push({
      severity: 'warning',
      code: 'input/builder-owned',
      message:
        `every file belongs to user id ${owner}, as in a directory that an ordinary user unpacked; a device would run ` +
        'with these owners. Give the tar archive of the build instead, or take all files as root’s',
    });
  }
  return diagnostics;
}

/** The uid that everything below has, or undefined when there are several. */
function onlyOwner(directory: Directory): number | undefined {
  const { uid } = directory.stat;
  for (const node of directory.entries.values()) {
    if ((node.kind === 'directory' ? onlyOwner(node) : node.stat.uid) !== uid) return undefined;
  }
  return uid;
}

/** From a file tree to a commit object. */
import type { Checksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import type { Vardict, Variant } from '../formats/gvariant.ts';
import type { Commit, DirTree } from '../formats/ostree-objects.ts';
import { encodeCommit, encodeDirMeta, encodeDirTree } from '../formats/ostree-objects.ts';
import type { Directory, FileTree } from '../tree/types.ts';
import { sortedEntries } from '../tree/walk.ts';
import type { Transaction } from './transaction.ts';

/** The root dirtree and dirmeta of a stored tree. */
export interface RootChecksums {
  readonly rootTree: Checksum;
  readonly rootMeta: Checksum;
}

/** Stores every directory, symlink and inline file of a tree whose other files are stored already. */
export async function writeTree(transaction: Transaction, tree: FileTree): Promise<RootChecksums> {
  return {
    rootTree: await writeDirectory(transaction, tree.root),
    rootMeta: await transaction.putMetadata('dirmeta', encodeDirMeta(tree.root.stat)),
  };
}

async function writeDirectory(transaction: Transaction, directory: Directory): Promise<Checksum> {
  const files: { name: string; checksum: Checksum }[] = [];
  const directories: { name: string; tree: Checksum; meta: Checksum }[] = [];
  for (const [name, node] of sortedEntries(directory)) {
    if (node.kind === 'directory') {
      const tree = await writeDirectory(transaction, node);
      directories.push({
        name,
        tree,
        meta: await transaction.putMetadata('dirmeta', encodeDirMeta(node.stat)),
      });
    } else if (node.kind === 'symlink') {
      files.push({ name, checksum: await transaction.putSymlink(node.stat, node.target) });
    } else if (node.content.kind === 'stored') {
      files.push({ name, checksum: node.content.checksum });
    } else {
      const { bytes } = node.content;
      files.push({ name, checksum: (await transaction.put(node.stat, bytes.length, bytes)).checksum });
    }
  }
  return transaction.putMetadata('dirtree', encodeDirTree({ files, directories } satisfies DirTree));
}

/** What a commit says about itself, besides its tree. */
export interface CommitFacts {
  readonly version?: string;
  /** Further strings, as `ostree commit --add-metadata-string` puts them. */
  readonly strings?: Readonly<Record<string, string>>;
  /** `ostree.architecture`, in the form of `uname -m`. */
  readonly architecture?: string;
  /** The branch; `ostree.ref-binding` makes clients refuse the commit under another name. */
  readonly ref?: string;
  /** Kernel release, for a tree with usr/lib/modules/<release>/vmlinuz: `ostree.bootable` and `ostree.linux`. */
  readonly kernelRelease?: string;
}

/**
 * Commit metadata in a fixed order, since its bytes are part of the checksum: version and architecture as
 * `ostree commit --add-metadata-string` would put them, then the binding, then what `--bootable` adds.
 */
export function commitMetadata(facts: CommitFacts): Vardict {
  const entries: [string, Variant][] = [];
  const add = (key: string, signature: string, value: unknown): void => {
    entries.push([key, { signature, value }]);
  };
  if (facts.version !== undefined) add('version', 's', facts.version);
  for (const [key, value] of Object.entries(facts.strings ?? {})) add(key, 's', value);
  if (facts.architecture !== undefined) add('ostree.architecture', 's', facts.architecture);
  if (facts.ref !== undefined) add('ostree.ref-binding', 'as', [facts.ref]);
  if (facts.kernelRelease !== undefined) {
    add('ostree.bootable', 'b', true);
    add('ostree.linux', 's', facts.kernelRelease);
  }
  return entries;
}

/** Stores a commit object. */
export function writeCommit(transaction: Transaction, commit: Commit): Promise<Checksum> {
  if (!Number.isSafeInteger(commit.timestamp) || commit.timestamp < 0) {
    throw new TreewrightError(
      'usage/bad-timestamp',
      `a commit's timestamp must be whole seconds since 1970, found ${commit.timestamp}`,
    );
  }
  return transaction.putMetadata('commit', encodeCommit(commit));
}

/** A commit as a file tree, and as the objects of a `bare` repository, which share one node for each object. */
import { forEachConcurrent } from '../../core/concurrency.ts';
import type { Checksum } from '../../core/checksum.ts';
import type { ByteStore } from '../../platform/store.ts';
import { commitMetaPath, objectPath } from '../../repo/paths.ts';
import {
  listObjects,
  readCommit,
  readContentHeader,
  readDirMeta,
  readDirTree,
  readMetadata,
} from '../../repo/read.ts';
import type { Directory, FileTree, RegularFile, Symlink } from '../../tree/types.ts';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../tree/types.ts';
import { rootStat } from '../../tree/walk.ts';

/** Object headers read at once. */
const HEADERS_AT_ONCE = 32;
/** Beyond any detached metadata: signatures take some hundred bytes. */
const MAX_COMMITMETA = 1 << 20;

export interface CheckedOutCommit {
  /** The tree of the commit. A content object is one node wherever it stands, as a hard link is. */
  readonly tree: FileTree;
  /** Every object below `objects/` of a bare repository: path relative to the repository, and the node there. */
  readonly objects: ReadonlyMap<string, RegularFile | Symlink>;
  /** Content objects by checksum. */
  readonly content: ReadonlyMap<Checksum, RegularFile | Symlink>;
}

/** Reads directories and headers of a commit; content stays where it is. */
export async function checkOutCommit(store: ByteStore, commit: Checksum): Promise<CheckedOutCommit> {
  const reachable = await listObjects(store, commit);
  const content = new Map<Checksum, RegularFile | Symlink>();
  await forEachConcurrent([...reachable.files.keys()], HEADERS_AT_ONCE, async (checksum) => {
    content.set(checksum, await readNode(store, checksum));
  });
  const objects = new Map<string, RegularFile | Symlink>();
  const keep = async (checksum: Checksum, type: 'commit' | 'dirtree' | 'dirmeta'): Promise<void> => {
    objects.set(objectPath(checksum, type), inline(await readMetadata(store, checksum, type)));
  };
  await keep(commit, 'commit');
  for (const checksum of reachable.dirtrees) await keep(checksum, 'dirtree');
  for (const checksum of reachable.dirmetas) await keep(checksum, 'dirmeta');
  const meta = await store.read(commitMetaPath(commit), MAX_COMMITMETA);
  if (meta !== undefined) objects.set(commitMetaPath(commit), inline(meta));
  for (const [checksum, node] of content) {
    // What an archive repository calls .filez is .file in a bare one.
    objects.set(objectPath(checksum, 'file').replace(/\.filez$/, '.file'), node);
  }
  const { rootTree, rootMeta } = await readCommit(store, commit);
  return { tree: { root: await readDirectory(store, rootTree, rootMeta, content) }, objects, content };
}

function inline(bytes: Uint8Array): RegularFile {
  return { kind: 'file', stat: rootStat.file(), content: { kind: 'inline', bytes } };
}

async function readNode(store: ByteStore, checksum: Checksum): Promise<RegularFile | Symlink> {
  const { stat, symlinkTarget, size } = await readContentHeader(store, checksum);
  return (stat.mode & 0o170000) === S_IFLNK
    ? { kind: 'symlink', stat: { ...stat, mode: S_IFLNK | 0o777 }, target: symlinkTarget }
    : {
        kind: 'file',
        stat: { ...stat, mode: S_IFREG | (stat.mode & 0o7777) },
        content: { kind: 'stored', checksum, size },
      };
}

async function readDirectory(
  store: ByteStore,
  tree: Checksum,
  meta: Checksum,
  content: ReadonlyMap<Checksum, RegularFile | Symlink>,
): Promise<Directory> {
  const [{ files, directories }, stat] = await Promise.all([
    readDirTree(store, tree),
    readDirMeta(store, meta),
  ]);
  const entries: Directory['entries'] = new Map();
  for (const { name, checksum } of files) {
    const node = content.get(checksum);
    if (node !== undefined) entries.set(name, node);
  }
  for (const { name, tree: below, meta: belowMeta } of directories) {
    entries.set(name, await readDirectory(store, below, belowMeta, content));
  }
  return { kind: 'directory', stat: { ...stat, mode: S_IFDIR | (stat.mode & 0o7777) }, entries };
}

/**
 * The physical root as a tar archive: for a disk that somebody else partitions and unpacks it on, as root.
 * Owners, modes, xattrs and hard links are kept; the immutable flag, which tar has no place for, is not. A /boot of its
 * own is in its place: whoever unpacks the archive has mounted it there.
 */
import { createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { paddedSize } from '../../formats/pax.ts';
import { TAR_END, encodeTarHeader } from '../../formats/tar-header.ts';
import { makeDirectories, syncDirectory, temporaryName } from '../../platform/files.ts';
import type { TreeNode } from '../../tree/types.ts';
import { walk } from '../../tree/walk.ts';
import type { OpenContent } from './content.ts';
import { contentSize } from './content.ts';
import type { Sysroot } from './sysroot.ts';

/**
 * Writes the archive to `path`, whole or not at all. Names are in the order of their bytes; the same sysroot gives
 * the same bytes.
 */
export async function writeSysrootTar(
  sysroot: Sysroot,
  openContent: OpenContent,
  path: string,
): Promise<void> {
  await makeDirectories(dirname(path));
  const temporary = temporaryName(path);
  try {
    await pipeline(
      Readable.from(sysrootTar(sysroot, openContent), { objectMode: false, highWaterMark: 1 << 20 }),
      createWriteStream(temporary, { flags: 'wx', mode: 0o644 }),
    );
    const handle = await open(temporary, 'r');
    await handle.sync();
    await handle.close();
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** The bytes of the archive. */
async function* sysrootTar(sysroot: Sysroot, openContent: OpenContent): AsyncGenerator<Uint8Array> {
  const nodes: [string, TreeNode][] = [['.', sysroot.tree.root]];
  walk(sysroot.tree, (path, node) => {
    nodes.push([`./${path}`, node]);
    if (path === 'boot' && sysroot.boot !== undefined) {
      walk(sysroot.boot, (below, child) => void nodes.push([`./boot/${below}`, child]));
    }
  });
  const first = new Map<TreeNode, string>();
  for (const [path, node] of nodes) {
    const { uid, gid, mode, xattrs } = node.stat;
    const facts = { path, uid, gid, mode: mode & 0o7777, mtime: sysroot.mtime(node) };
    const earlier = first.get(node);
    if (node.kind === 'directory') {
      yield encodeTarHeader({ ...facts, path: `${path}/`, type: 'directory', size: 0, xattrs });
    } else if (earlier !== undefined) {
      yield encodeTarHeader({ ...facts, type: 'link', target: earlier, size: 0, xattrs: [] });
    } else if (node.kind === 'symlink') {
      first.set(node, path);
      yield encodeTarHeader({ ...facts, type: 'symlink', target: node.target, size: 0, xattrs });
    } else {
      first.set(node, path);
      const size = contentSize(node);
      yield encodeTarHeader({ ...facts, type: 'file', size, xattrs });
      yield* openContent(node);
      const padding = paddedSize(size) - size;
      if (padding > 0) yield new Uint8Array(padding);
    }
  }
  yield TAR_END;
}

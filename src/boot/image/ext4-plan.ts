/** Which inode and which blocks every node of a tree gets in an ext4 file system. Nothing is read or written. */
import { utf8 } from '../../core/bytes.ts';
import { TreewrightError } from '../../core/errors.ts';
import { BLOCK_SIZE, FAST_SYMLINK, FIRST_INODE, ROOT_INODE } from '../../formats/ext4/constants.ts';
import { directoryBlocks } from '../../formats/ext4/directory.ts';
import type { Allocator, BlockRun, Geometry } from '../../formats/ext4/geometry.ts';
import { contentBlocks, createAllocator, planGeometry } from '../../formats/ext4/geometry.ts';
import { MAX_EXTENTS, extentBlocks, extentsOf } from '../../formats/ext4/inode.ts';
import type { PlannedAttributes } from '../../formats/ext4/xattrs.ts';
import { planAttributes } from '../../formats/ext4/xattrs.ts';
import type { Directory, FileTree, TreeNode } from '../../tree/types.ts';
import { emptyDirectory, rootStat, sortedEntries } from '../../tree/walk.ts';
import { contentSize } from './content.ts';

export interface Ext4Source {
  /** Hard links are one node at several paths. */
  readonly tree: FileTree;
  readonly immutable: ReadonlySet<Directory>;
  /** Seconds since 1970. */
  readonly mtime: (node: TreeNode) => number;
}

export interface Ext4Options {
  /** At most 16 bytes. */
  readonly label: string;
  /** 16 bytes each; the same input gives the same file system. */
  readonly uuid: Uint8Array;
  readonly hashSeed: Uint8Array;
  /** Seconds since 1970: when the file system was made. */
  readonly time: number;
  /** Bytes of the file system, or bytes that shall be free in it. */
  readonly space: { readonly size: number } | { readonly free: number };
}

/** A node with its place. */
export interface PlannedNode {
  readonly node: TreeNode;
  readonly path: string;
  readonly inode: number;
  readonly parent: number;
  /** Names that lead to it; for a directory also "." and "..". */
  links: number;
  /** Bytes. */
  readonly size: number;
  readonly attributes: PlannedAttributes;
  /** Filled in once blocks are given out. */
  extents: readonly BlockRun[];
  extentBlocks: readonly number[];
  attributeBlock: number;
}

export interface Ext4Plan {
  readonly geometry: Geometry;
  /** Bytes of the file system. */
  readonly size: number;
  /** Bytes free for content. */
  readonly free: number;
  readonly options: Ext4Options;
  readonly source: Ext4Source;
  /** In the order of their inodes; directories and files, each once. */
  readonly nodes: readonly PlannedNode[];
  readonly byNode: ReadonlyMap<TreeNode, PlannedNode>;
  readonly journal: readonly BlockRun[];
  /** Block of the resize inode. */
  readonly resizeBlock: number;
  /** The first block that holds nothing. */
  readonly firstFree: number;
}

/** As mke2fs makes it: room for fsck to work in. */
export const LOST_AND_FOUND_BLOCKS = 4;

/** One inode for so many bytes, as mke2fs has it, and three for each that is in use: updates bring new ones. */
const BYTES_PER_INODE = 16_384;
const INODES_FOR_EACH = 3;

const MIB = 1 << 20;

/**
 * Plans a file system.
 *
 * @throws TreewrightError `config/image-too-small` when the tree does not fit into the size that is asked for,
 *   `input/xattr-too-large` and `input/bad-xattr` for what ext4 cannot hold
 */
export function planExt4(source: Ext4Source, options: Ext4Options): Ext4Plan {
  const nodes = listNodes(source.tree);
  const needed = nodes.reduce((sum, node) => sum + blocksOf(node), 0);
  const { space } = options;
  if ('size' in space) {
    const plan = tryPlan(source, options, nodes, Math.floor(space.size / BLOCK_SIZE));
    if (plan !== undefined) return plan;
    const enough = smallest(source, options, nodes, needed, 0).size;
    throw new TreewrightError(
      'config/image-too-small',
      `the root filesystem needs ${Math.ceil(enough / MIB)} MiB, and ${Math.floor(space.size / MIB)} MiB are given: ` +
        'raise image.size, or leave it out',
      { data: { needed: enough, given: space.size } },
    );
  }
  return smallest(source, options, nodes, needed, Math.ceil(space.free / BLOCK_SIZE));
}

/** The smallest file system, in whole MiB, with so many free blocks. */
function smallest(
  source: Ext4Source,
  options: Ext4Options,
  nodes: readonly PlannedNode[],
  needed: number,
  free: number,
): Ext4Plan {
  const perMib = MIB / BLOCK_SIZE;
  for (let blocks = needed + free + 1024; ;) {
    blocks = Math.ceil(blocks / perMib) * perMib;
    const plan = tryPlan(source, options, nodes, blocks);
    const missing = plan === undefined ? Math.ceil(blocks / 50) : free - plan.free / BLOCK_SIZE;
    if (plan !== undefined && missing <= 0) return plan;
    blocks += Math.max(missing, perMib);
  }
}

/** Undefined when it does not fit. */
function tryPlan(
  source: Ext4Source,
  options: Ext4Options,
  nodes: readonly PlannedNode[],
  blocks: number,
): Ext4Plan | undefined {
  if (blocks < 64) return undefined;
  const inodes = Math.max(
    Math.ceil((blocks * BLOCK_SIZE) / BYTES_PER_INODE),
    (nodes.length + FIRST_INODE) * INODES_FOR_EACH,
  );
  const geometry = planGeometry(blocks, inodes);
  if (geometry.groups * geometry.inodesPerGroup < nodes.length + FIRST_INODE) return undefined;
  if (contentBlocks(geometry) <= 0) return undefined;
  const allocator = createAllocator(geometry);
  const journal = allocator.take(journalBlocks(geometry.blocks));
  const [resize] = allocator.take(1) ?? [];
  if (journal === undefined || resize === undefined) return undefined;
  for (const node of nodes) if (!place(node, allocator)) return undefined;
  return {
    geometry,
    size: geometry.blocks * BLOCK_SIZE,
    free: (contentBlocks(geometry) - allocator.taken()) * BLOCK_SIZE,
    options,
    source,
    nodes,
    byNode: new Map(nodes.map((node) => [node.node, node])),
    journal,
    resizeBlock: resize.start,
    firstFree: allocator.next(),
  };
}

function place(planned: PlannedNode, allocator: Allocator): boolean {
  const runs = allocator.take(dataBlocks(planned));
  if (runs === undefined) return false;
  planned.extents = extentsOf(runs);
  if (planned.extents.length > MAX_EXTENTS) return false;
  const tables = allocator.take(extentBlocks(planned.extents.length));
  const attributes = allocator.take(planned.attributes.inBlock.length > 0 ? 1 : 0);
  if (tables === undefined || attributes === undefined) return false;
  planned.extentBlocks = tables.flatMap(({ start, length }) => Array.from({ length }, (_, i) => start + i));
  planned.attributeBlock = attributes[0]?.start ?? 0;
  return true;
}

/** Blocks of content: none for a short symlink. */
function dataBlocks({ node, size }: PlannedNode): number {
  if (node.kind === 'symlink' && size < FAST_SYMLINK) return 0;
  return Math.ceil(size / BLOCK_SIZE);
}

/** What it takes in all, but for extent blocks, which only files beyond half a gigabyte have. */
function blocksOf(planned: PlannedNode): number {
  return dataBlocks(planned) + (planned.attributes.inBlock.length > 0 ? 1 : 0);
}

/** As mke2fs chooses it. */
function journalBlocks(blocks: number): number {
  if (blocks < 32_768) return 1024;
  if (blocks < 262_144) return 4096;
  if (blocks < 524_288) return 8192;
  return 16_384;
}

/** Every inode of the tree, in the order of names, directories before what is in them. */
function listNodes(tree: FileTree): PlannedNode[] {
  const nodes: PlannedNode[] = [];
  const seen = new Map<TreeNode, PlannedNode>();
  let next = FIRST_INODE;
  const add = (node: TreeNode, path: string, parent: number, inode: number, size: number): PlannedNode => {
    const planned: PlannedNode = {
      node,
      path,
      inode,
      parent,
      links: node.kind === 'directory' ? 2 : 1,
      size,
      attributes: planAttributes(node.stat.xattrs, path),
      extents: [],
      extentBlocks: [],
      attributeBlock: 0,
    };
    nodes.push(planned);
    seen.set(node, planned);
    return planned;
  };
  const addDirectory = (directory: Directory, path: string, parent: number, inode: number): void => {
    const entries = sortedEntries(directory);
    const blocks =
      path === LOST_AND_FOUND ? LOST_AND_FOUND_BLOCKS : directoryBlocks(nameLengths(entries, path));
    const planned = add(directory, path, parent, inode, blocks * BLOCK_SIZE);
    for (const [name, node] of entries) {
      const at = path === '' ? name : `${path}/${name}`;
      const known = seen.get(node);
      if (node.kind === 'directory') {
        planned.links++;
        addDirectory(node, at, inode, next++);
      } else if (known !== undefined) {
        known.links++;
      } else {
        add(node, at, inode, next++, node.kind === 'file' ? contentSize(node) : utf8(node.target).length);
      }
    }
  };
  addDirectory(withLostAndFound(tree.root), '', ROOT_INODE, ROOT_INODE);
  return nodes;
}

const LOST_AND_FOUND = 'lost+found';

/** Where fsck puts what it finds; it must be there before it is needed. */
function withLostAndFound(root: Directory): Directory {
  const entries = new Map(root.entries);
  entries.set(LOST_AND_FOUND, emptyDirectory(rootStat.directory(0o700)));
  return { kind: 'directory', stat: root.stat, entries };
}

function nameLengths(entries: readonly [string, TreeNode][], directory: string): number[] {
  return entries.map(([name]) => {
    const { length } = utf8(name);
    if (length <= 255) return length;
    throw new TreewrightError('input/bad-path', `a name in /${directory} is longer than 255 bytes`, {
      data: { directory },
    });
  });
}

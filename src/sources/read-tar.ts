/** A root filesystem from a tar stream. */
import type { Diagnostic } from '../core/diagnostics.ts';
import { TreewrightError, isTreewrightError } from '../core/errors.ts';
import { splitArchivePath } from '../core/path.ts';
import type { LayoutName } from '../tree/layout.ts';
import type { ContentSink, FileTree, RegularFile, Stat } from '../tree/types.ts';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../tree/types.ts';
import type { FactsCollector } from './facts-collector.ts';
import { createGroup, specialFiles } from './grouped.ts';
import type { TarEntry } from './tar-entries.ts';
import { readWhole, tarEntries } from './tar-entries.ts';
import { createTreeBuilder } from './tree-builder.ts';
import type { OwnerPolicy } from './types.ts';

/** Content up to this size goes to the sink in one array: a stream costs more than the copy it saves. */
const BUFFERED = 1 << 20;

/** Mount points: what a build leaves in them never reaches a running device. */
const VOLATILE = new Set(['dev', 'proc', 'sys', 'run', 'tmp']);

export interface ReadTarOptions {
  /** Names the archive in messages. */
  readonly label: string;
  readonly layout: LayoutName;
  readonly owner: OwnerPolicy;
  readonly facts: FactsCollector;
  /** Leaves out xattrs without a value, which libostree does not see when it reads a directory (libglnx). */
  readonly dropEmptyXattrs?: boolean;
}

export interface RawTree {
  readonly tree: FileTree;
  readonly diagnostics: readonly Diagnostic[];
}

/** True when `path` lies below a directory whose content the layout drops. */
export function isVolatile(layout: LayoutName, parts: readonly string[]): boolean {
  return layout !== 'none' && parts.length > 1 && VOLATILE.has(parts[0] ?? '');
}

/** Stores every regular file in `sink` as it comes and returns the tree of names. */
export async function readTar(
  input: AsyncIterable<Uint8Array>,
  sink: ContentSink,
  options: ReadTarOptions,
): Promise<RawTree> {
  try {
    return await readEntries(input, sink, options);
  } catch (error) {
    // What finds fault with a single name does not know where that came from.
    if (!isTreewrightError(error) || !/^input\/bad-(path|archive)$/.test(error.code)) throw error;
    if (error.message.includes(options.label)) throw error;
    throw new TreewrightError(error.code, `${options.label}: ${error.message}`, {
      cause: error,
      data: { ...error.data, archive: options.label },
    });
  }
}

async function readEntries(
  input: AsyncIterable<Uint8Array>,
  sink: ContentSink,
  options: ReadTarOptions,
): Promise<RawTree> {
  const { label, layout, owner, facts } = options;
  const builder = createTreeBuilder();
  const special = createGroup();
  const dropped = createGroup();
  const acls = createGroup();
  const absolute = createGroup();

  const stat = (entry: TarEntry, type: number): Stat => ({
    uid: owner === 'root' ? 0 : entry.uid,
    gid: owner === 'root' ? 0 : entry.gid,
    mode: type | entry.permissions,
    xattrs:
      options.dropEmptyXattrs === true ? entry.xattrs.filter(({ value }) => value.length > 0) : entry.xattrs,
  });

  const file = async (entry: TarEntry, path: string): Promise<RegularFile> => {
    const own = stat(entry, S_IFREG);
    const { size } = entry;
    const content = size === 0 ? EMPTY : size <= BUFFERED ? await readWhole(entry) : entry.content;
    const watched = facts.watch(path, size, content);
    const stored = await sink.put(own, size, watched.content);
    watched.stored(stored.checksum);
    return { kind: 'file', stat: own, content: stored };
  };

  for await (const entry of tarEntries(input, label)) {
    const parts = splitArchivePath(entry.name);
    const path = parts.join('/');
    if (entry.name.startsWith('/')) absolute.add(entry.name);
    if (isVolatile(layout, parts)) {
      if (entry.type !== 'directory') dropped.add(`/${path}`);
      continue;
    }
    if (entry.hasAcl) acls.add(`/${path}`);
    switch (entry.type) {
      case 'directory':
        builder.directory(path, stat(entry, S_IFDIR));
        break;
      case 'file':
        builder.place(path, await file(entry, path));
        break;
      case 'symlink':
        builder.place(path, {
          kind: 'symlink',
          // Linux gives a symlink this mode whatever the archive says. A checksum over another one could never be
          // verified on a device.
          stat: { ...stat(entry, S_IFLNK), mode: S_IFLNK | 0o777 },
          target: entry.linkname,
        });
        break;
      case 'link':
        if (!builder.link(path, entry.linkname)) special.add(`/${path}`);
        break;
      case 'character device':
      case 'block device':
      case 'FIFO':
        special.add(`/${path} (${entry.type})`);
        builder.leaveOut(path);
        break;
    }
  }

  const diagnostics = [
    ...specialFiles(special),
    ...dropped.report(
      'input/volatile-content',
      'note',
      (count, names) => `${count} entries below /dev, /proc, /sys, /run and /tmp were left out: ${names}`,
    ),
    ...acls.report(
      'input/acl',
      'warning',
      (count, names) =>
        `${count} entries have ACLs in text form (SCHILY.acl), which are left out: ${names}. ` +
        "Make the archive with --xattrs --xattrs-include='*' instead of --acls to keep them",
    ),
    ...absolute.report(
      'input/absolute-names',
      'note',
      (count, names) => `${count} names are absolute and were taken relative to the root: ${names}`,
    ),
  ];
  if (builder.redirected.count > 0) {
    diagnostics.push({
      code: 'input/through-symlink',
      severity: 'note',
      message:
        `${builder.redirected.count} entries lie below a symlink and were placed in the directory it leads to: ` +
        builder.redirected.examples.join(', '),
    });
  }
  return { tree: builder.tree, diagnostics };
}

const EMPTY = new Uint8Array(0);

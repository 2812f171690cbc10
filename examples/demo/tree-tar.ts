/** Writes a root filesystem as one tar: packages are streamed into it, nothing is unpacked and nobody is root. */
import { execa } from 'execa';
import { createReadStream, createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Header } from 'tar-stream';
import { extract, pack } from 'tar-stream';

/** 2025-01-01, the time of everything that has none of its own. */
const DEFAULT_TIME = new Date(Date.UTC(2025, 0, 1));

/** The fields of a tar header that an entry here must have. */
type EntryHeader = Partial<Header> & Pick<Header, 'name' | 'type'>;

export interface Owner {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

export interface TreeTar {
  directory(path: string, owner?: Owner): Promise<void>;
  symlink(path: string, target: string): Promise<void>;
  file(path: string, content: Buffer, owner?: Owner): Promise<void>;
  /** Adds the entries of a tar stream. `place` says where a file goes, or that it is left out. */
  addTar(stream: Readable, place: (path: string, type: Header['type']) => Placement): Promise<void>;
  /** Ends the archive; answers how many entries it has. */
  finish(): Promise<number>;
}

/** Into the tree under a path, into a file of its own outside, or nowhere. */
export type Placement = { readonly path: string } | { readonly outside: string } | undefined;

/** Starts a tar at `file`. What was added first stays: later entries of the same path are passed over. */
export function createTreeTar(file: string): TreeTar {
  const archive = pack();
  const written = pipeline(archive, createWriteStream(file));
  // A failure shows when `finish` waits; until then it must not count as unhandled.
  written.catch(() => undefined);
  const seen = new Set<string>();

  const add = async (header: EntryHeader, body: AsyncIterable<Uint8Array> | undefined): Promise<void> => {
    seen.add(header.name);
    await new Promise<void>((resolve, reject) => {
      const entry = archive.entry(header, (error) => {
        if (error) reject(error);
        else resolve();
      });
      if (body !== undefined && header.type === 'file') pipeline(body, entry).catch(reject);
    });
  };
  const parents = async (path: string): Promise<void> => {
    const parts = path.split('/').slice(0, -1);
    for (let count = 1; count <= parts.length; count++) {
      const name = parts.slice(0, count).join('/');
      if (!seen.has(name)) await add(plain(name, 'directory', 0o755), undefined);
    }
  };
  const place = async (header: EntryHeader, body?: AsyncIterable<Uint8Array>): Promise<void> => {
    await parents(header.name);
    await add(header, body);
  };
  const placeNew = async (header: EntryHeader, body?: AsyncIterable<Uint8Array>): Promise<void> => {
    if (!seen.has(header.name)) await place(header, body);
  };

  return {
    directory: (path, { mode = 0o755, uid = 0, gid = 0 } = {}) =>
      placeNew({ ...plain(path, 'directory', mode), uid, gid }),
    symlink: (path, target) => placeNew({ ...plain(path, 'symlink', 0o777), linkname: target }),
    file: (path, content, { mode = 0o644, uid = 0, gid = 0 } = {}) =>
      placeNew({ ...plain(path, 'file', mode), uid, gid, size: content.length }, once(content)),
    addTar: async (stream, choose) => {
      const entries = extract();
      const fed = pipeline(stream, entries);
      for await (const entry of entries) {
        const { header } = entry;
        const path = header.name.replace(/^\.?\//, '').replace(/\/$/, '');
        const target = path === '' ? undefined : choose(path, header.type);
        if (target === undefined || ('path' in target && seen.has(target.path))) entry.resume();
        else if ('outside' in target) await pipeline(entry, createWriteStream(target.outside));
        else {
          const linked = header.type === 'link' ? choose(header.linkname.replace(/^\.?\//, ''), 'file') : undefined;
          const moved = linked !== undefined && 'path' in linked ? { linkname: linked.path } : {};
          await place({ ...header, ...moved, name: target.path }, entry as AsyncIterable<Uint8Array>);
        }
      }
      await fed;
    },
    finish: async () => {
      archive.finalize();
      await written;
      return seen.size;
    },
  };
}

async function* once(content: Buffer): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(content);
}

function plain(name: string, type: 'directory' | 'symlink' | 'file', mode: number): EntryHeader {
  return { name, type, mode, uid: 0, gid: 0, mtime: DEFAULT_TIME, uname: '', gname: '' };
}

/** Adds a package's files. */
export async function addPackage(tar: TreeTar, deb: string, place: (path: string) => Placement): Promise<void> {
  const child = execa('dpkg-deb', ['--fsys-tarfile', deb], { stdin: 'ignore', buffer: false, encoding: 'buffer' });
  await tar.addTar(child.stdout, place);
  await child;
}

/** Adds what another tar holds, or its directories alone. */
export async function addArchive(tar: TreeTar, file: string, only?: 'directory'): Promise<void> {
  await tar.addTar(createReadStream(file), (path, type) =>
    only === undefined || type === only ? { path } : undefined,
  );
}

/** An app's folder as the gzipped tar archive that composectl unpacks on the device, and its verified reading. */
import { createGunzip } from 'node:zlib';
import { pipeline } from 'node:stream/promises';
import { posix } from 'node:path';
import type { Header, Pack } from 'tar-stream';
import { extract, pack } from 'tar-stream';
import { compareUtf8, concatBytes } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';
import { splitArchivePath } from '../core/path.ts';
import { createGzipWriter } from '../formats/gzip.ts';
import type { FolderEntry } from './app-folder.ts';
import { readAppFile } from './app-folder.ts';
import { MAX_COMPOSE_SIZE } from './compose-file.ts';

/** The one name composeapp looks for in the archive (app.go, readCompose). */
export const COMPOSE_NAME = 'docker-compose.yml';

/** A hostile archive must not take the verifier's time: bytes after decompression. Twice what an app may hold. */
const MAX_UNPACKED = 2 * 1024 * 1024 * 1024;

/**
 * The archive in chunks. Times, owners and the order of entries are fixed, so its bytes depend on names, content
 * and permission bits alone.
 */
export async function* packApp(
  folder: string,
  entries: readonly FolderEntry[],
  compose: Uint8Array,
): AsyncGenerator<Uint8Array> {
  const tar = pack();
  const all: FolderEntry[] = [
    ...entries,
    { path: COMPOSE_NAME, kind: 'file' as const, mode: 0o644, size: compose.length },
  ].sort((a, b) => compareUtf8(a.path, b.path));
  const feeding = (async () => {
    for (const entry of all) {
      if (entry.path === COMPOSE_NAME) await add(tar, header(entry), [compose]);
      else if (entry.kind === 'file') await add(tar, header(entry), readAppFile(folder, entry));
      else await add(tar, header(entry), []);
    }
    tar.finalize();
  })().catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))));

  const gzip = createGzipWriter();
  for await (const chunk of tar as AsyncIterable<Uint8Array>) {
    const ready = gzip.push(chunk);
    if (ready.length > 0) yield ready;
  }
  await feeding;
  yield gzip.finish();
}

type EntryHeader = Partial<Header> & Pick<Header, 'name' | 'type'>;

function header(entry: FolderEntry): EntryHeader {
  return {
    name: entry.kind === 'directory' ? `${entry.path}/` : entry.path,
    type: entry.kind,
    mode: entry.mode,
    size: entry.size,
    uid: 0,
    gid: 0,
    uname: '',
    gname: '',
    mtime: new Date(0),
    ...(entry.target === undefined ? {} : { linkname: entry.target }),
  };
}

async function add(
  tar: Pack,
  head: EntryHeader,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  if (head.type !== 'file') {
    await new Promise<void>((resolve, reject) =>
      tar.entry(head, (error) => (error ? reject(error) : resolve())),
    );
    return;
  }
  let sink: NodeJS.WritableStream | undefined;
  const finished = new Promise<void>((resolve, reject) => {
    sink = tar.entry(head, (error) => (error ? reject(error) : resolve()));
  });
  if (sink !== undefined) await feed(sink, content);
  await finished;
}

async function feed(
  sink: NodeJS.WritableStream,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  for await (const chunk of content) {
    if (sink.write(chunk)) continue;
    // A consumer that goes away closes the archive instead of draining it.
    await new Promise<void>((resolve) => {
      sink.once('drain', resolve);
      sink.once('close', resolve);
    });
  }
  sink.end();
}

/** What a verifier needs of an archive. */
export interface ReadApp {
  readonly compose: Uint8Array;
  /** Paths of all entries, without a trailing slash. */
  readonly paths: readonly string[];
}

/**
 * Reads an archive and refuses what could harm a device that unpacks it: paths and links that lead outside,
 * devices, a name twice, more than `limit` bytes. Throws `input/bad-app-archive`.
 */
export async function readAppArchive(
  chunks: AsyncIterable<Uint8Array>,
  what: string,
  limit = MAX_UNPACKED,
): Promise<ReadApp> {
  const fail = (reason: string, cause?: unknown): TreewrightError =>
    new TreewrightError('input/bad-app-archive', `${what}: ${reason}`, { cause });
  const gunzip = createGunzip();
  const reader = extract();
  const paths = new Set<string>();
  const links = new Set<string>();
  let compose: Uint8Array | undefined;
  let unpacked = 0;
  const count = async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      unpacked += chunk.length;
      if (unpacked > limit) throw fail(`it unpacks to more than ${limit} bytes`);
      yield chunk;
    }
  };
  const flow = pipeline(chunks, gunzip, count, reader);
  try {
    for await (const entry of reader) {
      const parts = splitArchivePath(entry.header.name);
      const path = parts.join('/');
      if (entry.header.name.startsWith('/') || path === '')
        throw fail(`the path ${JSON.stringify(entry.header.name)} is not relative`);
      if (paths.has(path)) throw fail(`${path} is in it twice`);
      for (let depth = 1; depth < parts.length; depth++) {
        if (links.has(parts.slice(0, depth).join('/'))) throw fail(`${path} lies below a symbolic link`);
      }
      paths.add(path);
      checkEntry(entry.header, path, fail);
      if (entry.header.type === 'symlink') links.add(path);
      if (path === COMPOSE_NAME) {
        if (entry.header.type !== 'file' || entry.header.size > MAX_COMPOSE_SIZE) {
          throw fail(`${COMPOSE_NAME} is not a file of at most ${MAX_COMPOSE_SIZE} bytes`);
        }
        const pieces: Uint8Array[] = [];
        for await (const piece of entry as AsyncIterable<Uint8Array>) pieces.push(piece);
        compose = concatBytes(pieces);
      } else {
        entry.resume();
      }
    }
    await flow;
  } catch (error) {
    reader.destroy();
    await flow.catch(() => undefined);
    if (error instanceof TreewrightError) throw error;
    throw fail(`it cannot be read: ${error instanceof Error ? error.message : ''}`, error);
  }
  if (compose === undefined) throw fail(`it holds no ${COMPOSE_NAME}`);
  return { compose, paths: [...paths] };
}

function checkEntry(head: Header, path: string, fail: (reason: string) => TreewrightError): void {
  if (head.type === 'file' || head.type === 'directory') return;
  if (head.type !== 'symlink')
    throw fail(`${path} is a ${head.type} entry; only files, directories and links may be in it`);
  const target = head.linkname;
  const resolved = posix.normalize(posix.join(posix.dirname(path), target));
  if (target === '' || posix.isAbsolute(target) || resolved === '..' || resolved.startsWith('../')) {
    throw fail(`${path} is a link to ${JSON.stringify(target)}, outside the app`);
  }
}

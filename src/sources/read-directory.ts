/**
 * A root filesystem from a directory.
 *
 * Node cannot read xattrs, and under fakeroot or pseudo it sees the builder as owner, because it asks the kernel
 * past their preloaded library. GNU tar does both right and is on every build host, so it reads the directory and
 * its output is taken like any archive. Without it the file system is walked from Node, with getfattr for xattrs.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Diagnostic } from '../core/diagnostics.ts';
import type { EventSink } from '../core/events.ts';
import { TreewrightError, isTreewrightError, systemErrorCode } from '../core/errors.ts';
import { filterBytes, filterStream } from '../platform/processes.ts';
import type { ContentSink } from '../tree/types.ts';
import { createGroup, specialFiles } from './grouped.ts';
import type { RawTree, ReadTarOptions } from './read-tar.ts';
import { readTar } from './read-tar.ts';
import { walkDirectory } from './walk-directory.ts';

export interface ReadDirectoryOptions extends ReadTarOptions {
  readonly events: EventSink;
  /** `auto` takes GNU tar when it is there. */
  readonly reader?: 'auto' | 'tar' | 'walk';
}

/** Progress is told this often. */
const PROGRESS_BYTES = 16 << 20;

export async function readDirectory(
  path: string,
  sink: ContentSink,
  options: ReadDirectoryOptions,
): Promise<RawTree> {
  const about = await stat(path).catch((error: unknown) => {
    throw new TreewrightError(
      'input/unreadable',
      `${path} cannot be read (${systemErrorCode(error) ?? 'unknown error'})`,
      { cause: error, data: { path } },
    );
  });
  if (!about.isDirectory()) throw new TreewrightError('input/not-a-directory', `${path} is not a directory`);
  const { reader = 'auto' } = options;
  if (reader === 'walk' || (reader === 'auto' && !(await hasGnuTar()))) {
    return walkDirectory(path, sink, options);
  }
  const sockets = await findSockets(path);
  const raw = await readTar(archiveOf(path, options.events), sink, {
    ...options,
    dropEmptyXattrs: true,
  }).catch((error: unknown) => {
    throw explain(error, path);
  });
  return { tree: raw.tree, diagnostics: [...raw.diagnostics, ...sockets] };
}

async function hasGnuTar(): Promise<boolean> {
  try {
    return Buffer.from(await filterBytes('tar', ['--version'], new Uint8Array())).includes('GNU tar');
  } catch (error) {
    if (isTreewrightError(error) && error.code.startsWith('tool/')) return false;
    throw error;
  }
}

const TAR_ARGUMENTS = [
  '--create',
  '--file=-',
  '--format=posix',
  '--pax-option=delete=atime,delete=ctime,delete=mtime',
  '--numeric-owner',
  '--xattrs',
  '--xattrs-include=*',
  '--sort=name',
];

async function* archiveOf(path: string, events: EventSink): AsyncGenerator<Uint8Array> {
  let done = 0;
  let told = 0;
  for await (const chunk of filterStream(
    'tar',
    [...TAR_ARGUMENTS, '--directory', path, '.'],
    Readable.from([]),
  )) {
    done += chunk.length;
    if (done - told >= PROGRESS_BYTES) {
      told = done;
      events({ type: 'progress', stage: 'sources', what: 'read', done, unit: 'bytes' });
    }
    yield chunk;
  }
  events({ type: 'progress', stage: 'sources', what: 'read', done, total: done, unit: 'bytes' });
}

/** tar ends with a failure when a file changed, shrank or vanished while it was read. */
function explain(error: unknown, path: string): unknown {
  if (!isTreewrightError(error) || error.code !== 'tool/failed') return error;
  const changed = /changed as we read it|shrank|removed before we read it/.test(error.message);
  return new TreewrightError(
    changed ? 'input/changed-while-read' : 'input/unreadable',
    changed
      ? `${path} changed while it was read; let the build finish first: ${error.message}`
      : `${path} cannot be read whole: ${error.message}`,
    { cause: error, data: { path } },
  );
}

/** tar leaves sockets out and only says so on its standard error. */
async function findSockets(path: string): Promise<Diagnostic[]> {
  const sockets = createGroup();
  try {
    for (const entry of await readdir(path, { withFileTypes: true, recursive: true })) {
      if (entry.isSocket()) sockets.add(join(entry.parentPath, entry.name).slice(path.length));
    }
  } catch (error) {
    // What cannot be listed cannot be read either, and tar says so with the name.
    if (systemErrorCode(error) === undefined) throw error;
  }
  return specialFiles(sockets);
}

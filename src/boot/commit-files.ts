/** Files of a commit by path, with the symlinks a checked-out deployment would follow. */
import type { Checksum } from '../core/checksum.ts';
import { collectBytes, drain, fromUtf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';
import type { ByteStore } from '../platform/store.ts';
import type { ContentObject } from '../repo/read.ts';
import { lookupPath, readContent } from '../repo/read.ts';

/** The kernel's own limit on symlinks in a path. */
const MAX_SYMLINKS = 40;

/** A regular file of a commit; `content.chunks` is still to be read. */
export interface CommitFile {
  /** Where it stands after following symlinks. */
  readonly path: string;
  readonly checksum: Checksum;
  readonly content: ContentObject;
}

/** The target of a symlink as a path of the tree, or undefined when it leaves the tree. */
function followed(path: string, target: string): string | undefined {
  if (target.startsWith('/')) return undefined;
  const parts = path.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  return parts.join('/');
}

/**
 * Opens the regular file at `path`, following symlinks that stay inside the tree; undefined when there is nothing.
 * An absolute symlink is refused: while a tree is being deployed it would lead into the running system.
 */
export async function openCommitFile(
  store: ByteStore,
  commit: Checksum,
  path: string,
): Promise<CommitFile | undefined> {
  let at = path;
  for (let hops = 0; hops <= MAX_SYMLINKS; hops++) {
    const entry = await lookupPath(store, commit, at);
    if (entry === undefined) return undefined;
    if (entry.kind === 'directory') {
      throw new TreewrightError('input/not-a-file', `/${at} is a directory, expected a file`, {
        data: { path: at },
      });
    }
    const content = await readContent(store, entry.checksum);
    if (content.symlinkTarget === '') return { path: at, checksum: entry.checksum, content };
    await drain(content.chunks);
    const next = followed(at, content.symlinkTarget);
    if (next === undefined) {
      throw new TreewrightError(
        'input/symlink-outside',
        `/${at} is a symlink to ${JSON.stringify(content.symlinkTarget)}, outside the tree when it is deployed; ` +
          'make it relative or put a regular file there',
        { data: { path: at, target: content.symlinkTarget } },
      );
    }
    at = next;
  }
  throw new TreewrightError('input/symlink-loop', `/${path} is a loop of symlinks`, { data: { path } });
}

/** The text of a small file such as os-release; undefined when it is absent. */
export async function readCommitText(
  store: ByteStore,
  commit: Checksum,
  path: string,
  limit = 1024 * 1024,
): Promise<string | undefined> {
  const file = await openCommitFile(store, commit, path);
  if (file === undefined) return undefined;
  if (file.content.size > limit) {
    throw new TreewrightError(
      'input/too-large',
      `/${path} has ${file.content.size} bytes, at most ${limit} are expected`,
    );
  }
  const text = fromUtf8(await collectBytes(file.content.chunks));
  if (text === undefined) {
    throw new TreewrightError('input/not-utf8', `/${path} is not UTF-8 text, which libostree refuses`, {
      data: { path },
    });
  }
  return text;
}

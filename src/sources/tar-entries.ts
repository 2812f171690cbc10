/**
 * The entries of a tar stream with everything a root filesystem needs.
 *
 * tar-stream splits the archive, but decodes pax records as UTF-8 text, which destroys binary values such as
 * security.capability (measured: every byte of 0x80 and more becomes U+FFFD), and hides unknown type flags.
 * So the raw blocks between one entry's data and the next one's are kept until tar-stream reports the entry,
 * and read again here.
 */
import { extract } from 'tar-stream';
import { compareUtf8, concatBytes, fromUtf8 } from '../core/bytes.ts';
import { TreewrightError, isTreewrightError } from '../core/errors.ts';
import type { PaxRecords } from '../formats/pax.ts';
import { TAR_BLOCK, decodePaxRecords, paddedSize, paxNumber, tarSize, tarTypeFlag } from '../formats/pax.ts';
import type { Xattr } from '../tree/types.ts';
import { createByteWindow } from './byte-window.ts';
import { paxXattrs } from './pax-xattrs.ts';

export type TarEntryType =
  'file' | 'link' | 'symlink' | 'directory' | 'character device' | 'block device' | 'FIFO';

export interface TarEntry {
  /** As in the archive, decoded. */
  readonly name: string;
  readonly type: TarEntryType;
  /** Target of a symlink or a hard link; empty otherwise. */
  readonly linkname: string;
  readonly uid: number;
  readonly gid: number;
  /** The lower twelve bits. */
  readonly permissions: number;
  readonly xattrs: readonly Xattr[];
  /** True when the archive has SCHILY.acl.* records, which hold names and not the bytes the kernel wants. */
  readonly hasAcl: boolean;
  readonly size: number;
  /** The content; what is left of it is skipped when the next entry is asked for. */
  readonly content: AsyncIterable<Uint8Array>;
}

const TYPES: Readonly<Record<string, TarEntryType>> = {
  '0': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'character device',
  '4': 'block device',
  '5': 'directory',
  '6': 'FIFO',
  '7': 'file',
};

/** Largest uid and gid: (uid_t) -1 means "no change" to chown. */
const MAX_ID = 0xfffffffe;

interface RawHeader {
  readonly flag: string;
  /** The size field of the entry's own header; a pax record may override it. */
  readonly size: number;
  readonly pax: PaxRecords;
}

type Extractor = ReturnType<typeof extract>;
type EntryStream = Extractor extends AsyncIterable<infer Stream> ? Stream : never;

/**
 * latin1 keeps the bytes of names, which are decoded here, strictly. Archives of before POSIX have no magic.
 * tar-stream's declarations lack both options.
 */
const EXTRACT_OPTIONS = { highWaterMark: 1 << 20, filenameEncoding: 'latin1', allowUnknownFormat: true };

/** Reads `input`, the uncompressed archive called `label` in errors. */
export async function* tarEntries(input: AsyncIterable<Uint8Array>, label: string): AsyncGenerator<TarEntry> {
  const window = createByteWindow();
  const extractor = extract(EXTRACT_OPTIONS);
  let global: Map<string, Uint8Array> = new Map();
  /** Where the last entry's data ends. */
  let position = 0;
  let last = 'the start';
  let count = 0;

  const fail = (reason: string, cause?: unknown): TreewrightError =>
    new TreewrightError(
      'input/bad-archive',
      `${label} is not a complete tar archive: ${reason}, after ${last} near byte ${position}`,
      { cause, data: { archive: label, offset: position } },
    );

  const feed = async (): Promise<void> => {
    for await (const chunk of input) {
      if (extractor.destroyed) return;
      window.push(chunk);
      window.trim(position);
      if (!extractor.write(chunk)) await drained(extractor);
    }
    extractor.end(undefined);
  };
  let feedError: unknown;
  const feeding = feed().catch((error: unknown) => {
    feedError = error;
    extractor.destroy(error instanceof Error ? error : new Error(String(error)));
  });

  /** The blocks before an entry: extended headers, then its own header, which ends at `dataStart`. */
  const rawHeader = (dataStart: number): RawHeader => {
    let pax: PaxRecords = new Map();
    let at = position;
    while (at + TAR_BLOCK < dataStart) {
      const block = window.read(at, at + TAR_BLOCK);
      const flag = tarTypeFlag(block);
      at += TAR_BLOCK;
      if (!'xgLK'.includes(flag)) continue;
      const size = tarSize(block);
      if (flag === 'x') pax = decodePaxRecords(window.read(at, at + size));
      if (flag === 'g') global = new Map([...global, ...decodePaxRecords(window.read(at, at + size))]);
      at += paddedSize(size);
    }
    const own = window.read(dataStart - TAR_BLOCK, dataStart);
    return {
      flag: tarTypeFlag(own),
      size: tarSize(own),
      pax: global.size === 0 ? pax : new Map([...global, ...pax]),
    };
  };

  /** An entry's data; when the archive breaks off, tar-stream only says that the stream was destroyed. */
  async function* content(stream: EntryStream): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of stream) yield chunk as Uint8Array;
    } catch (error) {
      await feeding;
      throw feedError === undefined ? fail(`it ends in the content of ${last}`, error) : toError(feedError);
    }
  }

  try {
    for await (const stream of extractor) {
      const entry = { ...describe(stream, rawHeader, label), content: content(stream) };
      last = JSON.stringify(entry.name);
      position =
        stream.offset + TAR_BLOCK + (stream.header.type === 'directory' ? 0 : paddedSize(stream.header.size));
      count++;
      yield entry;
      if (!stream.destroyed) stream.resume();
    }
    await feeding;
    if (feedError !== undefined) throw toError(feedError);
    const end = window.end();
    if (count === 0) throw fail('it holds no entries');
    if (position > end) throw fail(`it ends at byte ${end}, in the content of ${last}`);
    // Every writer ends with two blocks of zeros; a copy that broke off between two entries has none.
    if (
      end - position < TAR_BLOCK ||
      window.read(position, position + TAR_BLOCK).some((byte) => byte !== 0)
    ) {
      throw fail('the two empty blocks at its end are missing, so it may be cut off');
    }
  } catch (error) {
    if (feedError !== undefined) throw toError(feedError);
    if (isTreewrightError(error)) throw error;
    throw fail(error instanceof Error ? error.message : String(error), error);
  } finally {
    extractor.destroy();
    await feeding;
  }
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

async function drained(extractor: Extractor): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      extractor.off('drain', done);
      extractor.off('close', done);
      resolve();
    };
    extractor.on('drain', done);
    extractor.on('close', done);
  });
}

function describe(
  stream: EntryStream,
  rawHeader: (dataStart: number) => RawHeader,
  label: string,
): Omit<TarEntry, 'content'> {
  const { header } = stream;
  const { flag, pax, size } = rawHeader(stream.offset + TAR_BLOCK);
  const name = text(pax, 'path', header.name, label, 'a name');
  const problem = (reason: string): TreewrightError =>
    new TreewrightError('input/bad-archive', `${label}: ${JSON.stringify(name)} ${reason}`, {
      data: { archive: label, path: name },
    });
  for (const keyword of pax.keys()) {
    if (keyword.startsWith('GNU.sparse.')) throw problem(SPARSE);
  }
  if (flag === 'S') throw problem(SPARSE);
  // Archives of before POSIX mark directories by a trailing slash only.
  const type = flag === '0' && name.endsWith('/') ? 'directory' : TYPES[flag];
  if (type === undefined) {
    throw problem(
      `has the entry type ${JSON.stringify(flag)}, which does not describe a file of a root filesystem`,
    );
  }
  // tar-stream passes negative numbers of base-256 fields on, and takes -1 for 0.
  const sizes = pax.has('size') ? [header.size] : [header.size, size];
  const strange = sizes.find((value) => !(Number.isSafeInteger(value) && value >= 0));
  if (strange !== undefined) throw problem('has a size that no file can have');
  const uid = number(pax, 'uid', header.uid);
  const gid = number(pax, 'gid', header.gid);
  if (uid === undefined || gid === undefined) throw problem('has no valid owner');
  const linked = type === 'link' || type === 'symlink';
  const linkname = linked ? text(pax, 'linkpath', header.linkname, label, `the target of ${name}`) : '';
  if (linked && linkname === '') throw problem('is a link without a target');
  return {
    name,
    type,
    linkname,
    uid,
    gid,
    permissions: header.mode & 0o7777,
    xattrs: pax.size === 0 ? [] : paxXattrs(pax, name).sort((a, b) => compareUtf8(a.name, b.name)),
    hasAcl: pax.has('SCHILY.acl.access') || pax.has('SCHILY.acl.default'),
    size: type === 'file' ? header.size : 0,
  };
}

const SPARSE = 'is stored in a GNU sparse format; make the archive without --sparse (-S)';

function text(
  pax: PaxRecords,
  keyword: string,
  fallback: string | null,
  label: string,
  what: string,
): string {
  const record = pax.get(keyword);
  const bytes = record !== undefined && record.length > 0 ? record : Buffer.from(fallback ?? '', 'latin1');
  const decoded = fromUtf8(bytes);
  if (decoded !== undefined) return decoded;
  throw new TreewrightError(
    'input/bad-path',
    `${label}: ${what} is not valid UTF-8 (${JSON.stringify(String.fromCharCode(...bytes))}), ` +
      'and OSTree stores UTF-8 names only; rename the file in the build',
    { data: { archive: label } },
  );
}

function number(pax: PaxRecords, keyword: string, fallback: number | undefined): number | undefined {
  const record = pax.get(keyword);
  const value = record !== undefined && record.length > 0 ? paxNumber(record) : fallback;
  return value !== undefined && Number.isInteger(value) && value >= 0 && value <= MAX_ID ? value : undefined;
}

/** All of an entry's content in one array; the common case of a single chunk is not copied. */
export async function readWhole(entry: Pick<TarEntry, 'content' | 'size'>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of entry.content) chunks.push(chunk);
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : concatBytes(chunks);
}

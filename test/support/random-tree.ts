/** Random root filesystems from a seed: the same seed gives the same archive. */
import { writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import type { Pack } from 'tar-stream';
import { pack } from 'tar-stream';

export interface RandomEntry {
  readonly path: string;
  readonly type: 'directory' | 'file' | 'symlink' | 'link';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly xattrs: Readonly<Record<string, string>>;
  readonly content?: Buffer;
  readonly linkname?: string;
}

/** mulberry32: small, seedable, good enough to vary trees. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const ODD_NAMES = [
  'ordinary', 'UPPER', '.hidden', '..two', '-dash', 'a b', ' lead', 'trail ', 'tab\there', 'new\nline', 'back\\slash',
  'quote"\'`', '$HOME', '*?[x]', '%41', '#hash', 'ä', 'a\u0308', '日本語', 'עברית', '\u{1f680}rocket', '\uffee', '\u{10000}',
  'é'.repeat(120), 'n'.repeat(255), '~', '@', ':', ';', '=', '|', '\u007f', '\u0001', '\ufeffbom', 'lib.so.1.2.3', 'CON',
]; // prettier-ignore

export interface RandomTreeOptions {
  /** Everything belongs to this owner, for archives that an ordinary user unpacks. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** False leaves out names that are not in Unicode normalisation form C. Default true. */
  readonly decomposed?: boolean;
}

/** Entries in archive order: parents before children. */
export function randomEntries(
  seed: number,
  { owner, decomposed = true }: RandomTreeOptions = {},
): RandomEntry[] {
  const next = random(seed);
  const below = (n: number): number => Math.floor(next() * n);
  const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T;
  const entries: RandomEntry[] = [];
  const ids = (): { uid: number; gid: number } =>
    owner ?? {
      uid: pick([0, 0, 0, 1, 33, 1000, 65534, 100000, 2097152]),
      gid: pick([0, 0, 8, 1000, 65534, 3000000]),
    };
  const permissions = (): number =>
    below(3) === 0 ? below(0o10000) : pick([0o644, 0o755, 0o600, 0o400, 0o4755, 0o2755]);
  const xattrs = (): Record<string, string> => {
    const found: Record<string, string> = {};
    if (below(4) === 0) {
      for (let i = below(3); i >= 0; i--)
        found[`user.${pick(['b', 'a', 'test', 'x.y', 'Zed'])}${i}`] = 'v'.repeat(below(60));
    }
    return found;
  };
  const content = (): Buffer => {
    const size = pick([
      0,
      0,
      1,
      below(100),
      below(5000),
      below(5000),
      below(70000),
      below(20) === 0 ? below(3_000_000) : 17,
    ]);
    const bytes = Buffer.alloc(size);
    const noisy = below(2) === 0;
    for (let i = 0; i < size; i++) bytes[i] = noisy ? below(256) : (i * 7) % 61;
    return bytes;
  };
  const files: string[] = [];
  const directories = [''];
  const used = new Set<string>();
  entries.push({ path: '', type: 'directory', mode: 0o755, ...ids(), xattrs: {} });
  const count = 3 + below(35);
  for (let i = 0; i < count; i++) {
    // Preferring the newest directory now and then makes trees deep.
    const parent = below(3) === 0 ? (directories[directories.length - 1] ?? '') : pick(directories);
    const name = below(2) === 0 ? pick(ODD_NAMES) : `f${below(50)}${pick(['', '.txt', '.so.1', '_x'])}`;
    const path = parent === '' ? name : `${parent}/${name}`;
    if (used.has(path) || Buffer.byteLength(path) > 1500) continue;
    if (!decomposed && path.normalize('NFC') !== path) continue;
    used.add(path);
    const kind = below(10);
    if (kind < 3) {
      // A directory that its owner cannot enter could not be filled by `tar` as an ordinary user.
      entries.push({ path, type: 'directory', mode: permissions() | 0o700, ...ids(), xattrs: xattrs() });
      directories.push(path);
    } else if (kind < 5) {
      const linkname = pick([
        '/etc/passwd',
        '../..',
        'dangling',
        '日本語',
        'x'.repeat(1 + below(300)),
        '.',
        './a//b/',
      ]);
      entries.push({ path, type: 'symlink', mode: 0o777, ...ids(), xattrs: {}, linkname });
    } else if (kind === 5 && files.length > 0) {
      entries.push({ path, type: 'link', mode: 0o644, ...ids(), xattrs: {}, linkname: pick(files) });
    } else {
      entries.push({
        path,
        type: 'file',
        mode: permissions() | 0o400,
        ...ids(),
        xattrs: xattrs(),
        content: content(),
      });
      files.push(path);
    }
  }
  return entries;
}

/** A POSIX tar of the entries, with xattrs as pax records in the form GNU tar and libarchive read. */
export async function writeTar(path: string, entries: readonly RandomEntry[]): Promise<void> {
  const archive: Pack = pack();
  const bytes = buffer(archive);
  for (const entry of entries) {
    const pax: Record<string, string> = {};
    for (const [name, value] of Object.entries(entry.xattrs)) pax[`SCHILY.xattr.${name}`] = value;
    const name = `./${entry.path}${entry.type === 'directory' && entry.path !== '' ? '/' : ''}`;
    archive.entry(
      {
        name,
        type: entry.type,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: new Date(0),
        ...(entry.linkname === undefined
          ? {}
          : { linkname: entry.type === 'link' ? `./${entry.linkname}` : entry.linkname }),
        ...(Object.keys(pax).length === 0 ? {} : { pax }),
      },
      entry.content ?? Buffer.alloc(0),
    );
  }
  archive.finalize();
  await writeFile(path, await bytes);
}

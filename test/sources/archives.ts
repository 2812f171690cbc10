/** Archives for tests: by tar-stream, and by hand where bytes matter. */
import { pack } from 'tar-stream';
import { concatBytes, utf8 } from '../../src/core/bytes.ts';
import type { FileTree, TreeNode } from '../../src/tree/types.ts';
import { walk } from '../../src/tree/walk.ts';
import { createFactsCollector } from '../../src/sources/facts-collector.ts';
import { hashingSink } from '../../src/sources/hashing-sink.ts';
import type { RawTree, ReadTarOptions } from '../../src/sources/read-tar.ts';
import { readTar } from '../../src/sources/read-tar.ts';

export interface Member {
  readonly name: string;
  readonly type?: 'file' | 'directory' | 'symlink' | 'link' | 'character-device' | 'block-device' | 'fifo';
  readonly content?: string | Uint8Array;
  readonly linkname?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** An archive as tar-stream writes it. */
export async function makeTar(members: readonly Member[]): Promise<Uint8Array> {
  const packer = pack();
  for (const { name, type = 'file', content = '', linkname, mode, uid = 0, gid = 0 } of members) {
    const header = {
      name,
      type,
      uid,
      gid,
      mode: mode ?? (type === 'directory' ? 0o755 : 0o644),
      ...(linkname === undefined ? {} : { linkname }),
    };
    if (type === 'file') packer.entry(header, content);
    else packer.entry(header);
  }
  packer.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of packer) chunks.push(chunk as Uint8Array);
  return concatBytes(chunks);
}

export interface RawMember {
  readonly name: Uint8Array | string;
  readonly flag?: string;
  readonly content?: Uint8Array;
  readonly linkname?: string;
  /** Written into the size field instead of the content's length. */
  readonly size?: number;
  readonly uid?: number;
  readonly magic?: 'ustar' | 'gnu' | 'none';
}

/** One header block with its data, byte for byte as POSIX has it. */
export function rawMember(member: RawMember): Uint8Array {
  const { name, flag = '0', content = new Uint8Array(), linkname = '', uid = 0, magic = 'ustar' } = member;
  const block = new Uint8Array(512);
  const octal = (value: number, at: number, length: number): void => {
    block.set(utf8(value.toString(8).padStart(length - 1, '0')), at);
  };
  block.set((typeof name === 'string' ? utf8(name) : name).subarray(0, 100), 0);
  octal(flag === '5' ? 0o755 : 0o644, 100, 8);
  if (uid > 0o7777777) {
    block[108] = 0x80;
    new DataView(block.buffer).setUint32(112, uid);
  } else octal(uid, 108, 8);
  octal(0, 116, 8);
  octal(member.size ?? content.length, 124, 12);
  octal(0, 136, 12);
  block.fill(0x20, 148, 156);
  block.set(utf8(flag), 156);
  block.set(utf8(linkname).subarray(0, 100), 157);
  if (magic === 'ustar') block.set(utf8('ustar\x0000'), 257);
  if (magic === 'gnu') block.set(utf8('ustar  \0'), 257);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    8,
  );
  const padded = new Uint8Array(Math.ceil(content.length / 512) * 512);
  padded.set(content);
  return concatBytes([block, padded]);
}

/** A pax record: its length counts itself. */
export function paxRecord(keyword: string, value: Uint8Array | string): Uint8Array {
  const body = concatBytes([
    utf8(` ${keyword}=`),
    typeof value === 'string' ? utf8(value) : value,
    utf8('\n'),
  ]);
  let length = body.length + 1;
  while (String(length).length + body.length !== length) length = String(length).length + body.length;
  return concatBytes([utf8(String(length)), body]);
}

export function paxHeader(records: readonly Uint8Array[], flag: 'x' | 'g' = 'x'): Uint8Array {
  return rawMember({ name: './PaxHeaders/x', flag, content: concatBytes(records) });
}

export const END_OF_ARCHIVE = new Uint8Array(1024);

/** Gives bytes in pieces of `size`, so that headers straddle them. */
export async function* inPieces(bytes: Uint8Array, size = 1 << 20): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    await Promise.resolve();
    yield bytes.subarray(at, at + size);
  }
}

export async function readBytes(
  archive: Uint8Array,
  options: Partial<ReadTarOptions> & { readonly piece?: number } = {},
): Promise<RawTree> {
  const { piece, ...rest } = options;
  return readTar(inPieces(archive, piece), hashingSink(), {
    label: 'test.tar',
    layout: 'none',
    owner: 'as-is',
    facts: createFactsCollector(),
    ...rest,
  });
}

/** A tree as lines that are easy to compare: type, mode, owner, path, target or checksum, xattrs. */
export function describeTree(tree: FileTree): string[] {
  const line = (path: string, node: TreeNode): string => {
    const { uid, gid, mode, xattrs } = node.stat;
    const more =
      node.kind === 'symlink'
        ? ` -> ${node.target}`
        : node.kind === 'file'
          ? ` ${node.content.kind === 'stored' ? node.content.checksum.slice(0, 12) : 'inline'}`
          : '';
    const names = xattrs.map(({ name, value }) => ` ${name}=${Buffer.from(value).toString('hex')}`).join('');
    return `${node.kind} ${mode.toString(8)} ${uid}:${gid} /${path}${more}${names}`;
  };
  const lines = [line('', tree.root)];
  walk(tree, (path, node) => lines.push(line(path, node)));
  return lines;
}

/** Two releases of a small tree that differ in every way a delta has to deal with. */
import { deflateRawSync } from 'node:zlib';
import { cpioArchive } from '../support/cpio.ts';
import type { RandomEntry } from '../support/random-tree.ts';
import { random } from '../support/random-tree.ts';
import { edited, programBytes } from '../support/small-rootfs.ts';

/** Bytes that nothing compresses. */
export function noise(seed: number, size: number): Buffer {
  const next = random(seed);
  return Buffer.from(Uint8Array.from({ length: size }, () => Math.floor(next() * 256)));
}

/** `bytes` as after a change that moved what its addresses point to: a byte here and there is one more. */
function relocated(bytes: Buffer): Buffer {
  const out = Buffer.from(bytes);
  for (let at = 11; at < out.length; at += 40 + (at % 23)) out[at] = (out[at] ?? 0) + 1;
  return out;
}

function prose(seed: number, lines: number): string[] {
  const next = random(seed);
  return Array.from({ length: lines }, (_, i) => `${i} ${'word '.repeat(Math.floor(next() * 9))}${next()}`);
}

function entry(
  path: string,
  content: Buffer | string,
  mode = 0o644,
  more: Partial<RandomEntry> = {},
): RandomEntry {
  return {
    path,
    type: 'file',
    mode,
    uid: 0,
    gid: 0,
    xattrs: {},
    content: Buffer.from(content),
    ...more,
  };
}

function directory(path: string, mode = 0o755): RandomEntry {
  return { path, type: 'directory', mode, uid: 0, gid: 0, xattrs: {} };
}

function symlink(path: string, linkname: string): RandomEntry {
  return { path, type: 'symlink', mode: 0o777, uid: 0, gid: 0, xattrs: {}, linkname };
}

/** Contents of both releases; made once, they take a moment. */
const program = programBytes(1, 300_000);
const library = programBytes(2, 200_000);
const renamed = programBytes(3, 90_000);
const image = noise(4, 800_000);
const packed = deflateRawSync(programBytes(5, 200_000));

const text = prose(6, 800);
const changedText = text.map((line, i) => (i % 50 === 7 ? `${line} changed` : line));
const changedImage = Buffer.concat([image.subarray(0, 300_000), noise(7, 5000), image.subarray(300_100)]);

const module = programBytes(9, 150_000);
const secret = programBytes(8, 60_000);
/** What is at the same place in an initramfs of both releases, and what it has for itself. */
const newProgram = edited(program, 10);
const newLibrary = Buffer.concat([programBytes(12, 3000), relocated(library)]);
const newModule = relocated(module);
const initramfs = {
  old: cpioArchive({
    init: '#!/bin/sh\necho one\n',
    'usr/bin/program': program,
    'usr/lib/libthing.so.1.2': library,
    'lib/modules/disk.ko': module,
    'usr/share/image': image,
    'usr/bin/own': programBytes(18, 70_000),
  }),
  new: cpioArchive({
    init: '#!/bin/sh\necho two\n',
    'usr/bin/program': newProgram,
    'usr/lib/libthing.so.1.3': newLibrary,
    'lib/modules/disk.ko': newModule,
    'usr/share/image': changedImage,
    'usr/bin/own': programBytes(18, 70_000),
  }),
};

/** The older release. */
export const OLD: readonly RandomEntry[] = [
  directory(''),
  directory('usr'),
  directory('usr/bin'),
  directory('usr/lib'),
  directory('usr/lib/modules'),
  directory('usr/lib/modules/6.1.0-30'),
  directory('usr/share', 0o700),
  entry('usr/bin/program', program, 0o755),
  entry('usr/bin/mode-only', 'the same words in both\n'.repeat(100), 0o644),
  entry('usr/bin/removed', 'gone later\n'),
  entry('usr/bin/secret', secret, 0o600),
  entry('usr/lib/libthing.so.1.2', library, 0o755),
  entry('usr/lib/old-name', renamed),
  entry('usr/lib/modules/6.1.0-30/disk.ko', module),
  entry('usr/lib/modules/6.1.0-30/initramfs.img', initramfs.old),
  entry('usr/share/empty', ''),
  entry('usr/share/image', image),
  entry('usr/share/packed.gz', packed),
  entry('usr/share/text', `${text.join('\n')}\n`),
  entry('usr/share/owner', 'x'.repeat(500), 0o644, { xattrs: { 'user.one': '1' } }),
  entry('usr/share/small', 'tiny'),
  symlink('usr/lib/libthing.so', 'libthing.so.1.2'),
];

/** The newer release: edited, moved, renamed with its version, grown, emptied, changed in mode or xattrs only. */
export const NEW: readonly RandomEntry[] = [
  directory(''),
  directory('usr'),
  directory('usr/bin'),
  directory('usr/lib'),
  directory('usr/lib/modules'),
  directory('usr/lib/modules/6.1.0-31'),
  directory('usr/share', 0o755),
  directory('usr/share/new', 0o1777),
  entry('usr/bin/program', newProgram, 0o755),
  entry('usr/bin/mode-only', 'the same words in both\n'.repeat(100), 0o4755),
  entry('usr/bin/secret', edited(secret, 11), 0o600),
  entry('usr/lib/libthing.so.1.3', newLibrary, 0o755),
  entry('usr/lib/new-name', renamed),
  entry('usr/lib/modules/6.1.0-31/disk.ko', newModule),
  entry('usr/lib/modules/6.1.0-31/initramfs.img', initramfs.new),
  entry('usr/share/empty', '', 0o600),
  entry('usr/share/image', changedImage),
  entry('usr/share/new/file', prose(15, 300).join('\n')),
  entry('usr/share/new/noise.bin', noise(16, 100_000)),
  entry('usr/share/packed.gz', deflateRawSync(edited(programBytes(5, 200_000), 17))),
  entry('usr/share/text', `${changedText.join('\n')}\n`),
  entry('usr/share/owner', 'x'.repeat(500), 0o644, {
    uid: 0,
    gid: 7,
    xattrs: { 'user.one': '2', 'user.two': 'zwei' },
  }),
  entry('usr/share/small', 'tinier'),
  symlink('usr/lib/libthing.so', 'libthing.so.1.3'),
  symlink('usr/share/new/link', '../ümlaut'),
];

/** Much that nothing compresses: it gets a part that is not compressed. */
export const FIRMWARE = entry('usr/share/firmware', noise(19, 1_100_000));

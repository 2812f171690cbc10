/** Small builds under the names that real ones have. */
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Diagnostic } from '../../src/core/diagnostics.ts';
import { noEvents } from '../../src/core/events.ts';
import { hashingSink } from '../../src/sources/hashing-sink.ts';
import { readSource } from '../../src/sources/read.ts';
import type { BuildOutput, ReadOptions, SourceSpec } from '../../src/sources/types.ts';
import type { Member } from './archives.ts';
import { makeTar } from './archives.ts';

/** Files by path; `-> x` makes a symlink. */
export async function writeFiles(
  root: string,
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    const full = join(root, path);
    await mkdir(dirname(full), { recursive: true });
    if (typeof content === 'string' && content.startsWith('-> ')) await symlink(content.slice(3), full);
    else await writeFile(full, content);
  }
}

/** An arm64 `Image`: its magic, and the banner somewhere behind. */
export function arm64Image(release: string, padding = 3000): Uint8Array {
  const banner = Buffer.from(`Linux version ${release} (builder@host) (gcc 12) #1 SMP\n`);
  const image = Buffer.alloc(64 + padding + banner.length + 100, 0x4c);
  image.write('ARM\x64', 56, 'latin1');
  image.write('Linux version %s\0', 100, 'latin1');
  banner.copy(image, 64 + padding);
  return image;
}

/** A compiled device tree, as far as anyone looks. */
export function deviceTree(id: string): Uint8Array {
  return Buffer.concat([Buffer.from([0xd0, 0x0d, 0xfe, 0xed]), Buffer.from(id)]);
}

/** An ELF header of a 64-bit little-endian program for `machine`. */
export function elfProgram(machine: number): Uint8Array {
  const header = Buffer.alloc(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.writeUInt16LE(3, 16);
  header.writeUInt16LE(machine, 18);
  return header;
}

export const AARCH64 = 183;

export const ROOTFS: readonly Member[] = [
  { name: './', type: 'directory' },
  { name: './bin', type: 'symlink', linkname: 'usr/bin' },
  { name: './lib', type: 'symlink', linkname: 'usr/lib' },
  { name: './sbin', type: 'symlink', linkname: 'usr/sbin' },
  { name: './usr/bin/busybox', content: elfProgram(AARCH64), mode: 0o4755 },
  { name: './usr/sbin/init', type: 'symlink', linkname: '../bin/busybox' },
  {
    name: './usr/lib/os-release',
    content: 'NAME=Buildroot\nID=buildroot\nVERSION_ID=2025.02.16\nPRETTY_NAME="Buildroot 2025.02.16"\n',
  },
  { name: './usr/lib/modules/6.1.44/modules.dep' },
  { name: './etc/os-release', type: 'symlink', linkname: '../usr/lib/os-release' },
  { name: './etc/init.d/rcS', content: '#!/bin/sh\n', mode: 0o755 },
];

export async function rootfsTar(extra: readonly Member[] = [], without?: RegExp): Promise<Uint8Array> {
  return makeTar([...ROOTFS.filter(({ name }) => without?.test(name) !== true), ...extra]);
}

export async function read(spec: SourceSpec, options: Partial<ReadOptions> = {}): Promise<BuildOutput> {
  return readSource(spec, hashingSink(), { events: noEvents, ...options });
}

export function errors(diagnostics: readonly Diagnostic[]): string[] {
  return diagnostics.filter(({ severity }) => severity === 'error').map(({ code }) => code);
}

export function warnings(diagnostics: readonly Diagnostic[]): string[] {
  return diagnostics.filter(({ severity }) => severity === 'warning').map(({ code }) => code);
}

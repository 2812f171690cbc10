/** A small root filesystem that deploys: enough structure for every stage of a release, quick to read. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { random } from './random-tree.ts';

export interface SmallRootfs {
  /** The directory with everything: rootfs.tar, Image, board.dtb, initramfs.img. */
  readonly directory: string;
}

/** Deterministic bytes that compress about as well as program code. */
export function programBytes(seed: number, size: number): Buffer {
  const next = random(seed);
  const words = Array.from({ length: 400 }, () =>
    Buffer.from(Array.from({ length: 3 + Math.floor(next() * 9) }, () => Math.floor(next() * 256))),
  );
  const chunks: Buffer[] = [];
  for (let length = 0; length < size;) {
    const word = words[Math.floor(next() * words.length)] ?? Buffer.alloc(1);
    chunks.push(word);
    length += word.length;
  }
  return Buffer.concat(chunks).subarray(0, size);
}

/** `bytes` with a few small edits, as a rebuilt program has them. */
export function edited(bytes: Buffer, seed: number): Buffer {
  const next = random(seed);
  const out = Buffer.from(bytes);
  for (let i = 0; i < 20; i++)
    out.writeUInt32LE(Math.floor(next() * 2 ** 32), Math.floor(next() * (out.length - 4)));
  return out;
}

export interface SmallRootfsOptions {
  /** Release number: later ones differ in a program, a text and an added file. */
  readonly release: number;
  readonly programs?: number;
  readonly programSize?: number;
}

/** Writes the files below `directory`. */
export async function writeSmallRootfs(
  directory: string,
  { release, programs = 20, programSize = 60_000 }: SmallRootfsOptions,
): Promise<SmallRootfs> {
  await mkdir(directory, { recursive: true });
  const archive = pack();
  const bytes = buffer(archive);
  const add = (name: string, content: Buffer | string, mode = 0o644): void => {
    archive.entry({ name: `./${name}`, mode, mtime: new Date(0) }, content);
  };
  const directories = [
    'bin', 'sbin', 'dev', 'etc', 'etc/init.d', 'home', 'home/user', 'lib', 'lib/modules', 'lib/modules/6.1.0-test',
    'lib/modules/6.1.0-test/kernel', 'mnt', 'opt', 'opt/vendor', 'proc', 'root', 'run', 'srv', 'sys', 'tmp', 'usr',
    'usr/bin', 'usr/lib', 'usr/lib/ostree', 'usr/local', 'usr/local/bin', 'var', 'var/lib', 'var/lib/state',
  ]; // prettier-ignore
  archive.entry({ name: './', type: 'directory', mode: 0o755, mtime: new Date(0) });
  for (const name of directories) {
    archive.entry({ name: `./${name}/`, type: 'directory', mode: 0o755, mtime: new Date(0) });
  }
  add('bin/busybox', programBytes(1, 300_000), 0o4755);
  archive.entry({ name: './bin/sh', type: 'symlink', linkname: 'busybox', mtime: new Date(0) });
  archive.entry({ name: './sbin/init', type: 'symlink', linkname: '../bin/busybox', mtime: new Date(0) });
  add('etc/os-release', `ID=small\nPRETTY_NAME="Small test system"\nVERSION_ID=${release}.0\n`);
  add('etc/inittab', '::sysinit:/etc/init.d/rcS\n');
  add('etc/init.d/rcS', '#!/bin/sh\nfor s in /etc/init.d/S??*; do "$s" start; done\n', 0o755);
  add('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n');
  add('etc/version', `${release}\n`);
  add('home/user/.profile', 'export PS1=user\n');
  add('opt/vendor/tool', programBytes(3, 5000), 0o755);
  add('var/lib/state/factory.db', 'factory');
  add('usr/local/bin/local-tool', '#!/bin/sh\n', 0o755);
  add('usr/lib/ostree/ostree-prepare-root', programBytes(4, 9000), 0o755);
  add('lib/modules/6.1.0-test/modules.dep', 'kernel/driver.ko:\n');
  add('lib/modules/6.1.0-test/kernel/driver.ko', programBytes(5, 40_000));
  for (let i = 0; i < programs; i++) {
    const program = programBytes(100 + i, programSize);
    add(`usr/bin/program${i}`, i === 0 && release > 1 ? edited(program, release) : program, 0o755);
  }
  if (release > 1) add('usr/bin/bc', programBytes(50 + release, 30_000), 0o755);
  archive.finalize();
  await writeFile(join(directory, 'rootfs.tar'), await bytes);

  const kernel = programBytes(7, 400_000);
  // The magic of an arm64 Image, at its place in the header.
  kernel.write('ARM\x64', 56, 'latin1');
  await writeFile(join(directory, 'Image'), kernel);
  await writeFile(
    join(directory, 'board.dtb'),
    Buffer.concat([Buffer.from('d00dfeed', 'hex'), programBytes(8, 3000)]),
  );
  await writeFile(join(directory, 'initramfs.img'), programBytes(9, 50_000));
  return { directory };
}

/** A treewright.yaml for it; `extra` is added as it is. */
export async function writeSmallConfig(
  file: string,
  rootfs: SmallRootfs,
  options: { readonly keys: string; readonly output: string; readonly extra?: string },
): Promise<void> {
  const { directory } = rootfs;
  await writeFile(
    file,
    `product: gateway
machine: test-board
source:
  rootfs: ${join(directory, 'rootfs.tar')}
  kernel: ${join(directory, 'Image')}
  initramfs: ${join(directory, 'initramfs.img')}
  device-trees: [${join(directory, 'board.dtb')}]
ostree: { branch: gateway/stable, osname: gateway }
boot: { kargs: [console=ttyAMA0, quiet] }
signing: { keys: ${options.keys} }
output: ${options.output}
${options.extra ?? ''}`,
  );
}

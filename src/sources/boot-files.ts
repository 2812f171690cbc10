/** Kernel, initramfs and device trees that lie outside the root filesystem. */
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { basename, posix, relative } from 'node:path';
import { createGunzip } from 'node:zlib';
import fastGlob from 'fast-glob';
import { compareUtf8 } from '../core/bytes.ts';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import { createReleaseScanner } from '../formats/kernel-image.ts';
import type { ContentSink, RegularFile } from '../tree/types.ts';
import { rootStat } from '../tree/walk.ts';
import type { KernelProbe } from './facts-collector.ts';
import { probe, tap } from './facts-collector.ts';

const CHUNK = 1 << 20;
const DEVICE_TREE_MAGIC = 0xd00dfeed;
const DEVICE_TREE_GLOB = '**/*.{dtb,dtbo}';

/** A boot file's content as root's file with mode 0644, whoever built it. `what` names it in errors. */
export async function storeBootFile(path: string, what: string, sink: ContentSink): Promise<RegularFile> {
  return (await storeWatched(path, what, sink, () => false)).file;
}

/** Stores a kernel image and learns its release on the way, if the image tells. */
export async function storeKernel(
  path: string,
  sink: ContentSink,
): Promise<{ readonly file: RegularFile; readonly probe: KernelProbe }> {
  const scanner = createReleaseScanner();
  const { file } = await storeWatched(path, 'the kernel image', sink, (chunk) => scanner.push(chunk));
  const found = probe(scanner);
  return { file, probe: found.format === 'gzip' ? { ...found, ...(await insideGzip(path)) } : found };
}

async function insideGzip(path: string): Promise<{ release?: string }> {
  const scanner = createReleaseScanner();
  const gunzip = createReadStream(path).pipe(createGunzip());
  try {
    for await (const chunk of gunzip) if (!scanner.push(chunk as Uint8Array)) break;
  } catch {
    // Not a whole gzip file: the boot loader will say so, and the release can be named.
    return {};
  }
  const release = scanner.release();
  return release === undefined ? {} : { release };
}

async function storeWatched(
  path: string,
  what: string,
  sink: ContentSink,
  look: (chunk: Uint8Array) => boolean,
): Promise<{ file: RegularFile }> {
  const about = await stat(path).catch((error: unknown) => {
    throw new TreewrightError(
      'input/unreadable',
      `${what} ${path} cannot be read (${systemErrorCode(error) ?? 'unknown error'})`,
      { cause: error, data: { path } },
    );
  });
  if (!about.isFile()) throw new TreewrightError('input/unreadable', `${what} ${path} is not a file`);
  const own = rootStat.file();
  const content = tap(createReadStream(path, { highWaterMark: CHUNK }) as AsyncIterable<Uint8Array>, look);
  return { file: { kind: 'file', stat: own, content: await sink.put(own, about.size, content) } };
}

/** A device tree: where it lies, and its path below the `dtb` directory. */
export interface DeviceTreeFile {
  readonly path: string;
  readonly name: string;
}

/**
 * Finds device trees. A file gives its base name; a directory gives what lies in it, with subdirectories; a glob
 * gives what matches, named from where its first wildcard stands.
 */
export async function findDeviceTrees(patterns: readonly string[]): Promise<DeviceTreeFile[]> {
  const found: DeviceTreeFile[] = [];
  for (const pattern of patterns) {
    const about = await stat(pattern).catch(() => undefined);
    const before = found.length;
    if (about?.isFile() === true) {
      found.push({ path: pattern, name: basename(pattern) });
    } else {
      const glob =
        about?.isDirectory() === true ? posix.join(fastGlob.escapePath(pattern), DEVICE_TREE_GLOB) : pattern;
      const base = fastGlob.generateTasks(glob)[0]?.base ?? '.';
      for (const path of await fastGlob.glob(glob, { onlyFiles: true, followSymbolicLinks: false })) {
        found.push({ path, name: relative(about?.isDirectory() === true ? pattern : base, path) });
      }
    }
    if (found.length === before) {
      throw new TreewrightError(
        'input/no-device-tree',
        `no device tree (.dtb or .dtbo) is at ${pattern}; name a file, a directory or a glob`,
        { data: { path: pattern } },
      );
    }
  }
  return found.sort((a, b) => compareUtf8(a.name, b.name));
}

/** Stores device trees under their names; two different ones of one name are an error. */
export async function storeDeviceTrees(
  files: readonly DeviceTreeFile[],
  sink: ContentSink,
): Promise<Map<string, RegularFile>> {
  const trees = new Map<string, RegularFile>();
  for (const { path, name } of files) {
    if ((await magicOf(path)) !== DEVICE_TREE_MAGIC) {
      throw new TreewrightError(
        'input/not-a-device-tree',
        `${path} is not a compiled device tree: it does not begin with d00dfeed`,
        { data: { path } },
      );
    }
    const file = await storeBootFile(path, 'the device tree', sink);
    const other = trees.get(name);
    if (other !== undefined && checksumOf(other) !== checksumOf(file)) {
      throw new TreewrightError(
        'input/duplicate-device-tree',
        `two different device trees have the name ${name}; the second one is ${path}`,
        { data: { path } },
      );
    }
    trees.set(name, file);
  }
  return trees;
}

function checksumOf(file: RegularFile): string | undefined {
  return file.content.kind === 'stored' ? file.content.checksum : undefined;
}

async function magicOf(path: string): Promise<number> {
  const handle = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(4);
    await handle.read(bytes, 0, 4, 0);
    return bytes.readUInt32BE(0);
  } finally {
    await handle.close();
  }
}

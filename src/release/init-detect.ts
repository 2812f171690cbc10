/** What a new project can learn from the folder it stands in. */
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import fg from 'fast-glob';
import { isTreewrightError, systemErrorCode } from '../core/errors.ts';
import { toIdentifier } from '../config/names.ts';
import { decodeKconfig } from '../formats/kconfig.ts';
import { detectSource } from '../sources/detect.ts';
import { yoctoImages } from '../sources/yocto.ts';
import type { SourceSpec } from '../sources/types.ts';

/** Where builds leave their output, relative to the folder of the project; the likeliest first. */
const PLACES = [
  '.',
  'output',
  'deploy/images/*',
  'tmp*/deploy/images/*',
  'build*/tmp*/deploy/images/*',
  'build*',
  'output*',
  'images/rootfs.tar*',
  'rootfs.tar*',
  '*rootfs*.tar*',
  'rootfs',
];

/** Every build output found near `dir`, the likeliest first. */
export async function findSources(dir: string): Promise<SourceSpec[]> {
  const found = new Map<string, SourceSpec>();
  for (const place of PLACES) {
    const paths =
      place === '.' ? ['.'] : await fg(place, { cwd: dir, onlyFiles: false, followSymbolicLinks: false });
    for (const path of paths.sort()) {
      const spec = await tryDetect(join(dir, path));
      if (spec && !found.has(sourcePath(spec))) found.set(sourcePath(spec), spec);
    }
  }
  return (await Promise.all([...found.values()].map(imagesOf))).flat();
}

/** One source an image, where a deploy directory has several: each of them has to be named. */
export async function imagesOf(spec: SourceSpec): Promise<SourceSpec[]> {
  if (spec.kind !== 'yocto') return [spec];
  const images = await yoctoImages(spec.deploy);
  return images.length < 2 ? [spec] : images.map((image) => ({ ...spec, image }));
}

async function tryDetect(path: string): Promise<SourceSpec | undefined> {
  try {
    const spec = await detectSource(path);
    // A folder that merely holds a rootfs.tar may be the project's own: the archive is the source then.
    if (spec.kind === 'buildroot' && (await buildrootConfig(spec.output)) === undefined) return undefined;
    return spec;
  } catch (error) {
    if (isTreewrightError(error)) return undefined;
    throw error;
  }
}

/** Buildroot's .config, given its output directory or the images directory inside. */
async function buildrootConfig(output: string): Promise<string | undefined> {
  for (const file of [join(output, '.config'), join(dirname(resolve(output)), '.config')]) {
    try {
      return await readFile(file, 'utf8');
    } catch (error) {
      const code = systemErrorCode(error);
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    }
  }
  return undefined;
}

/** The path that a source is known by. */
export function sourcePath(spec: SourceSpec): string {
  switch (spec.kind) {
    case 'buildroot':
      return resolve(spec.output);
    case 'yocto':
      return resolve(spec.deploy);
    case 'rootfs':
      return resolve(spec.rootfs);
  }
}

/** The machine that a build is for, as far as its configuration or its folder tells; undefined otherwise. */
export async function machineOf(spec: SourceSpec): Promise<string | undefined> {
  if (spec.kind === 'yocto') return toIdentifier(basename(resolve(spec.deploy)));
  if (spec.kind === 'rootfs') return undefined;
  const text = await buildrootConfig(spec.output);
  if (text === undefined) return undefined;
  const config = decodeKconfig(text);
  const board = basename(config.get('BR2_DEFCONFIG') ?? '').replace(/_?defconfig$/, '');
  return toIdentifier(board);
}

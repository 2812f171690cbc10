/** What a new project can learn from the folder it stands in. */
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import fg from 'fast-glob';
import { isTreewrightError } from '../core/errors.ts';
import { toIdentifier } from '../config/names.ts';
import { decodeKconfig } from '../formats/kconfig.ts';
import { detectSource } from '../sources/detect.ts';
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
  return [...found.values()];
}

async function tryDetect(path: string): Promise<SourceSpec | undefined> {
  try {
    const spec = await detectSource(path);
    // Any folder could be committed as a root filesystem; only one that looks like it is meant to be.
    if (spec.kind === 'rootfs' && !(await looksLikeRoot(spec.rootfs))) return undefined;
    return spec;
  } catch (error) {
    if (isTreewrightError(error)) return undefined;
    throw error;
  }
}

async function looksLikeRoot(path: string): Promise<boolean> {
  if (!(await stat(path)).isDirectory()) return true;
  const names = await fg(['usr', 'etc', 'bin', 'sbin'], { cwd: path, onlyFiles: false, deep: 1 });
  return names.includes('usr') && names.length >= 2;
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
  const output = resolve(spec.output);
  for (const file of [join(output, '.config'), join(dirname(output), '.config')]) {
    let text: string;
    try {
      text = await readFile(file, 'utf8');
    } catch {
      continue;
    }
    const config = decodeKconfig(text);
    const defconfig = config.get('BR2_DEFCONFIG') ?? '';
    const board = basename(defconfig).replace(/_?defconfig$/, '');
    return toIdentifier(board) ?? toIdentifier(config.get('BR2_ARCH') ?? '');
  }
  return undefined;
}

/** The packages of a Buildroot build: from `make show-info` where the hook kept it, else from what the build leaves. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareUtf8 } from '../core/bytes.ts';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import { decodeShowInfo } from '../formats/buildroot-info.ts';
import type { PackageFact } from './types.ts';

/** Written by layers/br2-external/board/treewright/post-image.sh, relative to the output directory. */
const SHOW_INFO = 'build/treewright/show-info.json';

export async function buildrootPackages(output: string): Promise<PackageFact[]> {
  const path = join(output, SHOW_INFO);
  const info = await readTextIfThere(path);
  if (info === undefined) return packagesOfFiles(output);
  const packages = decodeShowInfo(info);
  if (packages === undefined) {
    throw new TreewrightError(
      'input/bad-show-info',
      `${path} is not what \`make show-info\` prints; remove it`,
      {
        data: { path },
      },
    );
  }
  return packages.map(({ name, version, licenses, cpe }) => ({
    name,
    version,
    ...(licenses === undefined ? {} : { licenses }),
    ...(cpe === undefined ? {} : { cpe }),
  }));
}

/** Names from build/packages-file-list.txt, versions from the names of the build directories. */
async function packagesOfFiles(output: string): Promise<PackageFact[]> {
  const list = await readTextIfThere(join(output, 'build', 'packages-file-list.txt'));
  if (list === undefined) return [];
  const names = new Set<string>();
  for (const line of list.split('\n')) {
    const comma = line.indexOf(',');
    if (comma > 0) names.add(line.slice(0, comma));
  }
  const builds = await readdir(join(output, 'build'));
  return [...names].sort(compareUtf8).map((name) => {
    // The longest package name wins: build/foo-bar-1.0 is foo-bar's, not version bar-1.0 of foo.
    const version = builds
      .filter(
        (build) =>
          build.startsWith(`${name}-`) && /^[0-9v]|^[0-9a-f]{7,}$/.test(build.slice(name.length + 1)),
      )
      .map((build) => build.slice(name.length + 1));
    return { name, version: version.length === 1 ? (version[0] ?? '') : '' };
  });
}

export async function readTextIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

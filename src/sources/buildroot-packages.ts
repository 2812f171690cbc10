/**
 * The packages of a Buildroot build and their files: from `make show-info` where the hook kept it, and what the build leaves;
 * with what `make legal-info` found out about their licences and sources, where it was run.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareUtf8 } from '../core/bytes.ts';
import type { Diagnostic } from '../core/diagnostics.ts';
import { TreewrightError } from '../core/errors.ts';
import type { BuildrootPackage } from '../formats/buildroot-info.ts';
import { decodeShowInfo } from '../formats/buildroot-info.ts';
import { withLegalInfo } from './buildroot-legal.ts';
import { readTextIfThere } from './text-file.ts';
import type { PackageFact, PackageFile } from './types.ts';

/** Written by layers/br2-external/board/treewright/post-image.sh, relative to the output directory. */
const SHOW_INFO = 'build/treewright/show-info.json';

/** Written by `make legal-info`. */
const LEGAL_MANIFEST = 'legal-info/manifest.csv';

export interface BuildrootPackages {
  readonly packages: readonly PackageFact[];
  readonly packageFiles: readonly PackageFile[];
  readonly diagnostics: readonly Diagnostic[];
}

export async function buildrootPackages(output: string): Promise<BuildrootPackages> {
  const packageFiles = await listedFiles(output);
  return { ...(await packagesOf(output, packageFiles)), packageFiles };
}

/** build/packages-file-list.txt: `package,./path` for each file that a package has put into target/ (Buildroot's Makefile). */
async function listedFiles(output: string): Promise<PackageFile[]> {
  const list = (await readTextIfThere(join(output, 'build', 'packages-file-list.txt'))) ?? '';
  return list.split('\n').flatMap((line) => {
    const comma = line.indexOf(',');
    return comma > 0 ? [{ package: line.slice(0, comma), path: line.slice(comma + 1) }] : [];
  });
}

async function packagesOf(
  output: string,
  files: readonly PackageFile[],
): Promise<Omit<BuildrootPackages, 'packageFiles'>> {
  const path = join(output, SHOW_INFO);
  const info = await readTextIfThere(path);
  const packages = info === undefined ? await packagesOfFiles(output, files) : decodeShowInfo(info);
  if (packages === undefined) {
    throw new TreewrightError(
      'input/bad-show-info',
      `${path} is not what \`make show-info\` prints; remove it`,
      {
        data: { path },
      },
    );
  }
  const facts = packages.map(({ name, version, licenses, cpe }) => ({
    name,
    version,
    ...(licenses === undefined ? {} : { licenses }),
    ...(cpe === undefined ? {} : { cpe }),
  }));
  const legal = await readTextIfThere(join(output, LEGAL_MANIFEST));
  return legal === undefined
    ? { packages: facts, diagnostics: [] }
    : withLegalInfo(facts, packages, { path: join(output, LEGAL_MANIFEST), text: legal });
}

/** Names from the list of files, versions from the names of the build directories. */
async function packagesOfFiles(output: string, files: readonly PackageFile[]): Promise<BuildrootPackage[]> {
  if (files.length === 0) return [];
  const names = new Set(files.map((file) => file.package));
  const builds = await readdir(join(output, 'build'));
  return [...names].sort(compareUtf8).map((name) => {
    // The longest package name wins: build/foo-bar-1.0 is foo-bar's, not version bar-1.0 of foo.
    const version = builds
      .filter(
        (build) =>
          build.startsWith(`${name}-`) && /^[0-9v]|^[0-9a-f]{7,}$/.test(build.slice(name.length + 1)),
      )
      .map((build) => build.slice(name.length + 1));
    const known = version.length === 1 ? (version[0] ?? '') : '';
    // What has a version has sources, with hardly an exception.
    return { name, version: known, downloaded: known !== '' };
  });
}

/**
 * The packages of a Buildroot build: from `make show-info` where the hook kept it, else from what the build leaves; with
 * what `make legal-info` found out about their licences and sources, where it was run.
 */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareUtf8 } from '../core/bytes.ts';
import type { Diagnostic } from '../core/diagnostics.ts';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import type { BuildrootPackage } from '../formats/buildroot-info.ts';
import { decodeLegalManifest, decodeShowInfo } from '../formats/buildroot-info.ts';
import type { PackageFact } from './types.ts';

/** Written by layers/br2-external/board/treewright/post-image.sh, relative to the output directory. */
const SHOW_INFO = 'build/treewright/show-info.json';

/** Written by `make legal-info`. */
const LEGAL_MANIFEST = 'legal-info/manifest.csv';

export async function buildrootPackages(
  output: string,
): Promise<{ packages: PackageFact[]; diagnostics: Diagnostic[] }> {
  const path = join(output, SHOW_INFO);
  const info = await readTextIfThere(path);
  const packages = info === undefined ? await packagesOfFiles(output) : decodeShowInfo(info);
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

/** Adds what legal-info says, unless it is of another build: then a warning, and nothing of it is used. */
function withLegalInfo(
  facts: PackageFact[],
  packages: readonly BuildrootPackage[],
  { path, text }: { readonly path: string; readonly text: string },
): { packages: PackageFact[]; diagnostics: Diagnostic[] } {
  const unused = (why: string): { packages: PackageFact[]; diagnostics: Diagnostic[] } => ({
    packages: facts,
    diagnostics: [
      {
        severity: 'warning',
        code: 'input/stale-legal-info',
        message: `${path} ${why}, so nothing of it is used; run \`make legal-info\` again, or remove it`,
      },
    ],
  });
  const entries = decodeLegalManifest(text);
  if (entries === undefined) return unused('is not what `make legal-info` writes');
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  for (const { name, version, downloaded } of packages) {
    const entry = byName.get(name);
    if (entry === undefined ? downloaded : version !== '' && entry.version !== version) {
      return unused(
        `is of another build: it has ${entry === undefined ? 'no ' : ''}${name} ${entry?.version ?? version}, ` +
          `${entry === undefined ? 'which' : `and ${version}`} is built now`,
      );
    }
  }
  return {
    packages: facts.map((fact) => {
      const entry = byName.get(fact.name);
      if (entry === undefined) return fact;
      const { licenses = fact.licenses, licenseFiles, sourceArchive, sourceSite } = entry;
      return {
        ...fact,
        ...(licenses === undefined ? {} : { licenses }),
        ...(licenseFiles.length === 0 ? {} : { licenseFiles }),
        ...(sourceArchive === undefined ? {} : { sourceArchive }),
        // A directory of the build machine says nothing to others.
        ...(sourceSite === undefined || !/^[a-z+]+:\/\//.test(sourceSite) ? {} : { sourceSite }),
      };
    }),
    diagnostics: [],
  };
}

/** Names from build/packages-file-list.txt, versions from the names of the build directories. */
async function packagesOfFiles(output: string): Promise<BuildrootPackage[]> {
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
    const known = version.length === 1 ? (version[0] ?? '') : '';
    // What has a version has sources, with hardly an exception.
    return { name, version: known, downloaded: known !== '' };
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

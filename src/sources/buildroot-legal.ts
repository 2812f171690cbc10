/** What `make legal-info` found out about the licences and sources of a Buildroot build's packages. */
import type { Diagnostic } from '../core/diagnostics.ts';
import { withoutCredentials } from '../core/uri.ts';
import type { BuildrootPackage } from '../formats/buildroot-info.ts';
import { decodeLegalManifest } from '../formats/buildroot-info.ts';
import type { PackageFact } from './types.ts';

/**
 * Adds what legal-info/manifest.csv (`text`, at `path`) says, unless it is of another build: then a warning, and nothing of
 * it is used.
 */
export function withLegalInfo(
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
        ...(sourceSite === undefined || !/^[a-z+]+:\/\//.test(sourceSite)
          ? {}
          : { sourceSite: withoutCredentials(sourceSite) }),
      };
    }),
    diagnostics: [],
  };
}

/**
 * What Buildroot says about its packages: a JSON object, as `make show-info` prints it, and the table of `make legal-info`.
 * Source: package/pkg-utils.mk, `json-info` and `legal-manifest`.
 */
import { compareUtf8 } from '../core/bytes.ts';

export interface BuildrootPackage {
  readonly name: string;
  /** Empty for packages that are a part of Buildroot or of a local directory. */
  readonly version: string;
  /** As the package says, such as `GPL-2.0+, MIT`; absent when it does not. */
  readonly licenses?: string;
  readonly cpe?: string;
  /** False for a package without sources of its own, which `make legal-info` passes over. */
  readonly downloaded: boolean;
}

/** A row of legal-info/manifest.csv: a package of the target that has sources. */
export interface LegalEntry {
  readonly name: string;
  readonly version: string;
  readonly licenses?: string;
  /** Relative to the sources, and kept in legal-info/licenses/NAME-VERSION/. */
  readonly licenseFiles: readonly string[];
  readonly sourceArchive?: string;
  /** Where the archive comes from: a URL, or a directory of the build machine. */
  readonly sourceSite?: string;
}

/** The packages of the target that install something, by name. Undefined for a text that is not show-info's. */
export function decodeShowInfo(text: string): BuildrootPackage[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const packages: BuildrootPackage[] = [];
  for (const [name, entry] of Object.entries(value)) {
    if (!isObject(entry)) return undefined;
    if (entry['type'] !== 'target' || entry['virtual'] === true || entry['install_target'] === false)
      continue;
    const licenses = textOf(entry['licenses']);
    const cpe = textOf(entry['cpe-id']);
    packages.push({
      name,
      version: textOf(entry['version']) ?? '',
      ...(licenses === undefined || licenses === 'unknown' ? {} : { licenses }),
      ...(cpe === undefined ? {} : { cpe }),
      downloaded: Array.isArray(entry['downloads']) && entry['downloads'].length > 0,
    });
  }
  return packages.sort((a, b) => compareUtf8(a.name, b.name));
}

const LEGAL_COLUMNS = 'PACKAGE,VERSION,LICENSE,LICENSE FILES,SOURCE ARCHIVE,SOURCE SITE';

/** The rows of legal-info/manifest.csv. Undefined for another text. Every field is in quotes, which are never in a field. */
export function decodeLegalManifest(text: string): LegalEntry[] | undefined {
  const [header, ...rows] = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => /^"(.*)"$/.exec(line)?.[1]?.split('","'));
  if (header?.join(',').startsWith(LEGAL_COLUMNS) !== true) return undefined;
  const entries: LegalEntry[] = [];
  for (const row of rows) {
    const [name, version, licenses, files, sourceArchive, sourceSite] = row ?? [];
    if (name === undefined || version === undefined || sourceSite === undefined) return undefined;
    entries.push({
      name,
      version,
      ...known('licenses', licenses),
      licenseFiles:
        known('files', files)
          .files?.split(' ')
          .filter((file) => file !== '') ?? [],
      ...known('sourceArchive', sourceArchive),
      ...known('sourceSite', sourceSite),
    });
  }
  return entries;
}

/** Buildroot's words for what there is not. */
function known<Key extends string>(key: Key, value: string | undefined): Partial<Record<Key, string>> {
  const absent = value === undefined || ['', 'unknown', 'not saved'].includes(value);
  return absent ? {} : ({ [key]: value } as Record<Key, string>);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

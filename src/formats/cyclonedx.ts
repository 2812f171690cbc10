/**
 * A software bill of materials as CycloneDX 1.5, in JSON: the packages of a release with versions and licences.
 * Source: CycloneDX' bom-1.5.schema.json.
 */
import { utf8 } from '../core/bytes.ts';

export interface BomPackage {
  readonly name: string;
  /** Empty when it is not known. */
  readonly version: string;
  /** As the build system writes it. A comma (Buildroot) or `&` (BitBake) separates licences that all apply. */
  readonly licenses?: string | undefined;
  readonly cpe?: string | undefined;
  readonly licenseFiles?: readonly string[] | undefined;
  readonly sourceArchive?: string | undefined;
  /** A URL. */
  readonly sourceSite?: string | undefined;
}

export interface Bom {
  /** What the packages make up. */
  readonly product: string;
  readonly version: string;
  /** RFC 3339. */
  readonly created: string;
  readonly packages: readonly BomPackage[];
}

/** Two-space JSON with a final newline. The same packages give the same bytes: there is no random serial number. */
export function encodeBom({ product, version, created, packages }: Bom): Uint8Array {
  const document = {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      timestamp: created,
      tools: { components: [{ type: 'application', name: 'treewright' }] },
      component: { type: 'operating-system', 'bom-ref': 'system', name: product, version },
    },
    components: packages.map(component),
  };
  return utf8(`${JSON.stringify(document, null, 2)}\n`);
}

function component(bomPackage: BomPackage, index: number): object {
  const { name, version, licenses, cpe, licenseFiles = [], sourceArchive, sourceSite } = bomPackage;
  const names = licenses === undefined ? [] : splitLicenses(licenses);
  return {
    type: 'library',
    'bom-ref': `package-${index + 1}`,
    name,
    ...(version === '' ? {} : { version }),
    ...(names.length === 0 ? {} : { licenses: names.map((license) => ({ license: { name: license } })) }),
    ...(cpe === undefined ? {} : { cpe }),
    purl: `pkg:generic/${encodeURIComponent(name)}${version === '' ? '' : `@${encodeURIComponent(version)}`}`,
    ...(sourceSite === undefined
      ? {}
      : {
          externalReferences: [
            {
              type: 'distribution',
              url: sourceSite,
              ...(sourceArchive === undefined ? {} : { comment: sourceArchive }),
            },
          ],
        }),
    ...(licenseFiles.length === 0
      ? {}
      : { properties: licenseFiles.map((value) => ({ name: 'treewright:license-file', value })) }),
  };
}

/**
 * `GPL-2.0+ (programs, tests), MIT` is two licences: commas in brackets belong to a remark. A choice such as
 * `MIT | Apache-2.0` stays one text. Names and not expressions, because neither build system keeps to SPDX' list.
 */
function splitLicenses(text: string): string[] {
  const names: string[] = [];
  let depth = 0;
  let current = '';
  for (const character of text) {
    if (character === '(') depth++;
    if (character === ')') depth--;
    if ((character === ',' || character === '&') && depth === 0) {
      names.push(current.trim());
      current = '';
    } else current += character;
  }
  return [...names, current.trim()].filter((name) => name !== '');
}

/**
 * The packages of an image in the SBOMs that openembedded-core makes. Source: create-spdx-2.2.bbclass (SPDX 2.2, a
 * document a package), lib/oe/spdx30_tasks.py (SPDX 3.0.1, one JSON-LD document).
 */

export interface SpdxPackage {
  readonly name: string;
  /** An SPDX expression. */
  readonly licenses?: string;
  readonly cpe?: string;
  /** Paths without a leading slash. */
  readonly files: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function list(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : [];
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function license(value: unknown): string | undefined {
  const name = text(value);
  return name === 'NOASSERTION' || name === 'NONE' ? undefined : name;
}

/** Of several identifiers the first that names a vendor, by which vulnerabilities are found; else the first. */
function bestCpe(identifiers: readonly string[]): string | undefined {
  return identifiers.find((cpe) => cpe.split(':')[3] !== '*') ?? identifiers[0];
}

/** Packages that are installed. Undefined for what is not SPDX 3.0 in JSON-LD. */
export function decodeSpdx3(document: unknown): SpdxPackage[] | undefined {
  const graph = isFields(document) ? list(document['@graph']) : [];
  const packages = graph.filter(
    ({ type, software_primaryPurpose: purpose }) => type === 'software_Package' && purpose === 'install',
  );
  if (graph.length === 0) return undefined;
  const byId = new Map(graph.map((element) => [element['spdxId'], element]));
  const related = new Map<unknown, Map<unknown, Fields[]>>();
  for (const { from, to, relationshipType } of graph) {
    if (relationshipType !== 'contains' && relationshipType !== 'hasDeclaredLicense') continue;
    const of = related.get(from) ?? new Map<unknown, Fields[]>();
    related.set(from, of);
    const found = of.get(relationshipType) ?? [];
    of.set(relationshipType, found);
    for (const id of Array.isArray(to) ? (to as unknown[]) : []) {
      const element = byId.get(id);
      if (element !== undefined) found.push(element);
    }
  }
  return packages.flatMap((element) => {
    const name = text(element['name']);
    if (name === undefined) return [];
    const of = related.get(element['spdxId']);
    const licenses = license(of?.get('hasDeclaredLicense')?.[0]?.['simplelicensing_licenseExpression']);
    const cpe = bestCpe(
      list(element['externalIdentifier']).flatMap(({ externalIdentifierType: type, identifier }) =>
        type === 'cpe23' ? (text(identifier) ?? []) : [],
      ),
    );
    return [
      {
        name,
        ...(licenses === undefined ? {} : { licenses }),
        ...(cpe === undefined ? {} : { cpe }),
        files: (of?.get('contains') ?? []).flatMap((file) => text(file['name']) ?? []),
      },
    ];
  });
}

const PACKAGE = 'SPDXRef-Package-';
const RECIPE = 'SPDXRef-Recipe-';

/** The packages of all documents of an image. Recipes, which have the CPE, and packages are in documents of their own. */
export function decodeSpdx2(documents: readonly unknown[]): SpdxPackage[] {
  const elements = documents
    .filter(isFields)
    .flatMap((document) => list(document['packages']).map((element) => ({ document, element })));
  const cpes = new Map<string, string>();
  for (const { element } of elements) {
    const id = text(element['SPDXID']) ?? '';
    const cpe = bestCpe(
      list(element['externalRefs']).flatMap(({ referenceLocator: locator }) =>
        text(locator)?.startsWith('cpe:2.3:') === true ? [locator as string] : [],
      ),
    );
    if (id.startsWith(RECIPE) && cpe !== undefined) cpes.set(id, cpe);
  }
  return elements.flatMap(({ document, element }) => {
    const id = text(element['SPDXID']) ?? '';
    const name = text(element['name']);
    if (!id.startsWith(PACKAGE) || name === undefined) return [];
    const recipe = list(document['relationships']).find(
      ({ spdxElementId, relationshipType }) => spdxElementId === id && relationshipType === 'GENERATED_FROM',
    )?.['relatedSpdxElement'];
    const cpe = cpes.get((text(recipe) ?? '').replace(/^.*:/, ''));
    const licenses = license(element['licenseDeclared']);
    const own = new Set(Array.isArray(element['hasFiles']) ? (element['hasFiles'] as unknown[]) : []);
    return [
      {
        name,
        ...(licenses === undefined ? {} : { licenses }),
        ...(cpe === undefined ? {} : { cpe }),
        files: list(document['files']).flatMap((file) =>
          own.has(file['SPDXID']) ? (text(file['fileName']) ?? []) : [],
        ),
      },
    ];
  });
}

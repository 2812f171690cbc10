/** Validation: the plain value of a YAML document against the schema, every fault with its position. */
import type { z } from 'zod';
import { allKeys, schemasAt } from './json-schema.ts';
import type { Fault, ValuePath, YamlDocument } from './document.ts';
import { formatPath } from './document.ts';
import type { RawConfig } from './schema.ts';
import { SOURCE_EXPECTED, SOURCE_KINDS, configSchema } from './schema.ts';
import { nearestName } from './suggest.ts';

export type Checked =
  | { readonly ok: true; readonly config: RawConfig }
  | { readonly ok: false; readonly faults: readonly Fault[] };

type Issue = z.core.$ZodIssue;

/** Everything wrong with the document, in the order of the lines. */
export function checkDocument(document: YamlDocument): Checked {
  const result = configSchema.safeParse(document.value ?? {});
  const faults: Fault[] = [...document.faults];
  if (!result.success) {
    const known = new Set(document.faults.map((fault) => fault.path));
    for (const issue of result.error.issues) {
      for (const fault of issueFaults(document, issue, [])) {
        // One fault a value: a text that breaks two rules is wrong once, and a broken alias is not also missing.
        if (fault.path !== '' && known.has(fault.path)) continue;
        known.add(fault.path);
        faults.push(fault);
      }
    }
  }
  faults.push(...duplicateApps(document));
  if (result.success && faults.length === 0) return { ok: true, config: result.data };
  return { ok: false, faults: faults.sort((a, b) => a.line - b.line || a.column - b.column) };
}

function issueFaults(document: YamlDocument, issue: Issue, parent: ValuePath): Fault[] {
  const path: ValuePath = [...parent, ...issue.path.map((part) => (typeof part === 'symbol' ? '?' : part))];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownKey(document, path, key));
  }
  if (issue.code === 'invalid_union') return unionFaults(document, issue, path);
  return [valueFault(document, path, issue.message)];
}

function valueFault(document: YamlDocument, path: ValuePath, expected: string): Fault {
  const name = formatPath(path);
  const value = valueAt(document.value, path);
  if (value === undefined) {
    const found = document.isEmptyKey(path)
      ? { ...document.keyPositionOf(path), text: 'has no value' }
      : { ...document.keyPositionOf(path.slice(0, -1)), text: 'is missing' };
    return {
      line: found.line,
      column: found.column,
      path: name,
      message: `${name} ${found.text}; expected ${expected}`,
    };
  }
  const subject = name === '' ? '' : `${name}: `;
  return {
    ...document.positionOf(path),
    path: name,
    message: `${subject}expected ${expected}, found ${describe(value)}${remedy(document, path, value, expected)}`,
  };
}

/** What was probably meant by a value of the wrong kind. */
function remedy(document: YamlDocument, path: ValuePath, value: unknown, expected: string): string {
  const source = document.sourceOf(path);
  const types = schemasAt(path).map((schema) => schema['type']);
  if (types.includes('array') && !Array.isArray(value) && source !== undefined) {
    return `; write [${source}]`;
  }
  if (types.includes('string') && (typeof value === 'number' || typeof value === 'boolean') && source) {
    return /^a duration/.test(expected) ? `; write ${source}d for days` : `; write "${source}" in quotes`;
  }
  return '';
}

function unknownKey(document: YamlDocument, parent: ValuePath, key: string): Fault {
  const path = [...parent, key];
  const kind = sourceKind(document, parent);
  if (kind !== undefined) return foreignSourceKey(document, parent, kind, key);
  const here = schemasAt(parent).flatMap((schema) => Object.keys(schema.properties ?? {}));
  const near = nearestName(key, here);
  const elsewhere = allKeys().find((known) => known.name === key);
  let hint: string;
  if (near !== undefined) hint = `did you mean "${near}"?`;
  else if (elsewhere) {
    hint = `"${key}" belongs ${elsewhere.parent === '' ? 'at the top level' : `under ${elsewhere.parent}`}`;
  } else hint = `expected ${here.length === 1 ? '' : 'one of '}${here.join(', ')}`;
  const where = parent.length === 0 ? '' : ` in ${formatPath(parent)}`;
  return {
    ...document.keyPositionOf(path),
    path: formatPath(path),
    message: `unknown key "${key}"${where}; ${hint}`,
  };
}

/** Only `source` is a union: its faults are those of the one member whose key is there. */
function unionFaults(
  document: YamlDocument,
  issue: Issue & { code: 'invalid_union' },
  path: ValuePath,
): Fault[] {
  const value = valueAt(document.value, path);
  if (!isMapping(value)) return [valueFault(document, path, SOURCE_EXPECTED)];
  const present = SOURCE_KINDS.filter((kind) => kind in value || document.isEmptyKey([...path, kind]));
  const [kind, second] = present;
  if (second !== undefined) {
    return [
      {
        ...document.keyPositionOf([...path, second]),
        path: formatPath([...path, second]),
        message: `${formatPath(path)} has ${present.join(' and ')}; expected ${SOURCE_EXPECTED}`,
      },
    ];
  }
  if (kind === undefined) {
    const [strange] = Object.keys(value);
    const near = strange === undefined ? undefined : nearestName(strange, SOURCE_KINDS);
    if (strange !== undefined && near !== undefined) return [unknownKey(document, path, strange)];
    return [
      {
        ...document.keyPositionOf(path),
        path: formatPath(path),
        message: `${formatPath(path)}: expected ${SOURCE_EXPECTED}, found ${
          strange === undefined ? 'none of them' : `only ${Object.keys(value).join(', ')}`
        }`,
      },
    ];
  }
  const member = issue.errors[SOURCE_KINDS.indexOf(kind)] ?? [];
  return member.flatMap((inner) => issueFaults(document, inner, path));
}

/** The kind of a source mapping that has the key of one; undefined for any other path. */
function sourceKind(document: YamlDocument, path: ValuePath): string | undefined {
  if (formatPath(path) !== 'source') return undefined;
  const value = valueAt(document.value, path);
  return SOURCE_KINDS.find(
    (kind) => document.isEmptyKey([...path, kind]) || (isMapping(value) && kind in value),
  );
}

/** A key of another kind of source, or no key of a source at all. */
function foreignSourceKey(document: YamlDocument, path: ValuePath, kind: string, key: string): Fault {
  const members = schemasAt(path);
  const owner = SOURCE_KINDS.find((_, index) => members[index]?.properties?.[key] !== undefined);
  const allowed = Object.keys(members[SOURCE_KINDS.findIndex((known) => known === kind)]?.properties ?? {});
  const near = nearestName(key, allowed);
  let hint = `with ${kind}, expected only ${allowed.join(', ')}`;
  if (owner !== undefined) hint = `it goes with ${owner}, not with ${kind}`;
  else if (near !== undefined) hint = `did you mean "${near}"?`;
  const full = [...path, key];
  return {
    ...document.keyPositionOf(full),
    path: formatPath(full),
    message: `unknown key "${key}" in ${formatPath(path)}; ${hint}`,
  };
}

/** Two apps of one name would share a directory on the device. */
function duplicateApps(document: YamlDocument): Fault[] {
  const apps = valueAt(document.value, ['apps']);
  if (!Array.isArray(apps)) return [];
  const seen = new Map<string, number>();
  const faults: Fault[] = [];
  apps.forEach((app: unknown, index) => {
    if (!isMapping(app)) return;
    const name = typeof app['name'] === 'string' ? app['name'] : undefined;
    if (name === undefined) return;
    const first = seen.get(name);
    if (first === undefined) seen.set(name, index);
    else {
      faults.push({
        ...document.positionOf(['apps', index, 'name']),
        path: `apps[${index}].name`,
        message: `apps[${index}].name: apps[${first}] is named ${JSON.stringify(name)} as well; give each app its own name`,
      });
    }
  });
  return faults;
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function valueAt(value: unknown, path: ValuePath): unknown {
  let current = value;
  for (const part of path) {
    if (Array.isArray(current) && typeof part === 'number') current = current[part] as unknown;
    else if (isMapping(current) && typeof part === 'string') current = current[part];
    else return undefined;
  }
  return current;
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (isMapping(value)) return 'a mapping';
  if (typeof value === 'string') {
    return value.length > 60 ? `${JSON.stringify(value.slice(0, 60))}...` : JSON.stringify(value);
  }
  return `the ${typeof value} ${String(value)}`;
}

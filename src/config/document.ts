/** YAML text as plain values that remember where they were written. */
import type { Document, ParsedNode, YAMLMap } from 'yaml';
import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';

/** A position in the file; both count from 1, columns in UTF-16 units as editors do. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** Something wrong with the file. `path` is dotted, such as `apps[1].compose`; empty for the file as a whole. */
export interface Fault extends Position {
  readonly path: string;
  readonly message: string;
}

/** Keys and indices from the root of the document. */
export type ValuePath = readonly (string | number)[];

export interface YamlDocument {
  /** Null values are left out: a key with nothing after it says the same as no key. */
  readonly value: unknown;
  /** What is wrong with the YAML itself. Empty when `value` is whole. */
  readonly faults: readonly Fault[];
  /** Where the value at `path` is written, or the nearest thing around it. */
  positionOf(path: ValuePath): Position;
  /** Where the key that leads to `path` is written. */
  keyPositionOf(path: ValuePath): Position;
  /** True when the key is there without a value. */
  isEmptyKey(path: ValuePath): boolean;
  /** The characters of the scalar at `path`: `1.10` where the value is the number 1.1. */
  sourceOf(path: ValuePath): string | undefined;
}

/** Expanding aliases may not make more of a file than this; a real one has a few dozen values. */
const MAX_VALUES = 20_000;
const MAX_DEPTH = 40;

/** What libostree calls a path in messages: `deltas.from.last`, `apps[0].name`. */
export function formatPath(path: ValuePath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? part : `.${part}`;
  }
  return text;
}

interface Place {
  readonly offset: number;
  readonly keyOffset: number;
  readonly source?: string;
  readonly empty: boolean;
}

/** Reads one YAML document. Never throws: what is wrong is in `faults`. */
export function readYaml(text: string): YamlDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const faults: Fault[] = [...document.errors, ...document.warnings].map((problem) => ({
    ...at(problem.pos[0]),
    path: '',
    message: yamlMessage(problem.code, problem.message),
  }));
  const places = new Map<string, Place>();
  let value: unknown;
  if (document.errors.length === 0) {
    const reader = new Map<string, Place>();
    value = readNode(document, reader, (offset, path, message) =>
      faults.push({ ...at(offset), path: formatPath(path), message }),
    );
    for (const [key, place] of reader) places.set(key, place);
  }
  const find = (path: ValuePath): Place | undefined => places.get(JSON.stringify(path));
  const nearest = (path: ValuePath): Place | undefined => {
    for (let length = path.length; length >= 0; length--) {
      const place = find(path.slice(0, length));
      if (place) return place;
    }
    return undefined;
  };
  return {
    value,
    faults,
    positionOf: (path) => at(nearest(path)?.offset ?? 0),
    keyPositionOf: (path) => at(nearest(path)?.keyOffset ?? 0),
    isEmptyKey: (path) => find(path)?.empty === true,
    sourceOf: (path) => find(path)?.source,
  };
}

type Report = (offset: number, path: ValuePath, message: string) => void;

function readNode(document: Document.Parsed, places: Map<string, Place>, report: Report): unknown {
  let values = 0;
  let overflow = false;

  const visit = (node: ParsedNode | null, path: ValuePath, keyOffset: number): unknown => {
    const offset = node?.range[0] ?? keyOffset;
    const key = JSON.stringify(path);
    if (++values > MAX_VALUES || path.length > MAX_DEPTH) {
      if (!overflow)
        report(offset, path, 'the document is too large or too deep once its aliases are expanded');
      overflow = true;
      return undefined;
    }
    if (node !== null && isAlias(node)) {
      const target = node.resolve(document);
      if (target === undefined) {
        report(offset, path, `the alias *${node.source} has no anchor`);
        return undefined;
      }
      const value = visit(target as ParsedNode, path, keyOffset);
      const place = places.get(key);
      // A fault inside what an alias stands for is shown where the anchor is, the alias itself where it is used.
      if (place) places.set(key, { ...place, offset, keyOffset });
      return value;
    }
    const empty = node === null || (isScalar(node) && node.value === null);
    const source = isScalar(node) && typeof node.source === 'string' ? { source: node.source } : {};
    places.set(key, { offset, keyOffset, empty, ...source });
    if (empty) return undefined;
    if (isScalar(node)) return node.value;
    if (isSeq(node)) return node.items.map((item, index) => visit(item, [...path, index], offset));
    if (isMap(node)) return visitMap(node, path);
    return undefined;
  };

  const visitMap = (map: YAMLMap.Parsed, path: ValuePath): Record<string, unknown> => {
    const own: [string, unknown][] = [];
    const merged: [string, unknown][] = [];
    for (const { key, value } of map.items) {
      const name: unknown = isScalar(key) ? key.value : undefined;
      const keyOffset = key.range[0];
      if (name === '<<' && isScalar(key) && key.type === 'PLAIN') {
        const base = visit(value, path, keyOffset);
        if (typeof base === 'object' && base !== null && !Array.isArray(base))
          merged.push(...Object.entries(base));
        else report(keyOffset, path, '"<<" must be followed by an alias of a mapping');
        continue;
      }
      if (typeof name !== 'string') {
        report(keyOffset, path, 'keys must be text; put the key in quotes');
        continue;
      }
      const plain = visit(value, [...path, name], keyOffset);
      if (plain !== undefined) own.push([name, plain]);
    }
    // A map without a prototype: a key such as __proto__ is a key like any other.
    const result = Object.create(null) as Record<string, unknown>;
    for (const [name, plain] of [...merged, ...own]) result[name] = plain;
    const offset = map.range[0];
    const key = JSON.stringify(path);
    const place = places.get(key);
    places.set(key, { offset, keyOffset: place?.keyOffset ?? offset, empty: false });
    return result;
  };

  return visit(document.contents, [], 0);
}

/** The commonest YAML errors in the words of this program; the parser's own for the rest. */
function yamlMessage(code: string, message: string): string {
  switch (code) {
    case 'DUPLICATE_KEY':
      return 'this key is here for the second time; keep one of them';
    case 'TAB_AS_INDENT':
      return 'a tab indents this line; YAML allows only spaces';
    case 'MULTIPLE_DOCS':
      return 'a second document begins here; the file must hold one';
    case 'TAG_RESOLVE_FAILED':
      return `the tag is not known here: ${message}`;
    case 'BAD_INDENT':
      return `the indentation does not fit: ${message}`;
    default:
      return `this is not valid YAML: ${message.split('\n')[0] ?? message}`;
  }
}

/**
 * A Compose file as plain values plus the position of each: the `yaml` package takes the text apart, the meaning of
 * plain scalars, merge keys and anchors follows the Go tools that will read the file on the device.
 */
import type { Document, Node, YAMLMap } from 'yaml';
import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Location } from '../core/diagnostics.ts';
import { formatLocation } from '../core/diagnostics.ts';
import type { ErrorCode } from '../core/errors.ts';
import { TreewrightError } from '../core/errors.ts';
import type { YamlMap, YamlValue } from '../formats/yaml-text.ts';
import { isTimestamp, resolvePlainScalar } from '../formats/yaml-text.ts';

/** Nodes after anchors are expanded; far above any real file, far below what would exhaust memory. */
const MAX_NODES = 100_000;
const MAX_DEPTH = 64;

/** Path of keys and list indexes from the root. */
export type YamlPath = readonly (string | number)[];

export interface ComposeYaml {
  readonly root: YamlMap;
  /** Where a value stands in the file; the nearest known ancestor when it came from nowhere. */
  where(path: YamlPath): Location;
}

type Fail = (code: ErrorCode, offset: number | undefined, message: string) => TreewrightError;

interface Walk {
  readonly document: Document;
  readonly fail: Fail;
  readonly offsets: Map<string, number>;
  nodes: number;
}

/** Parses YAML text. Throws `config/bad-yaml` with file:line:column. */
export function parseComposeYaml(text: string, file: string): ComposeYaml {
  const lines = new LineCounter();
  const location = (offset: number): Location => {
    const { line, col } = lines.linePos(offset);
    return { kind: 'text', file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const fail: Fail = (code, offset, message) =>
    new TreewrightError(code, `${formatLocation(location(offset ?? 0))}: ${message}`, { data: { file } });

  // Without a schema every scalar stays text, so nothing is decided by YAML 1.1 or 1.2 rules of another program.
  const document = parseDocument(text, {
    schema: 'failsafe',
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
  });
  const [error] = document.errors;
  if (error !== undefined) throw fail('config/bad-yaml', error.pos[0], error.message);

  const walk: Walk = { document, fail, offsets: new Map(), nodes: 0 };
  const root = convert(document.contents, [], walk, 0);
  if (!(root instanceof Map))
    throw fail('config/bad-yaml', 0, 'a Compose file is a mapping with "services" at its top');
  return {
    root: root as YamlMap,
    where: (path) => {
      for (let length = path.length; length >= 0; length--) {
        const offset = walk.offsets.get(JSON.stringify(path.slice(0, length)));
        if (offset !== undefined) return location(offset);
      }
      return location(0);
    },
  };
}

function offsetOf(node: unknown): number | undefined {
  return typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)
    ? (node.range[0] as number)
    : undefined;
}

function convert(node: unknown, path: YamlPath, walk: Walk, depth: number): YamlValue {
  const at = offsetOf(node);
  const place = JSON.stringify(path);
  if (at !== undefined && !walk.offsets.has(place)) walk.offsets.set(place, at);
  if (++walk.nodes > MAX_NODES || depth > MAX_DEPTH) {
    throw walk.fail(
      'config/bad-yaml',
      at,
      'the anchors of this file expand without end or beyond any sensible size',
    );
  }
  if (node === null || node === undefined) return null;
  if (isAlias(node)) {
    const target = node.resolve(walk.document);
    if (target === undefined)
      throw walk.fail('config/bad-yaml', at, `no anchor "&${node.source}" stands before this alias`);
    return convert(target, path, walk, depth + 1);
  }
  if (isMap(node)) return convertMap(node, path, walk, depth);
  if (isSeq(node)) {
    checkTag(node, 'seq', walk);
    return node.items.map((item, index) => convert(item, [...path, index], walk, depth + 1));
  }
  if (isScalar(node)) return convertScalar(node, walk);
  throw walk.fail('config/bad-yaml', at, 'unexpected content');
}

function convertMap(node: YAMLMap, path: YamlPath, walk: Walk, depth: number): YamlMap {
  checkTag(node, 'map', walk);
  const own = new Map<string, YamlValue>();
  const merged: YamlMap[] = [];
  for (const { key, value } of node.items) {
    const name = keyOf(key, walk);
    if (name === '<<' && isScalar(key) && key.type === 'PLAIN') {
      const from = convert(value, path, walk, depth + 1);
      for (const source of Array.isArray(from) ? (from as YamlValue[]) : [from]) {
        if (!(source instanceof Map)) {
          throw walk.fail(
            'config/bad-yaml',
            offsetOf(key),
            'a merge key "<<" takes a mapping or a list of mappings',
          );
        }
        merged.push(source as YamlMap);
      }
      continue;
    }
    const offset = offsetOf(key);
    const inner = [...path, name];
    own.set(name, convert(value, inner, walk, depth + 1));
    if (value === null && offset !== undefined) walk.offsets.set(JSON.stringify(inner), offset);
  }
  // What is written here wins over what is merged; of several merged mappings the first one wins.
  for (const source of merged) for (const [name, value] of source) if (!own.has(name)) own.set(name, value);
  return own;
}

function keyOf(key: unknown, walk: Walk): string {
  const node: unknown = isAlias(key) ? key.resolve(walk.document) : key;
  if (isScalar(node) && typeof node.value === 'string') {
    const meaning = convertScalar(node, walk);
    if (typeof meaning === 'string') return meaning;
  }
  throw walk.fail(
    'config/bad-yaml',
    offsetOf(key),
    'keys in a Compose file are texts; put quotes around this one',
  );
}

function convertScalar(node: Node & { value: unknown; type?: string }, walk: Walk): YamlValue {
  const text = typeof node.value === 'string' ? node.value : '';
  const tag = shortTag(node);
  const plain = node.type === 'PLAIN';
  if (tag === 'str') return text;
  if (tag === undefined) {
    if (!plain) return text;
    if (isTimestamp(text)) {
      throw walk.fail(
        'config/bad-yaml',
        offsetOf(node),
        `${text} without quotes is a date, which Compose has no use for; write "${text}" to have the text`,
      );
    }
    return resolvePlainScalar(text);
  }
  const value = resolvePlainScalar(text);
  const fits =
    (tag === 'int' && typeof value === 'bigint') ||
    (tag === 'float' && (typeof value === 'number' || typeof value === 'bigint')) ||
    (tag === 'bool' && typeof value === 'boolean') ||
    (tag === 'null' && value === null);
  if (!fits)
    throw walk.fail(
      'config/bad-yaml',
      offsetOf(node),
      `the tag "${node.tag ?? ''}" does not fit here or is not supported`,
    );
  return tag === 'float' ? Number(value) : value;
}

function shortTag(node: Node): string | undefined {
  return node.tag?.replace(/^(?:tag:yaml\.org,2002:|!!)/, '');
}

function checkTag(node: Node, expected: 'map' | 'seq', walk: Walk): void {
  const tag = shortTag(node);
  if (tag !== undefined && tag !== expected) {
    throw walk.fail(
      'config/bad-yaml',
      offsetOf(node),
      `the tag "${node.tag ?? ''}" is not supported in an app`,
    );
  }
}

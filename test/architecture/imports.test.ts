import { readFile } from 'node:fs/promises';
import fg from 'fast-glob';
import { posix } from 'node:path';
import ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';

/** Which folders of src/ a folder may import, besides itself. The design's table of layers, in code. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  core: [],
  formats: ['core'],
  platform: ['core'],
  tree: ['core', 'formats'],
  sources: ['core', 'formats', 'platform', 'tree'],
  repo: ['core', 'formats', 'platform', 'tree'],
  delta: ['core', 'formats', 'platform', 'repo'],
  boot: ['core', 'formats', 'platform', 'tree', 'repo'],
  apps: ['core', 'formats', 'platform'],
  trust: ['core', 'formats', 'platform'],
  config: ['core', 'platform'],
  release: [
    'core',
    'formats',
    'platform',
    'tree',
    'sources',
    'repo',
    'delta',
    'boot',
    'apps',
    'trust',
    // A release is made from a configuration: its type is a parameter, and `init` writes one.
    'config',
  ],
  cli: ['release', 'config', 'core'],
};

/** Folders that must run anywhere, a browser included: no Node module and no package with effects. */
const PURE = ['core', 'formats', 'tree'];
const PURE_PACKAGES = /^@noble\/hashes\//;

interface Import {
  readonly file: string;
  readonly line: number;
  readonly specifier: string;
  /** `import type` and types in `import('...')` positions leave no trace in the output. */
  readonly typeOnly: boolean;
}

/** Every import, re-export and dynamic import of a file. */
function importsOf(file: string, text: string): Import[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: Import[] = [];
  const add = (node: ts.Node, specifier: ts.Node | undefined, typeOnly: boolean): void => {
    const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
    const known = specifier !== undefined && ts.isStringLiteralLike(specifier);
    // A computed import cannot be checked: it is reported under a name that no rule allows.
    found.push({ file, line, specifier: known ? specifier.text : '(computed)', typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node, node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier) {
      add(node, node.moduleSpecifier, node.isTypeOnly);
    } else if (ts.isImportTypeNode(node)) {
      add(node, ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined, true);
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node, node.arguments[0], false);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** What an import breaks, or undefined. Paths are relative to src/. */
function violation({ file, line, specifier, typeOnly }: Import): string | undefined {
  const from = file.split('/')[0] ?? '';
  const at = `${file}:${line}`;
  const allowed = ALLOWED[from];
  if (allowed === undefined) return `${at}: the folder ${from}/ is not in the table`;
  if (specifier.startsWith('.')) {
    const target = posix.normalize(posix.join(posix.dirname(file), specifier));
    if (target.startsWith('..')) return `${at}: imports ${specifier}, outside src/`;
    if (!target.endsWith('.ts')) return `${at}: imports ${specifier} without .ts`;
    const to = target.split('/')[0] ?? '';
    if (to === from || allowed.includes(to)) return undefined;
    return `${at}: ${from}/ may not import ${to}/ (${specifier})`;
  }
  if (specifier === '(computed)') {
    // The worker pool imports the module that defines a task, whose URL comes with the request.
    return from === 'platform' ? undefined : `${at}: a computed import hides its target`;
  }
  if (PURE.includes(from) && !typeOnly && !PURE_PACKAGES.test(specifier)) {
    return `${at}: ${from}/ is pure and may not import ${specifier}`;
  }
  if (!specifier.startsWith('node:') && !/^(@[a-z-]+\/)?[a-z][a-z0-9-]*(\/[\w.-]+)*$/.test(specifier)) {
    return `${at}: imports ${specifier}, which is neither a file, a package nor node:`;
  }
  return undefined;
}

/** Files that import each other in a ring, types left out: such modules cannot be understood one at a time. */
function rings(imports: readonly Import[]): string[] {
  const graph = new Map<string, string[]>();
  for (const { file, specifier, typeOnly } of imports) {
    if (typeOnly || !specifier.startsWith('.')) continue;
    const target = posix.normalize(posix.join(posix.dirname(file), specifier));
    graph.set(file, [...(graph.get(file) ?? []), target]);
  }
  const found: string[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const descend = (file: string, way: readonly string[]): void => {
    if (state.get(file) === 'done') return;
    if (state.get(file) === 'open') {
      found.push([...way.slice(way.indexOf(file)), file].join(' -> '));
      return;
    }
    state.set(file, 'open');
    for (const next of graph.get(file) ?? []) descend(next, [...way, file]);
    state.set(file, 'done');
  };
  for (const file of graph.keys()) descend(file, []);
  return found;
}

describe('imports in src/', () => {
  let all: Import[] = [];
  let files: string[] = [];
  beforeAll(async () => {
    const src = new URL('../../src/', import.meta.url);
    files = (await fg('**/*.ts', { cwd: src.pathname })).sort();
    const texts = await Promise.all(files.map((file) => readFile(new URL(file, src), 'utf8')));
    all = files.flatMap((file, index) => importsOf(file, texts[index] ?? ''));
  });

  it('follow the arrows of the design, and core, formats and tree stay pure', () => {
    expect(files).toContain('core/errors.ts');
    expect(all.length).toBeGreaterThan(files.length);
    expect(all.flatMap((found) => violation(found) ?? [])).toEqual([]);
  });

  it('form no ring', () => {
    expect(rings(all)).toEqual([]);
  });

  it('never come from a folder named utils, helpers, common or misc', () => {
    expect(files.filter((file) => /(^|\/)(utils?|helpers?|common|misc)(\/|\.ts$)/.test(file))).toEqual([]);
  });
});

describe('the checker itself', () => {
  const check = (file: string, text: string): string[] =>
    importsOf(file, text).flatMap((found) => violation(found) ?? []);

  it('catches an arrow against the table in every form an import takes', () => {
    for (const text of [
      "import { x } from '../trust/keys.ts';",
      "import type { X } from '../trust/keys.ts';",
      "export * from '../trust/keys.ts';",
      "export { x } from '../trust/keys.ts';",
      "const load = () => import('../trust/keys.ts');",
      "type X = import('../trust/keys.ts').X;",
      "import '../trust/keys.ts';",
    ]) {
      expect(check('delta/plan.ts', text), text).toEqual([
        expect.stringContaining('delta/ may not import trust/'),
      ]);
    }
    expect(check('cli/commands/init.ts', "import { open } from '../../platform/files.ts';")).toHaveLength(1);
    expect(check('repo/read.ts', "import { openStore } from '../platform/store.ts';")).toEqual([]);
  });

  it('catches a Node module in a pure folder, by value but not by type', () => {
    expect(check('formats/x.ts', "import { createHash } from 'node:crypto';")).toHaveLength(1);
    expect(check('core/x.ts', "export { join } from 'node:path';")).toHaveLength(1);
    expect(check('formats/x.ts', "import { parse } from 'yaml';")).toHaveLength(1);
    expect(check('formats/x.ts', "import { sha256 } from '@noble/hashes/sha2.js';")).toEqual([]);
    expect(check('formats/x.ts', "import type { Readable } from 'node:stream';")).toEqual([]);
    expect(check('platform/x.ts', "import { createHash } from 'node:crypto';")).toEqual([]);
  });

  it('catches a folder without a row, a way out of src/, a missing suffix and a computed import', () => {
    expect(check('utils/x.ts', "import { x } from '../core/path.ts';")).toHaveLength(1);
    expect(check('repo/x.ts', "import { x } from '../../test/x.ts';")).toHaveLength(1);
    expect(check('repo/x.ts', "import { x } from './read';")).toHaveLength(1);
    expect(check('repo/x.ts', 'export const load = (name: string) => import(name);')).toHaveLength(1);
  });

  it('catches a ring, and lets types close one', () => {
    const a = importsOf('repo/a.ts', "import { b } from './b.ts';");
    const b = importsOf('repo/b.ts', "import { a } from './a.ts';");
    const types = importsOf('repo/b.ts', "import type { A } from './a.ts';");
    expect(rings([...a, ...b])).toEqual(['repo/a.ts -> repo/b.ts -> repo/a.ts']);
    expect(rings([...a, ...types])).toEqual([]);
  });

  it('keeps the four stages apart', () => {
    const stages = ['delta', 'boot', 'apps', 'trust'];
    for (const stage of stages) {
      expect(ALLOWED[stage]?.filter((other) => stages.includes(other))).toEqual([]);
    }
  });
});

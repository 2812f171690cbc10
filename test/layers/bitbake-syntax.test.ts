/** The layer's BitBake files by a grammar of BitBake, that of the language server for editors. */
import { createRequire } from 'node:module';
import { readFile, readdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import Parser from 'web-tree-sitter';
import { LAYER } from '../support/bitbake-task.ts';

const require = createRequire(import.meta.url);
let parser: Parser;

beforeAll(async () => {
  await Parser.init();
  const grammar = join(
    dirname(require.resolve('language-server-bitbake/package.json')),
    'tree-sitter-bitbake.wasm',
  );
  parser = new Parser();
  parser.setLanguage(await Parser.Language.load(grammar));
});

/** Lines, counted from 1, that the grammar does not understand. */
function faults(text: string): number[] {
  const found: number[] = [];
  const visit = (node: Parser.SyntaxNode): void => {
    if (node.type === 'ERROR' || node.isMissing) found.push(node.startPosition.row + 1);
    else if (node.hasError) node.children.forEach(visit);
  };
  visit(parser.parse(text).rootNode);
  return found;
}

test('the grammar finds what is wrong', () => {
  expect(faults('python do_x() {\n    pass\n}\n')).toEqual([]);
  expect(faults('python do_x( {\n    pass\n}\n')).not.toEqual([]);
});

test('every file of the layer is as the grammar has it', async () => {
  const files = (await readdir(LAYER, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /\.(?:bb|bbclass|bbappend|conf|inc)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
  expect(files.length).toBeGreaterThan(8);
  const wrong: string[] = [];
  for (const file of files) {
    // addpylib is newer than the grammar.
    const text = (await readFile(file, 'utf8')).replace(/^addpylib .*$/gm, '');
    for (const line of faults(text)) wrong.push(`${relative(LAYER, file)}:${line}`);
  }
  expect(wrong).toEqual([]);
});

/** The Yocto example: its configuration loads, its lines of local.conf mean something, its app can be made. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import type { Diagnostic } from '../../src/core/diagnostics.ts';
import { CLASS, LAYER, runTask } from '../support/bitbake-task.ts';
import { PROJECT } from '../support/project.ts';

const EXAMPLE = join(PROJECT, 'examples/yocto-gateway');

interface Kas {
  readonly header: { readonly version: number };
  readonly repos: Readonly<Record<string, { readonly url?: string; readonly layers: object }>>;
  readonly local_conf_header: Readonly<Record<string, string>>;
}

const kas = async (path: string): Promise<Kas> => parse(await readFile(path, 'utf8')) as Kas;

test('the configuration loads without a word, and its app is there', async () => {
  const told: Diagnostic[] = [];
  const config = await loadConfig(join(EXAMPLE, 'treewright.yaml'), (diagnostic) => told.push(diagnostic));
  expect(told).toEqual([]);
  expect(config.apps.map(({ name }) => name)).toEqual(['dashboard']);
  expect(await readFile(config.apps[0]?.compose ?? '', 'utf8')).toMatch(/image: \S+@sha256:[0-9a-f]{64}/);
});

test('kas.yml: its variables are known ones, and the files that they name are there', async () => {
  const { header, repos, local_conf_header: conf } = await kas(join(EXAMPLE, 'kas.yml'));
  expect(header.version).toBe(14);
  expect(repos['treewright']?.layers).toEqual({ 'layers/meta-treewright': null });
  const lines = Object.values(conf).join('').split('\n');
  const known = await readFile(CLASS, 'utf8');
  const set: Record<string, string> = {};
  for (const line of lines) {
    const [, name = '', value = ''] = /^(TREEWRIGHT_\w+) = "(.*)"$/.exec(line) ?? [];
    if (name === '') continue;
    expect(known).toContain(`\n${name} ??= `);
    set[name] = value;
  }
  expect(Object.keys(set)).toHaveLength(3);
  const { values } = await runTask({
    release: 'scarthgap',
    set,
    print: ['treewright.settings.file_checksums(d)'],
  });
  const checksums = String(values[0])
    .split(' ')
    .filter((item) => !item.includes('treewright.mjs'));
  expect(checksums).toHaveLength(2);
  expect(checksums.every((item) => item.endsWith(':True'))).toBe(true);
});

test('the kas file to include and the example ask for the same things', async () => {
  const included = await kas(join(LAYER, 'kas/treewright.yml'));
  const example = Object.values((await kas(join(EXAMPLE, 'kas.yml'))).local_conf_header).join('');
  for (const line of Object.values(included.local_conf_header).join('').trim().split('\n')) {
    const [name = ''] = line.split(' ');
    expect(example).toContain(name);
  }
});

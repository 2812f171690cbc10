import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { allKeys, configJsonSchema, configJsonSchemaText } from '../../src/config/json-schema.ts';

describe('configs/treewright.schema.json', () => {
  it('is what the schema gives now (`npm run generate` writes it)', async () => {
    const stored = await readFile(new URL('../../configs/treewright.schema.json', import.meta.url), 'utf8');
    expect(stored).toBe(configJsonSchemaText());
  });

  it('lets an editor refuse what loading refuses: unknown keys, at every level', () => {
    const open: string[] = [];
    const look = (schema: Readonly<Record<string, unknown>>, path: string): void => {
      if (schema['type'] === 'object' && schema['additionalProperties'] !== false) open.push(path);
      for (const [name, value] of Object.entries(schema)) {
        if (typeof value === 'object' && value !== null)
          look(value as Record<string, unknown>, `${path}/${name}`);
      }
    };
    look(configJsonSchema(), '');
    expect(open).toEqual([]);
  });

  it('has a description or a title for every key a reader meets', () => {
    const schema = JSON.stringify(configJsonSchema());
    for (const { name } of allKeys()) expect(schema).toContain(`"${name}":`);
    expect(configJsonSchema()['required']).toEqual(['product', 'machine', 'source']);
  });
});

describe('docs/configuration.md', () => {
  it('names every key', async () => {
    const page = await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    const code = [...page.matchAll(/`([^`\n]+)`/g)].flatMap(([, text]) => (text ?? '').split(/[^a-z-]+/));
    expect(allKeys().filter(({ name }) => !code.includes(name))).toEqual([]);
  });
});

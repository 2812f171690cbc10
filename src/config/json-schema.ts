/** The JSON Schema of treewright.yaml, for editors. */
import * as z from 'zod';
import { writeFileAtomic } from '../platform/files.ts';
import { configSchema } from './schema.ts';

/** The part of JSON Schema that the configuration's schema consists of. */
export interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly [keyword: string]: unknown;
}

/** Draft 7, which the YAML language server knows best. */
export function configJsonSchema(): JsonSchema {
  return z.toJSONSchema(configSchema, { target: 'draft-7', io: 'input' }) as JsonSchema;
}

/** The text of configs/treewright.schema.json. */
export function configJsonSchemaText(): string {
  return `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
}

/** The schema of the value at `path`, every member of a union included; empty when the path leads nowhere. */
export function schemasAt(path: readonly (string | number)[]): JsonSchema[] {
  let current: JsonSchema[] = [configJsonSchema()];
  for (const part of path) {
    current = current.flatMap((schema) => {
      const next = typeof part === 'number' ? schema.items : schema.properties?.[part];
      return next === undefined ? [] : (next.anyOf ?? [next]);
    });
  }
  return current;
}

/** Every key of the schema with the dotted path of the mapping it belongs to. */
export function allKeys(): { readonly name: string; readonly parent: string }[] {
  const keys: { name: string; parent: string }[] = [];
  const descend = (schema: JsonSchema, parent: string): void => {
    for (const [name, member] of Object.entries(schema.properties ?? {})) {
      keys.push({ name, parent });
      const path = parent === '' ? name : `${parent}.${name}`;
      for (const inner of member.anyOf ?? [member]) descend(inner, path);
      if (member.items) descend(member.items, `${path}[]`);
    }
  };
  descend(configJsonSchema(), '');
  return keys;
}

/** Writes the schema as a file of its own. */
export async function writeConfigJsonSchema(path: string): Promise<void> {
  await writeFileAtomic(path, configJsonSchemaText());
}

/** The YAML text that service hashes are made of. */
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { describe, expect, test } from 'vitest';
import { parseComposeYaml } from '../../src/apps/compose-yaml.ts';
import type { YamlValue } from '../../src/formats/yaml-text.ts';
import { compareYamlKeys, encodeYaml, isTimestamp, resolvePlainScalar } from '../../src/formats/yaml-text.ts';

interface Vector {
  readonly input: string;
  readonly output: string;
  readonly sha256: string;
}

// Made by gopkg.in/yaml.v3 3.0.1: Unmarshal into an interface, then Marshal.
const vectors = JSON.parse(
  readFileSync(new URL('../fixtures/yaml-v3-vectors.json', import.meta.url), 'utf8'),
) as Vector[];

test('reads and writes what yaml.v3 reads and writes, byte for byte', () => {
  expect(vectors.length).toBeGreaterThan(60);
  for (const { input, output, sha256 } of vectors) {
    const text = encodeYaml(parseComposeYaml(input, 'vector').root);
    expect(text).toBe(output);
    expect(createHash('sha256').update(text).digest('hex')).toBe(sha256);
  }
});

const scalar: fc.Arbitrary<YamlValue> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Number.isInteger(n)),
  fc.string({ unit: 'binary' }),
  fc.stringMatching(/^[-a-z0-9_.: \n#'"|>]{0,12}$/),
);
const value = fc.letrec<{ value: YamlValue; map: ReadonlyMap<string, YamlValue> }>((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, scalar, fc.array(tie('value'), { maxLength: 4 }), tie('map')),
  map: fc
    .array(fc.tuple(fc.string({ unit: 'grapheme' }), tie('value')), { maxLength: 5 })
    .map((entries) => new Map(entries)),
}));

test('any value comes back as it was, whatever its texts look like', () => {
  fc.assert(
    fc.property(value.map, (map) => {
      const text = encodeYaml(map);
      expect(normal(parseComposeYaml(text, 'text').root)).toEqual(normal(map));
    }),
    { numRuns: 300 },
  );
});

test('another YAML reader sees the same texts', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 5 }), (texts) => {
      expect(parse(encodeYaml(new Map([['k', texts]])), { version: '1.1' })).toEqual({ k: texts });
    }),
    { numRuns: 300 },
  );
});

/** Order of keys does not matter; -0 is written as 0 by Go, too. */
function normal(item: YamlValue): unknown {
  if (item instanceof Map) {
    const entries = [...(item as ReadonlyMap<string, YamlValue>)].map(
      ([key, inner]) => [key, normal(inner)] as const,
    );
    return new Map([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  return Array.isArray(item) ? (item as YamlValue[]).map(normal) : item;
}

describe('plain scalars', () => {
  test('mean what they mean to Go: old octals are numbers, yes and no are texts', () => {
    expect(resolvePlainScalar('0755')).toBe(493n);
    expect(resolvePlainScalar('08')).toBe(8);
    expect(resolvePlainScalar('yes')).toBe('yes');
    expect(resolvePlainScalar('22:22')).toBe('22:22');
    expect(resolvePlainScalar('1_000')).toBe(1000n);
    expect(resolvePlainScalar('3.8')).toBe(3.8);
    expect(resolvePlainScalar('')).toBe(null);
  });

  test('dates are told from texts that look like dates', () => {
    expect(isTimestamp('2024-02-29')).toBe(true);
    expect(isTimestamp('2023-02-29')).toBe(false);
    expect(isTimestamp('2024-1-2T3:4:5Z')).toBe(true);
    expect(isTimestamp('1.2.3')).toBe(false);
  });
});

test('keys sort by the value of digits, letters last', () => {
  const keys = ['a10', 'a9', 'b', 'a-1', 'a_1', 'A', '10', '9', 'a1'];
  expect(keys.sort(compareYamlKeys)).toEqual(['9', '10', 'A', 'a-1', 'a_1', 'a1', 'a9', 'a10', 'b']);
});

import fc from 'fast-check';
import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import { fromUtf8, utf8 } from '../../src/core/bytes.ts';
import { encodeCanonicalJson, parseStrictJson } from '../../src/formats/canonical-json.ts';

const requireOf = createRequire(createRequire(import.meta.url).resolve('tuf-js'));
const oracle = requireOf('@tufjs/canonical-json') as { canonicalize(value: unknown): string };

const text = (value: unknown, charset?: 'portable' | 'any'): string | undefined =>
  fromUtf8(encodeCanonicalJson(value, charset));

const code = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (error) {
    return (error as { code: string }).code;
  }
};

/** Everything JSON has but fractions, in the range that JavaScript keeps exactly. */
const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.string({ unit: 'grapheme' }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 4 }),
  ),
}));

describe('canonical JSON', () => {
  test.each([
    [{}, '{}'],
    [[], '[]'],
    [{ b: 1, a: 2 }, '{"a":2,"b":1}'],
    [{ a: [true, false, null, -1, 0] }, '{"a":[true,false,null,-1,0]}'],
    [{ a: 'x"y\\z/' }, '{"a":"x\\"y\\\\z/"}'],
    [{ B: 1, a: 1, _: 1 }, '{"B":1,"_":1,"a":1}'],
    [{ '10': 1, '9': 1 }, '{"10":1,"9":1}'],
    [-0, '0'],
    [9007199254740991, '9007199254740991'],
    [Object.fromEntries([['__proto__', 1]]), '{"__proto__":1}'],
  ])('%j is %s', (value, expected) => {
    expect(text(value)).toBe(expected);
  });

  test('the full OLPC form leaves everything but quote and backslash raw', () => {
    expect(text({ é: 'a\n\t\u0001\u007f€😀' }, 'any')).toBe('{"é":"a\n\t\u0001\u007f€😀"}');
  });

  test('members are sorted by code point, not by UTF-16 unit', () => {
    expect(text({ '😀': 1, '\uffff': 2 }, 'any')).toBe('{"\uffff":2,"😀":1}');
  });

  test('the TUF library for JavaScript canonicalises every value to the same bytes', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(text(value, 'any')).toBe(oracle.canonicalize(value));
      }),
    );
  });

  test('what is portable reads back as the same value and the same bytes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        let bytes: Uint8Array;
        try {
          bytes = encodeCanonicalJson(value);
        } catch (error) {
          // Fractions and characters outside ASCII are refused, and nothing else.
          expect(error).toMatchObject({ code: 'input/not-canonical' });
          return;
        }
        const read = parseStrictJson(bytes);
        expect(read).toEqual(JSON.parse(fromUtf8(bytes) ?? ''));
        expect(encodeCanonicalJson(read)).toEqual(bytes);
      }),
    );
  });

  test.each([
    ['a fraction', { a: { b: 0.5 } }, '/a/b'],
    ['NaN', { a: NaN }, '/a'],
    ['a number beyond 2^53', { a: 2 ** 53 }, '/a'],
    ['a letter with an accent', { custom: { name: 'é' } }, '/custom/name'],
    ['a control character', [1, 'a\nb'], '/1'],
    ['DEL', ['\u007f'], '/0'],
    ['a member name outside ASCII', { a: { é: 1 } }, '/a'],
    ['undefined', { a: undefined }, '/a'],
    ['a Date', { a: new Date(0) }, '/a'],
    ['a Map', { a: new Map() }, '/a'],
    ['bytes', { a: new Uint8Array(1) }, '/a'],
    ['a big integer', { a: 1n }, '/a'],
  ])('%s is refused and its place named', (_, value, path) => {
    expect(() => encodeCanonicalJson(value)).toThrow(
      expect.objectContaining({ code: 'input/not-canonical', data: { path } }),
    );
  });

  test('a lone surrogate is refused in both forms', () => {
    for (const charset of ['portable', 'any'] as const) {
      expect(code(() => encodeCanonicalJson('\ud800', charset))).toBe('input/not-canonical');
    }
  });

  test('endless nesting is refused, not a crash', () => {
    const circle: unknown[] = [];
    circle.push(circle);
    expect(code(() => encodeCanonicalJson(circle))).toBe('input/not-canonical');
  });
});

describe('strict JSON reader', () => {
  test('reads white space, escapes and nesting as JSON.parse does', () => {
    const source = ' {"a" : [ 1 , -20, true,false , null ] ,\r\n\t"b":{"c":"\\u00e9\\n\\"\\\\\\/é"} } \n';
    expect(parseStrictJson(utf8(source))).toEqual(JSON.parse(source));
  });

  test('reads whatever JSON.stringify writes of values without fractions', () => {
    fc.assert(
      fc.property(anyValue, fc.integer({ min: 0, max: 3 }), (value, indent) => {
        const source = JSON.stringify(value, null, indent);
        expect(parseStrictJson(utf8(source))).toEqual(JSON.parse(source));
      }),
    );
  });

  test('"__proto__" is a member like any other and changes nothing else', () => {
    const value = parseStrictJson(utf8('{"__proto__":{"polluted":1}}'));
    expect(Object.keys(value as object)).toEqual(['__proto__']);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    expect(text(value)).toBe('{"__proto__":{"polluted":1}}');
  });

  test.each([
    ['a member named twice', '{"a":1,"a":1}'],
    ['a member named twice by escape', '{"a":1,"\\u0061":1}'],
    ['a fraction', '[1.0]'],
    ['an exponent', '[1e3]'],
    ['an integer beyond 2^53', '[9007199254740992]'],
    ['a leading zero', '[01]'],
    ['a plus sign', '[+1]'],
    ['a lone minus', '[-]'],
    ['NaN', '[NaN]'],
    ['a comma at the end of a list', '[1,]'],
    ['a comma at the end of an object', '{"a":1,}'],
    ['a missing comma', '[1 2]'],
    ['a missing colon', '{"a" 1}'],
    ['a bare name', '{a:1}'],
    ['single quotes', "['a']"],
    ['an open string', '["a'],
    ['an open list', '[1'],
    ['an open object', '{"a":1'],
    ['a raw newline in a string', '["a\nb"]'],
    ['a bad escape', '["\\x41"]'],
    ['a lone surrogate by escape', '["\\ud800"]'],
    ['a second value', '{} {}'],
    ['a comment', '{} // no'],
    ['a byte order mark', '\ufeff{}'],
    ['nothing', ' '],
    ['nesting without end', '['.repeat(100_000)],
  ])('%s is refused', (_, source) => {
    expect(code(() => parseStrictJson(utf8(source)))).toBe('input/bad-json');
  });

  test('bytes that are not UTF-8 are refused', () => {
    expect(code(() => parseStrictJson(Uint8Array.of(0x22, 0xff, 0x22)))).toBe('input/bad-json');
  });

  test('any prefix of a document is refused', () => {
    const source = '{"signed":{"a":[1,{"b":"c\\"d"}],"e":null},"signatures":[]}';
    for (let length = 0; length < source.length; length++) {
      expect(code(() => parseStrictJson(utf8(source.slice(0, length))))).toBe('input/bad-json');
    }
  });
});

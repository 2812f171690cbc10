import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as gv from '../../src/formats/gvariant.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

describe('the examples of the GVariant specification, section 2.5', () => {
  const cases: readonly [string, gv.Codec<never>, unknown, string][] = [
    ['string', gv.string as gv.Codec<never>, 'hello world', '68656c6c6f20776f726c6400'],
    ['maybe string', gv.maybe(gv.string) as gv.Codec<never>, 'hello world', '68656c6c6f20776f726c640000'],
    [
      'array of booleans',
      gv.array(gv.boolean) as gv.Codec<never>,
      [true, false, false, true, true],
      '01 00 00 01 01',
    ],
    [
      'structure',
      gv.tuple<readonly [string, number]>(gv.string, gv.codecFor('i') as gv.Codec<number>) as gv.Codec<never>,
      ['foo', -1],
      '66 6f 6f 00 ff ff ff ff 04',
    ],
    [
      'dictionary',
      gv.codecFor('a{si}') as gv.Codec<never>,
      [
        ['hi', -2],
        ['bye', -1],
      ],
      '68 69 00 00 fe ff ff ff 03 00 00 00 62 79 65 00 ff ff ff ff 04 09 15',
    ],
    ['string array', gv.array(gv.string) as gv.Codec<never>, ['i', 'can', 'has', 'strings?'], '6900 63616e00 68617300 737472696e67733f00 02060a13'],
    ['nested structure', gv.codecFor('((ys)as)') as gv.Codec<never>, [[0x69, 'can'], ['has', 'strings?']], '6963616e00 68617300 737472696e67733f00 040d 05'],
    ['simple structure', gv.codecFor('(yy)') as gv.Codec<never>, [0x70, 0x80], '7080'],
    ['padded structure', gv.codecFor('(iy)') as gv.Codec<never>, [0x60, 0x70], '60000000 70000000'],
    ['array of structures', gv.codecFor('a(iy)') as gv.Codec<never>, [[96, 0x70], [648, 0xf7]], '60000000 70000000 88020000 f7000000'],
    ['empty tuple', gv.codecFor('()') as gv.Codec<never>, [], '00'],
  ]; // prettier-ignore
  test.each(cases)('%s', (_, codec, value, expected) => {
    expect(hex(codec.encode(value as never))).toBe(expected.replaceAll(' ', ''));
    expect(codec.decode(bytes(expected))).toEqual(value);
  });

  test('a variant keeps its type', () => {
    const value: gv.Variant = { signature: '(tay)', value: [7n, Uint8Array.of(1, 2)] };
    expect(hex(gv.variant.encode(value))).toBe('07000000000000000102' + '00' + hex(Buffer.from('(tay)')));
    expect(gv.variant.decode(gv.variant.encode(value))).toEqual(value);
  });
});

describe('what is not in normal form is refused', () => {
  const refused: readonly [string, string, string][] = [
    ['boolean of 2', 'b', '02'],
    ['integer of three bytes', 'u', '000000'],
    ['string without NUL', 's', '6869'],
    ['string with a NUL inside', 's', '68006900'],
    ['string of bad UTF-8', 's', 'ff00'],
    ['padding that is not zero', '(yu)', '01000100 02000000'],
    ['framing offset beyond the end', 'as', '6900 ff'],
    ['framing offsets that go back', 'as', '6900 6900 04 02'],
    ['array table that does not fit', 'as', '690003'],
    ['bytes left over in a structure', '(sy)', '6869 00 01 02 03'],
    ['a variant without a type', 'v', '0102'],
    ['a variant of an unknown type', 'v', '0100 5a'],
    ['fixed structure cut short', '(iy)', '60000000 70'],
  ];
  test.each(refused)('%s', (_, signature, input) => {
    expect(() => gv.codecFor(signature).decode(bytes(input))).toThrow(/GVariant/);
  });

  test('a type string nested without end', () => {
    expect(() => gv.codecFor('a'.repeat(1000) + 'y')).toThrow(/nested too deep/);
  });

  test('numbers beyond 2^53 in a size', () => {
    expect(() => gv.u64be.decode(bytes('ffffffffffffffff'))).toThrow(/beyond 2\^53/);
  });
});

describe('round trips', () => {
  const leaf = fc.constantFrom('y', 'b', 'n', 'q', 'i', 'u', 'x', 't', 's', 'ay', 'v');
  const signature = fc.letrec<{ type: string }>((tie) => ({
    type: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      leaf,
      tie('type').map((t) => `a${t}`),
      tie('type').map((t) => `m${t}`),
      fc.array(tie('type'), { maxLength: 4 }).map((ts) => `(${ts.join('')})`),
      fc.tuple(fc.constantFrom('s', 'y', 'u'), tie('type')).map(([k, v]) => `{${k}${v}}`),
    ),
  })).type;

  function valueOf(type: string): fc.Arbitrary<unknown> {
    const inner = type.slice(1);
    switch (type[0]) {
      case 'y':
        return fc.integer({ min: 0, max: 255 });
      case 'b':
        return fc.boolean();
      case 'n':
        return fc.integer({ min: -32768, max: 32767 });
      case 'q':
        return fc.integer({ min: 0, max: 65535 });
      case 'i':
        return fc.integer();
      case 'u':
        return fc.nat();
      case 'x':
        return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
      case 't':
        return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
      case 's':
        return fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', '').toWellFormed());
      case 'v':
        return fc.nat().map((value) => ({ signature: 'u', value }));
      case 'a':
        return inner === 'y' ? fc.uint8Array() : fc.array(valueOf(inner), { maxLength: 5 });
      case 'm':
        return fc.option(valueOf(inner), { nil: undefined });
      default:
        return fc.tuple(...members(type.slice(1, -1)).map(valueOf));
    }
  }

  function members(types: string): string[] {
    const found: string[] = [];
    let at = 0;
    while (at < types.length) {
      const start = at;
      while (types[at] === 'a' || types[at] === 'm') at++;
      let depth = 0;
      do {
        if (types[at] === '(' || types[at] === '{') depth++;
        if (types[at] === ')' || types[at] === '}') depth--;
        at++;
      } while (depth > 0);
      found.push(types.slice(start, at));
    }
    return found;
  }

  test('decoding what was encoded gives the value, whatever the type', () => {
    fc.assert(
      fc.property(
        signature.chain((type) => fc.tuple(fc.constant(type), valueOf(type))),
        ([type, value]) => {
          const codec = gv.codecFor(type);
          expect(codec.decode(codec.encode(value))).toEqual(value);
        },
      ),
      { numRuns: 400 },
    );
  });

  test('what decodes at all encodes to the same bytes', () => {
    const codec = gv.codecFor('(a{sv}ayasu)');
    const valid = codec.encode([[['key', { signature: 's', value: 'v' }]], Uint8Array.of(1), ['a', 'b'], 7]);
    fc.assert(
      fc.property(fc.nat(valid.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const mutated = Uint8Array.from(valid);
        mutated[at] = byte;
        let value: unknown;
        try {
          value = codec.decode(mutated);
        } catch (error) {
          expect(String(error)).toMatch(/GVariant/);
          return;
        }
        expect(hex(codec.encode(value))).toBe(hex(mutated));
      }),
      { numRuns: 2000 },
    );
  });

  test('every truncation of a commit-like value is refused or differs', () => {
    const codec = gv.codecFor('(a{sv}aya(say)sstayay)');
    const value = [[['version', { signature: 's', value: '1' }]], new Uint8Array(32), [], 's', 'b', 5n, new Uint8Array(32), new Uint8Array(32)]; // prettier-ignore
    const whole = codec.encode(value);
    for (let length = 0; length < whole.length; length++) {
      let decoded: unknown;
      try {
        decoded = codec.decode(whole.subarray(0, length));
      } catch {
        continue;
      }
      expect(decoded).not.toEqual(value);
    }
  });
});

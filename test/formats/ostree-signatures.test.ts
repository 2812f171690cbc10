import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/core/bytes.ts';
import { vardict } from '../../src/formats/gvariant.ts';
import {
  ED25519_METADATA_KEY,
  MAX_DETACHED_METADATA,
  decodeBase64,
  decodeDetachedMetadata,
  decodeOstreePublicKeys,
  ed25519Signatures,
  encodeBase64,
  encodeDetachedMetadata,
  encodeOstreePublicKeys,
  withEd25519Signatures,
} from '../../src/formats/ostree-signatures.ts';

const signature = (fill: number): Uint8Array => new Uint8Array(64).fill(fill);
const bad = (code: string): Error => expect.objectContaining({ code }) as Error;

describe('detached metadata', () => {
  test('one signature has the bytes of the GVariant specification for a{sv} with aay', () => {
    const bytes = encodeDetachedMetadata(withEd25519Signatures([], [signature(7)]));
    const expected = Buffer.concat([
      utf8(`${ED25519_METADATA_KEY}\0`), // 20 bytes, then padding to the variant's alignment
      new Uint8Array(4),
      signature(7),
      Uint8Array.of(64), // where the only element of aay ends
      utf8('\0aay'),
      Uint8Array.of(20), // where the key of the entry ends
      Uint8Array.of(94), // where the only entry of a{sv} ends
    ]);
    expect(Buffer.from(bytes).toString('hex')).toBe(expected.toString('hex'));
    expect(ed25519Signatures(decodeDetachedMetadata(bytes))).toEqual([signature(7)]);
  });

  test('no entry, and an empty file, mean no signatures', () => {
    expect(ed25519Signatures(decodeDetachedMetadata(new Uint8Array(0)))).toEqual([]);
  });

  test('other entries keep their place and value when signatures change', () => {
    const gpg = ['ostree.gpgsigs', { signature: 'aay', value: [Uint8Array.of(1, 2)] }] as const;
    const last = ['x', { signature: 's', value: 'y' }] as const;
    const first = withEd25519Signatures([gpg], [signature(1)]);
    const again = withEd25519Signatures([...first, last], [signature(1), signature(2)]);
    const read = decodeDetachedMetadata(encodeDetachedMetadata(again));
    expect(read.map(([name]) => name)).toEqual(['ostree.gpgsigs', ED25519_METADATA_KEY, 'x']);
    expect(read[0]).toEqual(gpg);
    expect(ed25519Signatures(read)).toEqual([signature(1), signature(2)]);
  });

  test('a signature of another length is an error, as for libostree', () => {
    const metadata = withEd25519Signatures([], [new Uint8Array(63)]);
    expect(() => ed25519Signatures(metadata)).toThrow(bad('input/bad-object'));
  });

  test('an entry of another type is an error, not an absent one', () => {
    const bytes = vardict.encode([[ED25519_METADATA_KEY, { signature: 's', value: 'none' }]]);
    expect(() => ed25519Signatures(decodeDetachedMetadata(bytes))).toThrow(bad('input/bad-object'));
  });

  test('the same key twice is refused', () => {
    const entry = ['a', { signature: 's', value: '' }] as const;
    expect(() => decodeDetachedMetadata(vardict.encode([entry, entry]))).toThrow(bad('input/bad-object'));
  });

  test('more than the limit is refused before it is parsed', () => {
    expect(() => decodeDetachedMetadata(new Uint8Array(MAX_DETACHED_METADATA + 1))).toThrow(
      bad('input/bad-object'),
    );
  });

  test('cut or changed bytes are refused or read as what they are, never an uncoded error', () => {
    const bytes = encodeDetachedMetadata(withEd25519Signatures([], [signature(7), signature(9)]));
    const attempt = (input: Uint8Array): void => {
      try {
        const metadata = decodeDetachedMetadata(input);
        expect(encodeDetachedMetadata(metadata)).toEqual(input);
        ed25519Signatures(metadata);
      } catch (error) {
        expect((error as { code?: string }).code).toMatch(/^input\//);
      }
    };
    for (let length = 0; length < bytes.length; length++) attempt(bytes.subarray(0, length));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Uint8Array.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ flip;
        attempt(changed);
      }),
    );
  });
});

describe('key files of libostree', () => {
  test('public keys are base64, one a line', () => {
    const keys = [new Uint8Array(32), new Uint8Array(32).fill(255)];
    const text = encodeOstreePublicKeys(keys);
    expect(text).toBe(
      'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n//////////////////////////////////////////8=\n',
    );
    expect(decodeOstreePublicKeys(`\n${text}\n`)).toEqual(keys);
  });

  test.each([['AAAA'], ['not base64'], ['# a comment'], [encodeBase64(new Uint8Array(64))]])(
    'the line %s is refused',
    (line) => {
      expect(() => decodeOstreePublicKeys(line)).toThrow(bad('trust/bad-key'));
    },
  );

  test('base64 agrees with Buffer, and what Buffer forgives is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64');
        expect(encodeBase64(bytes)).toBe(text);
        expect(decodeBase64(text)).toEqual(bytes);
      }),
    );
    for (const text of ['A', 'AA', 'AAA', 'AA=', 'AA==A', 'A-==', 'AAAA\n', ' AAAA']) {
      expect(decodeBase64(text)).toBeUndefined();
    }
  });
});

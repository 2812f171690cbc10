import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes, utf8 } from '../../src/core/bytes.ts';
import type { Checksum } from '../../src/core/checksum.ts';
import { checksumFromBytes } from '../../src/core/checksum.ts';
import { CONTROL_LENGTH, getControl, putControl } from '../../src/formats/bspatch.ts';
import { array, bytestring, tuple, u32be } from '../../src/formats/gvariant.ts';
import {
  checksumFromBase64,
  checksumToBase64,
  decodeDeltaIndex,
  deltaEndsFromPath,
  deltaIndexPath,
  deltaName,
  deltaPath,
  encodeDeltaIndex,
  parseDeltaName,
} from '../../src/formats/ostree-delta-index.ts';
import type { Superblock } from '../../src/formats/ostree-delta.ts';
import {
  decodeSuperblock,
  decodeSuperblockFile,
  encodeSignedSuperblock,
  encodeSuperblock,
} from '../../src/formats/ostree-delta.ts';
import type { DeltaMode, DeltaOperation } from '../../src/formats/ostree-delta-part.ts';
import {
  appendOperation,
  appendVarint,
  decodeOperations,
  decodePartModes,
  decodePartXattrs,
  framePart,
  partLayout,
  partTailLength,
} from '../../src/formats/ostree-delta-part.ts';
import type { WireXattrs } from '../../src/formats/ostree-objects.ts';
import { encodeCommit } from '../../src/formats/ostree-objects.ts';

const checksum = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => checksumFromBytes(bytes));
const size = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const A = '6a6052ef72895705f86ce846629145433def63bf77f712262b62e751f01d5f38' as Checksum;
const B = 'f8b4c1ddad98be7dc071088736090456d525fa3541782ce5885fd63f64c03586' as Checksum;

describe('names and paths of deltas', () => {
  test('are those libostree gives the same two commits', () => {
    expect(deltaPath({ from: A, to: B })).toBe(
      'deltas/am/BS73KJVwX4bOhGYpFFQz3vY7939xImK2LnUfAdXzg-+LTB3a2Yvn3AcQiHNgkEVtUl+jVBeCzliF_WP2TANYY',
    );
    expect(deltaPath({ to: B })).toBe('deltas/+L/TB3a2Yvn3AcQiHNgkEVtUl+jVBeCzliF_WP2TANYY');
    expect(deltaIndexPath(B)).toBe('delta-indexes/+L/TB3a2Yvn3AcQiHNgkEVtUl+jVBeCzliF_WP2TANYY.index');
    expect(deltaName({ from: A, to: B })).toBe(`${A}-${B}`);
  });

  test('lead back to the commits, and base64 agrees with the general one', () => {
    fc.assert(
      fc.property(checksum, fc.option(checksum, { nil: undefined }), (to, from) => {
        const text = checksumToBase64(to);
        expect(text).toBe(Buffer.from(to, 'hex').toString('base64').replaceAll('/', '_').replace('=', ''));
        expect(checksumFromBase64(text)).toBe(to);
        const ends = from === undefined ? { to } : { from, to };
        const [, prefix = '', rest = ''] = deltaPath(ends).split('/');
        expect(deltaEndsFromPath(prefix, rest)).toEqual(ends);
        expect(parseDeltaName(deltaName(ends))).toEqual(ends);
      }),
    );
  });

  test('refuse what is not canonical', () => {
    const good = checksumToBase64(A);
    // The last character carries four bits only; setting another makes a second name for the same checksum.
    const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_';
    const other = last[(last.indexOf(good[42] ?? '') & ~3) | 1] ?? '';
    expect(checksumFromBase64(good.slice(0, 42) + other)).toBeUndefined();
    expect(checksumFromBase64(good.slice(1))).toBeUndefined();
    expect(checksumFromBase64(`/${good.slice(1)}`)).toBeUndefined();
    expect(deltaEndsFromPath('am', 'x')).toBeUndefined();
    for (const name of ['', A.slice(1), `${A}-`, `${A}-${B}-${A}`, `../${A}`]) {
      expect(() => parseDeltaName(name)).toThrow(expect.objectContaining({ code: 'input/bad-delta' }));
    }
  });

  test('an index keeps names and digests', () => {
    const deltas = [
      { to: B, digest: new Uint8Array(32).fill(1) },
      { from: A, to: B, digest: new Uint8Array(32).fill(2) },
    ];
    expect(decodeDeltaIndex(encodeDeltaIndex(deltas))).toEqual(deltas);
    const short = encodeDeltaIndex([{ to: B, digest: new Uint8Array(31) }]);
    expect(() => decodeDeltaIndex(short)).toThrow(/32 bytes/);
  });
});

const commit = encodeCommit({
  metadata: [['version', { signature: 's', value: '1' }]],
  subject: 's',
  body: '',
  timestamp: 1_700_000_000,
  rootTree: A,
  rootMeta: B,
});

const superblock: fc.Arbitrary<Superblock> = fc.record({
  byteOrder: fc.constantFrom('little', 'big'),
  metadata: fc.constant([['key', { signature: 's', value: 'value' }] as const]),
  timestamp: size,
  to: checksum,
  from: checksum,
  commit: fc.constant(commit),
  parts: fc.array(
    fc.record({
      version: fc.constant(0),
      checksum,
      size,
      uncompressedSize: size,
      objects: fc.array(
        fc.record({ type: fc.constantFrom('file', 'dirtree', 'dirmeta', 'commit'), checksum }),
      ),
    }),
  ),
  fallbacks: fc.array(
    fc.record({ type: fc.constant('file' as const), checksum, size, uncompressedSize: size }),
  ),
});

describe('the superblock', () => {
  test('comes back as it was', () => {
    fc.assert(
      fc.property(superblock, (value) => {
        const bytes = encodeSuperblock(value);
        expect(decodeSuperblock(bytes)).toEqual(value);
        expect(decodeSuperblockFile(bytes)).toEqual({ superblock: bytes });
        const signatures = [['ostree.sign.ed25519', { signature: 'aay', value: [utf8('x')] }] as const];
        expect(decodeSuperblockFile(encodeSignedSuperblock(bytes, signatures))).toEqual({
          superblock: bytes,
          signatures,
        });
      }),
    );
  });

  test('is read in the byte order it names', () => {
    const value: Superblock = {
      byteOrder: 'little',
      metadata: [],
      timestamp: 5,
      to: B,
      commit,
      parts: [{ version: 0, checksum: A, size: 0x0102, uncompressedSize: 0x0304, objects: [] }],
      fallbacks: [],
    };
    const bytes = encodeSuperblock(value);
    const at = Buffer.from(bytes).indexOf('ostree.endianness') + 'ostree.endianness'.length + 1;
    // The variant starts at a multiple of eight.
    const order = Math.ceil(at / 8) * 8;
    expect(bytes[order]).toBe(0x6c);
    bytes[order] = 0x42;
    expect(() => decodeSuperblock(bytes)).toThrow(/beyond 2\^53/);
    // The same sizes with their bytes turned round.
    const table = Buffer.from(bytes).indexOf(Buffer.from([0x02, 0x01, 0, 0, 0, 0, 0, 0, 0x04, 0x03]));
    bytes.subarray(table, table + 8).reverse();
    bytes.subarray(table + 8, table + 16).reverse();
    expect(decodeSuperblock(bytes)).toEqual({ ...value, byteOrder: 'big' });
    expect(encodeSuperblock({ ...value, byteOrder: 'big' })).toEqual(bytes);
    bytes[order] = 0x43;
    expect(() => decodeSuperblock(bytes)).toThrow(/no known byte order/);
  });

  test('cannot be cut anywhere without being refused', () => {
    const bytes = encodeSuperblock({
      byteOrder: 'little',
      metadata: [],
      timestamp: 5,
      from: A,
      to: B,
      commit,
      parts: [
        { version: 0, checksum: A, size: 1, uncompressedSize: 2, objects: [{ type: 'file', checksum: B }] },
      ],
      fallbacks: [],
    });
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeSuperblock(bytes.subarray(0, length))).toThrow(
        expect.objectContaining({ name: 'TreewrightError' }),
      );
    }
  });
});

const operation: fc.Arbitrary<DeltaOperation> = fc.oneof(
  fc.record({
    op: fc.constant('splice-content' as const),
    mode: size,
    xattrs: size,
    length: size,
    offset: size,
  }),
  fc.record({ op: fc.constant('open' as const), mode: size, xattrs: size, length: size }),
  fc.record({ op: fc.constant('write' as const), length: size, offset: size }),
  fc.record({ op: fc.constant('bspatch' as const), length: size, offset: size }),
  fc.record({ op: fc.constant('set-source' as const), offset: size }),
  fc.record({ op: fc.constantFrom('unset-source', 'close') }),
);

describe('a part', () => {
  test('has the framing of (a(uuu)aa(ayay)ayay), whatever its size', () => {
    const modeList = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat()), { maxLength: 30 });
    const bytes = fc.uint8Array({ maxLength: 12 });
    const xattrList = fc.array(fc.array(fc.tuple(bytes, bytes), { maxLength: 3 }), { maxLength: 30 });
    const payloads = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(new Uint8Array(70_000)));
    const xattrsCodec = array(array(tuple<readonly [Uint8Array, Uint8Array]>(bytestring, bytestring)));
    const codec = tuple<
      readonly [DeltaMode[], (readonly [Uint8Array, Uint8Array])[][], Uint8Array, Uint8Array]
    >(array(tuple<DeltaMode>(u32be, u32be, u32be)), xattrsCodec, bytestring, bytestring);
    fc.assert(
      fc.property(
        modeList,
        xattrList,
        payloads,
        fc.uint8Array({ maxLength: 300 }),
        (modes, xattrs, payload, ops) => {
          const { head, tail } = framePart({ modes, xattrs, operations: ops }, payload.length);
          const part = concatBytes([head, payload, tail]);
          const expected = codec.encode([modes, xattrs as WireXattrs[] as never, payload, ops]);
          expect(Buffer.compare(part, expected)).toBe(0);
          const layout = partLayout(part.length, part.subarray(part.length - partTailLength(part.length)));
          const member = ({ start, end }: { start: number; end: number }): Uint8Array =>
            part.subarray(start, end);
          expect(decodePartModes(member(layout.modes))).toEqual(modes);
          expect(decodePartXattrs(member(layout.xattrs))).toEqual(xattrs);
          expect(Buffer.compare(member(layout.payload), payload)).toBe(0);
          expect(member(layout.operations)).toEqual(ops);
        },
      ),
    );
  });

  test('refuses members that overlap or leave it', () => {
    expect(() => partLayout(2, new Uint8Array(2))).toThrow(/too short/);
    // payload, xattrs and modes end at 1, 2 and 1.
    expect(() => partLayout(10, Uint8Array.of(1, 2, 1))).toThrow(/members/);
    expect(() => partLayout(10, Uint8Array.of(8, 2, 1))).toThrow(/members/);
  });

  test('its operations come back as they were', () => {
    fc.assert(
      fc.property(fc.array(operation), (operations) => {
        const bytes: number[] = [];
        for (const one of operations) appendOperation(bytes, one);
        expect([...decodeOperations(Uint8Array.from(bytes), () => 'file')]).toEqual(operations);
      }),
    );
  });

  test('a splice is read by the type of its object', () => {
    const bytes: number[] = [];
    appendOperation(bytes, { op: 'splice-metadata', length: 300, offset: 5 });
    appendOperation(bytes, { op: 'splice-content', mode: 1, xattrs: 2, length: 3, offset: 4 });
    const types = ['dirtree', 'file'] as const;
    expect([...decodeOperations(Uint8Array.from(bytes), (i) => types[i])]).toEqual([
      { op: 'splice-metadata', length: 300, offset: 5 },
      { op: 'splice-content', mode: 1, xattrs: 2, length: 3, offset: 4 },
    ]);
    expect(() => [...decodeOperations(Uint8Array.from(bytes), () => undefined)]).toThrow(/more objects/);
  });

  test('refuses hostile numbers and unknown operations', () => {
    const decode = (...bytes: number[]): unknown[] => [
      ...decodeOperations(Uint8Array.from(bytes), () => 'file'),
    ];
    const hostile: [number[], RegExp][] = [
      [[0x72], /the bytes end inside a number/],
      [[0x72, 0x80], /the bytes end inside a number/],
      [[0x72, 0x80, 0x00], /longer than needed/],
      [[0x72, ...Array<number>(9).fill(0xff), 0x01], /beyond 2\^53/],
      [[0x72, ...Array<number>(40).fill(0x80), 0x01], /beyond 2\^53/],
      [[0x72, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], /beyond 2\^53/],
      [[0x58], /unknown operation/],
    ];
    for (const [bytes, message] of hostile) expect(() => decode(...bytes)).toThrow(message);
    const largest: number[] = [];
    appendVarint(largest, Number.MAX_SAFE_INTEGER);
    expect(decode(0x72, ...largest)).toEqual([{ op: 'set-source', offset: Number.MAX_SAFE_INTEGER }]);
  });
});

test('a control of a patch comes back, and negative or huge lengths are refused', () => {
  const length = fc.integer({ min: 0, max: 0x7fffffff });
  const seek = fc.integer({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });
  fc.assert(
    fc.property(length, length, seek, (diff, extra, move) => {
      const bytes = new Uint8Array(CONTROL_LENGTH);
      putControl(bytes, 0, { diff, extra, seek: move });
      expect(getControl(bytes)).toEqual({ diff, extra, seek: move === 0 ? 0 : move });
    }),
  );
  const bytes = new Uint8Array(CONTROL_LENGTH);
  for (const diff of [-1, 0x80000000]) {
    putControl(bytes, 0, { diff, extra: 0, seek: 0 });
    expect(() => getControl(bytes)).toThrow(/lengths/);
  }
  expect(() => getControl(bytes.fill(0xff))).toThrow(/beyond 2\^53/);
  expect(() => getControl(bytes.subarray(1))).toThrow(/inside a control/);
});

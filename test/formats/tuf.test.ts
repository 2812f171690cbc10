import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { fromUtf8, utf8 } from '../../src/core/bytes.ts';
import type { JsonObject } from '../../src/formats/canonical-json.ts';
import type { TufDialect, TufRole, TufTargets } from '../../src/formats/tuf.ts';
import {
  TUF_SIZE_LIMITS,
  decodeTufFile,
  ed25519TufKey,
  encodeTufFile,
  encodeTufSigned,
  formatTufTime,
  hashedTargetPath,
  parseTufTime,
  standardDialect,
  targetNameProblem,
  tufKeyId,
} from '../../src/formats/tuf.ts';

const KEY = ed25519TufKey(new Uint8Array(32).fill(0xab));
const KEYID = tufKeyId(KEY);
const HASH = 'ab'.repeat(32);

const common = { spec_version: '1.0.33', version: 3, expires: '2030-01-01T00:00:00Z' };
const role = { keyids: [KEYID], threshold: 1 };
const key = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: 'ab'.repeat(32) } };
const FILES: Readonly<Record<TufRole, Readonly<Record<string, unknown>>>> = {
  root: {
    _type: 'root',
    ...common,
    consistent_snapshot: true,
    keys: { [KEYID]: key },
    roles: { root: role, targets: role, snapshot: role, timestamp: role },
  },
  targets: {
    _type: 'targets',
    ...common,
    targets: {
      'a/b': { length: 3, hashes: { sha256: HASH }, custom: { n: 1, list: [null, true], __proto__x: 'y' } },
    },
  },
  snapshot: { _type: 'snapshot', ...common, meta: { 'targets.json': { version: 2 } } },
  timestamp: {
    _type: 'timestamp',
    ...common,
    meta: { 'snapshot.json': { version: 2, length: 9, hashes: { sha256: HASH } } },
  },
};
const ROLES = Object.keys(FILES) as TufRole[];
const SIGNATURES = [{ keyid: KEYID, sig: '00'.repeat(64) }];

const file = (signed: unknown, signatures: unknown = SIGNATURES): Uint8Array =>
  utf8(JSON.stringify({ signatures, signed }, null, 1));

describe('TUF model', () => {
  test.each(ROLES)('%s decodes and encodes to the same canonical content', (name) => {
    const document = decodeTufFile(name, file(FILES[name]), `${name}.json`);
    expect(document.signed).toMatchObject({ role: name, version: 3 });
    const signed = encodeTufSigned(document.signed);
    expect(signed).toEqual(document.signedBytes);
    expect(JSON.parse(fromUtf8(signed) ?? '')).toEqual(FILES[name]);
    const bytes = encodeTufFile(document.signed, document.signatures);
    expect(fromUtf8(bytes)).toMatch(/^\{"signatures":\[\{"keyid":.*\}$/);
    expect(decodeTufFile(name, bytes, 'again').signed).toEqual(document.signed);
  });

  test.each(ROLES)('%s keeps members it does not know', (name) => {
    const strange = { ...FILES[name], 'x-owner': { team: ['a', 1] } };
    const { signed } = decodeTufFile(name, file(strange), 'x');
    expect(signed.extra).toEqual({ 'x-owner': { team: ['a', 1] } });
    expect(JSON.parse(fromUtf8(encodeTufSigned(signed)) ?? '')).toEqual(strange);
  });

  test('unknown members of keys, roles, metas and targets are kept too', () => {
    const root = {
      ...FILES.root,
      keys: { [KEYID]: { ...key, 'x-note': 'hsm' } },
      roles: { root: { ...role, x: 1 }, targets: role, snapshot: role, timestamp: role, mirrors: role },
    };
    const snapshot = { ...FILES.snapshot, meta: { 'targets.json': { version: 1, x: 1 } } };
    const targets = { ...FILES.targets, targets: { a: { length: 0, hashes: { sha256: HASH }, x: [1] } } };
    for (const [name, json] of [
      ['root', root] as const,
      ['snapshot', snapshot] as const,
      ['targets', targets] as const,
    ]) {
      const { signed } = decodeTufFile(name, file(json), 'x');
      expect(JSON.parse(fromUtf8(encodeTufSigned(signed)) ?? '')).toEqual(json);
    }
  });

  test('signatures cover what stood in the file, whatever its spacing and member order', () => {
    const { signedBytes } = decodeTufFile('snapshot', file(FILES.snapshot), 'x');
    expect(fromUtf8(signedBytes)).toBe(
      '{"_type":"snapshot","expires":"2030-01-01T00:00:00Z","meta":{"targets.json":{"version":2}},' +
        '"spec_version":"1.0.33","version":3}',
    );
  });

  test('a key id is the SHA-256 of the canonical key', () => {
    const canonical = `{"keytype":"ed25519","keyval":{"public":"${'ab'.repeat(32)}"},"scheme":"ed25519"}`;
    expect(KEYID).toBe(createHash('sha256').update(canonical).digest('hex'));
    // By sha256sum over the canonical text.
    expect(
      tufKeyId(
        ed25519TufKey(Buffer.from('1d9a024348e413892aeeb8cc8449309c152f48177200ee61a02ae56f450c6480', 'hex')),
      ),
    ).toBe('7c97327b8879b0b9a6d7bd929e7fc0b918a0c7503d272d30dcb1734508c54cfb');
  });

  test('another wire dialect is another pair of functions', () => {
    const capital: TufDialect = {
      signed: (model) => ({
        ...standardDialect.signed(model),
        _type: model.role.charAt(0).toUpperCase() + model.role.slice(1),
      }),
      signature: ({ keyid, signature }) => ({
        keyid,
        method: 'ed25519',
        sig: Buffer.from(signature).toString('base64'),
      }),
    };
    const { signed, signatures } = decodeTufFile('targets', file(FILES.targets), 'x');
    const json = JSON.parse(fromUtf8(encodeTufFile(signed, signatures, capital)) ?? '') as {
      signed: JsonObject;
      signatures: JsonObject[];
    };
    expect(json.signed['_type']).toBe('Targets');
    expect(json.signatures).toEqual([
      { keyid: KEYID, method: 'ed25519', sig: Buffer.alloc(64).toString('base64') },
    ]);
  });

  test('custom data that clients sign differently is refused when writing, and named', () => {
    const model = (custom: JsonObject): TufTargets => ({
      ...decodeTufFile('targets', file(FILES.targets), 'x').signed,
      targets: new Map([['a', { length: 0, hashes: { sha256: HASH }, custom }]]),
    });
    for (const custom of [{ v: 1.5 }, { v: 'é' }, { v: 'a\nb' }]) {
      expect(() => encodeTufSigned(model(custom))).toThrow(
        expect.objectContaining({ code: 'input/not-canonical', data: { path: '/targets/a/custom/v' } }),
      );
    }
  });
});

describe('strict decoding', () => {
  const without = (name: TufRole, member: string): Record<string, unknown> => {
    const copy: Record<string, unknown> = { ...FILES[name] };
    Reflect.deleteProperty(copy, member);
    return copy;
  };
  const refused = (name: TufRole, bytes: Uint8Array): string => {
    try {
      decodeTufFile(name, bytes, 'the.file.json');
    } catch (error) {
      const { code, message } = error as { code: string; message: string };
      expect(code).toBe('trust/bad-metadata');
      expect(message).toContain('the.file.json');
      return message;
    }
    throw new Error('it was accepted');
  };

  const required = ROLES.flatMap((name) => Object.keys(FILES[name]).map((member) => [name, member] as const));
  test.each(required)('%s without %s is refused', (name, member) => {
    expect(refused(name, file(without(name, member)))).toContain(member);
  });

  test.each(required)('%s with a wrong type of %s is refused', (name, member) => {
    for (const value of [null, [], 'x', 1.5]) refused(name, file({ ...FILES[name], [member]: value }));
  });

  test.each(['Targets', 'root', 'TARGETS', ''])('targets with _type %j is refused', (_type) => {
    refused('targets', file({ ...FILES.targets, _type }));
  });

  test.each([
    '2030-01-01T00:00:00.000Z',
    '2030-01-01T00:00:00+00:00',
    '2030-01-01 00:00:00Z',
    '2030-02-30T00:00:00Z',
    '2030-01-01T24:00:00Z',
    '2030-13-01T00:00:00Z',
    '+12030-01-01T00:00:00Z',
    '2030-01-01T00:00:00z',
    ' 2030-01-01T00:00:00Z',
  ])('expires %s is refused', (expires) => {
    refused('timestamp', file({ ...FILES.timestamp, expires }));
  });

  test.each([0, -1, '1', 2 ** 53])('version %s is refused', (version) => {
    refused('timestamp', file({ ...FILES.timestamp, version }));
  });

  test.each(['2.0.0', '1', '1.0.0.0', '1.x', ''])('spec_version %j is refused', (spec_version) => {
    refused('timestamp', file({ ...FILES.timestamp, spec_version }));
  });

  const roles = { root: role, targets: role, snapshot: role, timestamp: role };
  test.each([
    ['a threshold of 0', { ...roles, root: { ...role, threshold: 0 } }],
    ['no threshold', { ...roles, root: { keyids: [KEYID] } }],
    ['a key id twice', { ...roles, root: { keyids: [KEYID, KEYID], threshold: 2 } }],
    ['key ids that are no texts', { ...roles, root: { keyids: [1], threshold: 1 } }],
    ['no timestamp role', { root: role, targets: role, snapshot: role }],
  ])('a root with %s is refused', (_, changed) => {
    refused('root', file({ ...FILES.root, roles: changed }));
  });

  test.each([
    { keytype: 1 },
    { scheme: undefined },
    { keyval: {} },
    { keyval: { public: 1 } },
    { keyval: 'ab' },
  ])('a key with %j is refused', (changed) => {
    refused('root', file({ ...FILES.root, keys: { [KEYID]: { ...key, ...changed } } }));
  });

  test.each([
    '../up',
    '/absolute',
    'a//b',
    'a/../b',
    './a',
    'a/',
    '',
    'back\\slash',
    'nul\0',
    `${'long/'.repeat(60)}../../x`,
  ])('the target name %j is refused', (name) => {
    refused(
      'targets',
      file({ ...FILES.targets, targets: { [name]: { length: 0, hashes: { sha256: HASH } } } }),
    );
    expect(targetNameProblem(name)).toBeDefined();
  });

  test.each([
    ['no length', { hashes: { sha256: HASH } }],
    ['a negative length', { length: -1, hashes: { sha256: HASH } }],
    ['a length that is text', { length: '1', hashes: { sha256: HASH } }],
    ['no hashes', { length: 1 }],
    ['empty hashes', { length: 1, hashes: {} }],
    ['an upper-case digest', { length: 1, hashes: { sha256: HASH.toUpperCase() } }],
    ['an odd digest', { length: 1, hashes: { sha256: 'abc' } }],
    ['custom data that is a list', { length: 1, hashes: { sha256: HASH }, custom: [] }],
  ])('a target with %s is refused', (_, target) => {
    refused('targets', file({ ...FILES.targets, targets: { a: target } }));
  });

  test('a timestamp that lists anything but the snapshot is refused', () => {
    const meta = { version: 1 };
    refused('timestamp', file({ ...FILES.timestamp, meta: {} }));
    refused('timestamp', file({ ...FILES.timestamp, meta: { 'targets.json': meta } }));
    refused('timestamp', file({ ...FILES.timestamp, meta: { 'snapshot.json': meta, 'x.json': meta } }));
  });

  test.each([
    ['not a list', {}],
    ['without keyid', [{ sig: '00' }]],
    ['without sig', [{ keyid: 'a' }]],
    ['not hexadecimal', [{ keyid: 'a', sig: 'zz' }]],
    ['two of one key', [...SIGNATURES, ...SIGNATURES]],
  ])('signatures that are %s are refused', (_, signatures) => {
    refused('snapshot', file(FILES.snapshot, signatures));
  });

  test.each([
    ['no JSON', 'hello'],
    ['a list', '[]'],
    ['no signed', '{"signatures":[]}'],
    ['a member twice', '{"signed":{},"signed":{},"signatures":[]}'],
  ])('%s is refused', (_, source) => {
    refused('root', utf8(source));
  });

  test.each(ROLES)('%s is read up to its limit and no further', (name) => {
    const bytes = file(FILES[name]);
    const padded = new Uint8Array(TUF_SIZE_LIMITS[name]).fill(0x20);
    padded.set(bytes);
    expect(decodeTufFile(name, padded, 'x').signed.version).toBe(3);
    const longer = new Uint8Array(TUF_SIZE_LIMITS[name] + 1).fill(0x20);
    longer.set(bytes);
    expect(() => decodeTufFile(name, longer, 'x')).toThrow(
      expect.objectContaining({ code: 'trust/metadata-too-large' }),
    );
  });
});

describe('times and names', () => {
  test('expires has seconds and nothing finer, and reads back', () => {
    expect(formatTufTime(0)).toBe('1970-01-01T00:00:00Z');
    expect(formatTufTime(-62_167_219_200)).toBe('0000-01-01T00:00:00Z');
    expect(formatTufTime(253_402_300_799)).toBe('9999-12-31T23:59:59Z');
    expect(formatTufTime(1893456000)).toBe('2030-01-01T00:00:00Z');
    expect(parseTufTime('2030-01-01T00:00:00Z')).toBe(1893456000);
  });

  test.each([0.5, NaN, 253_402_300_800, -62_167_219_201, 1e12, -1e14])(
    '%s seconds cannot be written',
    (seconds) => {
      expect(() => formatTufTime(seconds)).toThrow(expect.objectContaining({ code: 'input/bad-time' }));
    },
  );

  test('the digest stands before the last part of a target name', () => {
    expect(hashedTargetPath('release.json', HASH)).toBe(`${HASH}.release.json`);
    expect(hashedTargetPath('releases/1.0/release.json', HASH)).toBe(`releases/1.0/${HASH}.release.json`);
  });
});

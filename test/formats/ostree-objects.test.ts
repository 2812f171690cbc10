import { describe, expect, test } from 'vitest';
import type { Checksum } from '../../src/core/checksum.ts';
import {
  decodeCommit,
  decodeDirMeta,
  decodeDirTree,
  decodeFilezHeader,
  encodeCommit,
  encodeDirMeta,
  encodeDirTree,
  encodeFilezHeader,
} from '../../src/formats/ostree-objects.ts';
import { decodeSummary, encodeSummary } from '../../src/formats/ostree-summary.ts';

const SUM = 'ab'.repeat(32) as Checksum;
const stat = { uid: 1000, gid: 33, mode: 0o041777, xattrs: [{ name: 'user.a', value: Uint8Array.of(0, 1) }] };

describe('dirmeta', () => {
  test('has big-endian numbers, as libostree writes them', () => {
    expect(Buffer.from(encodeDirMeta({ uid: 1, gid: 2, mode: 0o40755, xattrs: [] })).toString('hex')).toBe(
      '0000000100000002000041ed',
    );
    expect(decodeDirMeta(encodeDirMeta(stat))).toEqual(stat);
  });

  test('of something that is not a directory is refused', () => {
    expect(() => decodeDirMeta(encodeDirMeta({ ...stat, mode: 0o100644 }))).toThrow(/not a directory/);
  });
});

describe('dirtree', () => {
  const file = (name: string) => ({ name, checksum: SUM });
  const directory = (name: string) => ({ name, tree: SUM, meta: SUM });

  test('comes back as it was', () => {
    const tree = { files: [file('a'), file('b')], directories: [directory('c')] };
    expect(decodeDirTree(encodeDirTree(tree))).toEqual(tree);
  });

  test.each(['..', '.', '', 'a/b'])('with the name %j is refused', (name) => {
    expect(() => decodeDirTree(encodeDirTree({ files: [file(name)], directories: [] }))).toThrow(/the name/);
    expect(() => decodeDirTree(encodeDirTree({ files: [], directories: [directory(name)] }))).toThrow(
      /the name/,
    );
  });

  test('that is not sorted, or has a name twice, is refused', () => {
    expect(() => decodeDirTree(encodeDirTree({ files: [file('b'), file('a')], directories: [] }))).toThrow(
      /not sorted/,
    );
    expect(() => decodeDirTree(encodeDirTree({ files: [file('a'), file('a')], directories: [] }))).toThrow(
      /not sorted/,
    );
  });
});

test('a commit comes back as it was', () => {
  const commit = {
    metadata: [['version', { signature: 's', value: '1' }] as const],
    parent: SUM,
    subject: 's',
    body: '',
    timestamp: 1_700_000_000,
    rootTree: SUM,
    rootMeta: SUM,
  };
  expect(decodeCommit(encodeCommit(commit))).toEqual(commit);
});

describe('.filez header', () => {
  const good = encodeFilezHeader(5, { ...stat, mode: 0o100644 });

  test('comes back as it was', () => {
    expect(decodeFilezHeader(good)).toEqual({
      size: 5,
      stat: { ...stat, mode: 0o100644 },
      symlinkTarget: '',
      dataOffset: good.length,
    });
  });

  test('of a device, or with a rdev, is refused', () => {
    expect(() => decodeFilezHeader(encodeFilezHeader(0, { ...stat, mode: 0o020666 }))).toThrow(
      /has mode 020666/,
    );
  });

  test('cut anywhere is refused', () => {
    for (let length = 0; length < good.length; length++) {
      expect(() => decodeFilezHeader(good.subarray(0, length)), `cut at ${length}`).toThrow();
    }
  });

  test('that claims to be endless is refused before anything is read', () => {
    expect(() => decodeFilezHeader(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0))).toThrow(
      /a header of 4294967295 bytes/,
    );
  });
});

test('a summary comes back as it was, sorted', () => {
  const ref = (name: string) => ({
    ref: name,
    commit: SUM,
    commitSize: 99,
    timestamp: 1_700_000_000,
    version: '1',
  });
  const summary = { refs: [ref('b'), ref('a')], deltas: [['x', SUM] as const], lastModified: 1_700_000_001 };
  expect(decodeSummary(encodeSummary(summary))).toEqual({ ...summary, refs: [ref('a'), ref('b')] });
});

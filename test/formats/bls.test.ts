import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { blsValue, formatBlsEntry, parseBlsEntry } from '../../src/formats/bls.ts';

describe('boot loader entries', () => {
  test('known keys come in libostree’s order, others behind them by name', () => {
    const text = formatBlsEntry([
      { key: 'fdtdir', value: '/d' },
      { key: 'initrd', value: '/i' },
      { key: 'aboot', value: '/a' },
      { key: 'linux', value: '/k' },
      { key: 'options', value: 'a  b="c d"' },
      { key: 'initrd', value: '/overlay' },
      { key: 'version', value: '1' },
      { key: 'title', value: 'An OS (ostree:0)' },
    ]);
    expect(text).toBe(
      'title An OS (ostree:0)\nversion 1\noptions a  b="c d"\nlinux /k\ninitrd /i\ninitrd /overlay\naboot /a\nfdtdir /d\n',
    );
  });

  test('what is written is read back', () => {
    const fields = fc.array(
      fc.record({
        key: fc.stringMatching(/^[a-z][a-z0-9_-]{0,10}$/),
        value: fc.stringMatching(/^[^\s][^\n\r\0]{0,30}$/),
      }),
    );
    fc.assert(
      fc.property(fields, (list) => {
        const text = formatBlsEntry(list);
        const read = parseBlsEntry(text);
        expect(formatBlsEntry(read)).toBe(text);
        expect(read).toHaveLength(list.length);
        for (const { key } of list) expect(blsValue(read, key)).toBe(blsValue(list, key));
      }),
    );
  });

  test('comments and empty lines are skipped, blanks and tabs separate', () => {
    expect(parseBlsEntry('# c\n\ntitle\t x y \nlinux   /k\n')).toEqual([
      { key: 'title', value: 'x y ' },
      { key: 'linux', value: '/k' },
    ]);
  });

  test('anything else is refused with its line', () => {
    expect(() => parseBlsEntry('title x\nlinux\n')).toThrow(/line 2: expected a key and a value/);
    expect(() => parseBlsEntry('=x y\n')).toThrow(/line 1: "=x" is not a key/);
    expect(() => parseBlsEntry('title x\r\n')).toThrow(/control character/);
    expect(() => parseBlsEntry('a '.repeat(40_000))).toThrow(/at most 65536/);
  });

  test('a value that would break the file is refused', () => {
    for (const value of ['', 'a\nb', ' a', 'a\0']) {
      expect(() => formatBlsEntry([{ key: 'options', value }])).toThrow(/cannot hold the key "options"/);
    }
  });
});

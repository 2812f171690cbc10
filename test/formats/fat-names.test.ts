/** 8.3 names beside long ones, against those that mtools gives. */
import { expect, test } from 'vitest';
import { fatTime } from '../../src/formats/fat-directory.ts';
import { isShortName, shortNameBytes, shortNameChecksum, shortNames } from '../../src/formats/fat-names.ts';

test.for([
  ['KERNEL8.IMG', 'KERNEL8.IMG'],
  ['config.txt', 'CONFIG.TXT'],
  ['Makefile', 'MAKEFILE'],
  ['The quick brown.fox', 'THEQUI~1.FOX'],
  ['bcm2711-rpi-4-b.dtb', 'BCM271~1.DTB'],
  ['vmlinuz-6.1.0', 'VMLINU~1.0'],
  ['a.b.c', 'AB~1.C'],
  ['.hidden', 'HIDDEN~1'],
  ['two words', 'TWOWOR~1'],
  ['a+b,c;d=e[f].x', 'A_B_C_~1.X'],
  ['text.html', 'TEXT~1.HTM'],
  ['名前', '__~1'],
  ['...a', 'A~1'],
  ['+', '_~1'],
])('%s is also %s', ([name, short]) => {
  expect(shortNames([name ?? ''])).toEqual([short]);
});

test('aliases avoid names that are there, before and after them', () => {
  expect(shortNames(['long name one', 'LONGNA~1', 'long name two', 'longna~2'])).toEqual([
    'LONGNA~3',
    'LONGNA~1',
    'LONGNA~4',
    'LONGNA~2',
  ]);
  const many = shortNames(Array.from({ length: 1200 }, (_, i) => `same beginning ${i}`));
  expect(new Set(many).size).toBe(1200);
  expect(many[8]).toBe('SAMEBE~9');
  expect(many[9]).toBe('SAMEB~10');
  expect(many[1199]).toBe('SAM~1200');
  expect(many.every(isShortName)).toBe(true);
});

test('the checksum ties a long name to its alias', () => {
  // Seen in file systems that mtools made.
  expect(shortNameChecksum(shortNameBytes('THEQUI~1.FOX'))).toBe(0x07);
  expect(shortNameChecksum(shortNameBytes('BCM271~1.DTB'))).toBe(0x51);
});

test('times are UTC, two seconds fine, from 1980 to 2107', () => {
  expect(fatTime(1_700_000_001)).toEqual({
    date: (43 << 9) | (11 << 5) | 14,
    time: (22 << 11) | (13 << 5) | 10,
  });
  expect(fatTime(0)).toEqual({ date: (1 << 5) | 1, time: 0 });
  expect(fatTime(1e11)).toEqual({ date: (127 << 9) | (12 << 5) | 31, time: (23 << 11) | (59 << 5) | 29 });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatCount,
  formatPercent,
  formatSpan,
  plural,
  printable,
  shellQuote,
  shortChecksum,
  shownPath,
} from '../../src/cli/format.ts';

describe('numbers', () => {
  it('gives sizes three digits and a binary unit', () => {
    expect([0, 1, 999, 1000, 1023, 1024, 1536, 10_239].map(formatBytes)).toEqual([
      '0 B',
      '1 B',
      '999 B',
      '0.98 KiB',
      '1.00 KiB',
      '1.00 KiB',
      '1.50 KiB',
      '10.0 KiB',
    ]);
    expect(formatBytes(621 * 1024 * 1024)).toBe('621 MiB');
    expect(formatBytes(1023.9 * 1024 * 1024)).toBe('1.00 GiB');
    expect(formatBytes(5 * 1024 ** 4)).toBe('5.00 TiB');
  });

  it('never writes a size wider than nine columns, below a thousand tebibytes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 999 * 1024 ** 4 }), (bytes) => {
        expect(formatBytes(bytes)).toMatch(
          /^(\d{1,3} B|\d\.\d\d [KMGT]iB|\d\d\.\d [KMGT]iB|\d{3} [KMGT]iB)$/,
        );
      }),
    );
  });

  it('groups thousands and counts in words', () => {
    expect([0, 999, 1000, 12_946, 1_234_567].map(formatCount)).toEqual([
      '0',
      '999',
      '1,000',
      '12,946',
      '1,234,567',
    ]);
    expect(plural(1, 'delta')).toBe('1 delta');
    expect(plural(0, 'delta')).toBe('0 deltas');
    expect(plural(2, 'entry', 'entries')).toBe('2 entries');
  });

  it('writes spans as people say them', () => {
    expect([0, 440, 9940, 9960, 59_400, 59_600, 185_000, 7_440_000].map(formatSpan)).toEqual([
      '0.0 s',
      '0.4 s',
      '9.9 s',
      '10 s',
      '59 s',
      '1 min 0 s',
      '3 min 5 s',
      '2 h 4 min',
    ]);
  });

  it('claims 100 % only for all of it', () => {
    expect(formatPercent(999, 1000)).toBe('99 %');
    expect(formatPercent(1000, 1000)).toBe('100 %');
    expect(formatPercent(1, 1000)).toBe('<1 %');
    expect(formatPercent(0, 1000)).toBe('0 %');
    expect(formatPercent(0, 0)).toBe('100 %');
    expect(formatPercent(3, 2)).toBe('150 %');
  });
});

describe('text', () => {
  it('shortens checksums and quotes for a shell', () => {
    expect(shortChecksum('0123456789abcdef')).toBe('0123456789');
    expect(shortChecksum('sha256:0123456789abcdef')).toBe('0123456789');
    expect(shellQuote('./release')).toBe('./release');
    expect(shellQuote("it's here")).toBe("'it'\\''s here'");
  });

  it('shows paths from here when they lie below', () => {
    expect(shownPath('/a/b/c', '/a')).toBe('./b/c');
    expect(shownPath('/a', '/a')).toBe('.');
    expect(shownPath('/b', '/a')).toBe('/b');
    expect(shownPath('/a..b', '/a')).toBe('/a..b');
  });

  it('lets nothing from a file name or a build steer the terminal', () => {
    expect(printable('a\x1b[2Jb\u202ec\r')).toBe('a\\u001b[2Jb\\u202ec\\u000d');
    expect(printable('two\nlines\tand Grüße 日本')).toBe('two\nlines\tand Grüße 日本');
  });
});

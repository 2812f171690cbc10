import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  configuredKernelArgs,
  kernelArgValue,
  replaceKernelArg,
  splitKernelArgs,
} from '../../src/boot/kernel-args.ts';

describe('kernel arguments', () => {
  test('quotes protect blanks, an open quote reaches to the end, inner double blanks stay', () => {
    expect(splitKernelArgs('  a b="c d" e')).toEqual(['a', 'b="c d"', 'e']);
    expect(splitKernelArgs('a "b c')).toEqual(['a', '"b c']);
    expect(splitKernelArgs('a  b ')).toEqual(['a', '', 'b']);
    expect(splitKernelArgs('')).toEqual([]);
  });

  test('splitting and joining keeps any command line, but for blanks at its ends', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', '=', ' ', '"') }), (text) => {
        expect(`${splitKernelArgs(text).join(' ')} `.trimEnd()).toBe(text.replace(/^ +/, '').trimEnd());
      }),
    );
  });

  test('replacing puts the value at the first place of its key and drops the others', () => {
    expect(replaceKernelArg(['a=1', 'b', 'a=2', 'ab=3'], 'a=9')).toEqual(['a=9', 'b', 'ab=3']);
    expect(replaceKernelArg(['a=1'], 'b=2')).toEqual(['a=1', 'b=2']);
    expect(replaceKernelArg(['quiet'], 'quiet')).toEqual(['quiet']);
  });

  test('the last value of a key counts', () => {
    expect(kernelArgValue(['init=/a', 'x', 'init=/b'], 'init')).toBe('/b');
    expect(kernelArgValue(['quiet'], 'quiet')).toBeUndefined();
    expect(kernelArgValue([], 'init')).toBeUndefined();
  });

  test('configured arguments may share an element and are kept in order', () => {
    expect(configuredKernelArgs(['console=ttyS0 quiet', 'dyndbg="file a.c +p"', ''])).toEqual([
      'console=ttyS0',
      'quiet',
      'dyndbg="file a.c +p"',
    ]);
  });
});

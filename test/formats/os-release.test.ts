import { expect, test } from 'vitest';
import { decodeOsRelease, osTitle } from '../../src/formats/os-release.ts';

const title = (text: string): string | undefined => osTitle(decodeOsRelease(text));

test('quoting is removed as a shell would, without expanding anything', () => {
  expect(title('PRETTY_NAME="A \\"quoted\\" \\$x \\n name"')).toBe('A "quoted" $x \\n name');
  expect(title("PRETTY_NAME='single \\ $x'")).toBe('single \\ $x');
  expect(title('PRETTY_NAME=a\\ b\'c\'"d"')).toBe('a bcd');
  expect(title('PRETTY_NAME=')).toBe('');
});

test('PRETTY_NAME wins over ID, and a repeated one is the last that counts', () => {
  expect(title('ID=x\nPRETTY_NAME=one\nPRETTY_NAME=two\n')).toBe('two');
  expect(title('ID=x\n')).toBe('x');
  expect(title('NAME=x\n')).toBeUndefined();
});

test('comments, lines without "=" and lines with an open quote are skipped', () => {
  expect(title('#PRETTY_NAME=no\nPRETTY_NAME\nPRETTY_NAME="open\nID=ok')).toBe('ok');
});

import { expect, test } from 'vitest';
import { parseFleet } from '../../src/release/fleet.ts';

test('lines, header, comments, quotes, blanks, CRLF and repeated versions', () => {
  const text =
    '\ufeffVersion,Count\r\n# counted on Monday\r\n1.4.0,1200\r\n\r\n "1.3.0" , "7" \r\n1.4.0,3\r\n0.9,0\r\n';
  expect([...parseFleet(text, 'fleet.csv')]).toEqual([
    ['1.4.0', 1203],
    ['1.3.0', 7],
    ['0.9', 0],
  ]);
});

test('an empty census is one', () => {
  expect(parseFleet('# nobody\n', 'fleet.csv').size).toBe(0);
});

test('every bad line is named with its place', () => {
  const text = 'version,count\n1.0,5\n1.1\n1.2,-3\n,4\nversion,count\n1.3,1.5\n1.4,5,6\n';
  expect(() => parseFleet(text, 'fleet.csv')).toThrow(
    expect.objectContaining({
      code: 'config/bad-fleet',
      message: [3, 4, 5, 6, 7, 8]
        .map((line) => {
          const found = text.split('\n')[line - 1] ?? '';
          return `fleet.csv:${line}: expected version,count such as 1.4.0,1200, found ${JSON.stringify(found)}`;
        })
        .join('\n'),
    }),
  );
});

test('of very many bad lines the first are named', () => {
  const text = 'x\n'.repeat(500);
  expect(() => parseFleet(text, 'f')).toThrow(/\nand 490 more$/);
});

import { expect, test } from 'vitest';
import type { DeltaDecision } from '../../src/delta/choose.ts';
import { chooseDeltas, rankDeltas } from '../../src/delta/choose.ts';

type Row = [name: string, devices: number, looseBytes: number, expectedBytes: number];

function candidates(rows: readonly Row[]) {
  return rows.map(([name, devices, looseBytes, expectedBytes]) => ({
    name,
    devices,
    looseBytes,
    expectedBytes,
    mustSave: name !== 'nothing',
  }));
}

const MB = 1e6;

const cases: [what: string, rows: Row[], budget: number | undefined, decisions: DeltaDecision[]][] = [
  ['nothing to choose from', [], undefined, []],
  [
    'without a budget everything that saves',
    [
      ['2.0', 1, 50 * MB, 5 * MB],
      ['1.0', 1, 60 * MB, 20 * MB],
    ],
    undefined,
    ['make', 'make'],
  ],
  [
    'what is clearly above the ratio is not made; what may be below it is',
    [
      ['2.0', 1, 50 * MB, 47 * MB],
      ['1.0', 1, 50 * MB, 45 * MB],
    ],
    undefined,
    ['too-large', 'make'],
  ],
  ['the delta from nothing need not save', [['nothing', 1, 50 * MB, 50 * MB]], undefined, ['make']],
  [
    'most saved per published byte first',
    [
      ['3.0', 1, 50 * MB, 5 * MB],
      ['2.0', 1, 50 * MB, 10 * MB],
      ['nothing', 1, 90 * MB, 60 * MB],
    ],
    12 * MB,
    ['make', 'over-budget', 'over-budget'],
  ],
  [
    'many devices outweigh a large delta',
    [
      ['3.0', 10, 50 * MB, 5 * MB],
      ['2.0', 5000, 50 * MB, 12 * MB],
    ],
    12 * MB,
    ['over-budget', 'make'],
  ],
  [
    'a smaller one still fits where a larger one did not',
    [
      ['3.0', 100, 50 * MB, 8 * MB],
      ['2.0', 50, 50 * MB, 9 * MB],
      ['1.0', 1, 50 * MB, 4 * MB],
    ],
    12 * MB,
    ['make', 'over-budget', 'make'],
  ],
  [
    'equal ones in the order given',
    [
      ['3.0', 1, 50 * MB, 5 * MB],
      ['2.0', 1, 50 * MB, 5 * MB],
      ['1.0', 1, 50 * MB, 5 * MB],
    ],
    11 * MB,
    ['make', 'make', 'over-budget'],
  ],
  [
    'one above the ratio takes nothing from the budget',
    [
      ['2.0', 1000, 10 * MB, 9.9 * MB],
      ['1.0', 1, 50 * MB, 10 * MB],
    ],
    10 * MB,
    ['too-large', 'make'],
  ],
  ['a budget exactly spent', [['1.0', 1, 50 * MB, 10 * MB]], 10 * MB, ['make']],
  ['a budget short by a byte', [['1.0', 1, 50 * MB, 10 * MB]], 10 * MB - 1, ['over-budget']],
];

test.each(cases)('%s', (_what, rows, budget, decisions) => {
  const chosen = chooseDeltas(candidates(rows), { maxRatio: 0.8, budget });
  expect(chosen.map(({ decision }) => decision)).toEqual(decisions);
  expect(chosen.map(({ name }) => name)).toEqual(rows.map(([name]) => name));
});

test('ranking leaves the input alone and is stable', () => {
  const rows = candidates([
    ['a', 1, 50 * MB, 20 * MB],
    ['b', 1, 50 * MB, 5 * MB],
    ['c', 1, 50 * MB, 5 * MB],
  ]);
  expect(rankDeltas(rows).map(({ name }) => name)).toEqual(['b', 'c', 'a']);
  expect(rows.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDuration } from '../../src/config/durations.ts';
import { branchProblem, toIdentifier, IDENTIFIER, versionProblem } from '../../src/config/names.ts';
import { editDistance, nearestName } from '../../src/config/suggest.ts';

describe('editDistance', () => {
  it('counts one for each kind of slip', () => {
    expect(editDistance('branch', 'branch')).toBe(0);
    expect(editDistance('brnch', 'branch')).toBe(1);
    expect(editDistance('braanch', 'branch')).toBe(1);
    expect(editDistance('bronch', 'branch')).toBe(1);
    expect(editDistance('barnch', 'branch')).toBe(1);
    expect(editDistance('', 'branch')).toBe(6);
  });

  it('is symmetric and never more than the longer word', () => {
    const word = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(editDistance(a, b) === 0).toBe(a === b);
      }),
    );
  });
});

describe('nearestName', () => {
  const keys = ['max-ratio', 'from-nothing', 'from', 'kargs'];
  it('sees through other habits of writing and small slips', () => {
    expect(nearestName('maxRatio', keys)).toBe('max-ratio');
    expect(nearestName('max_ratio', keys)).toBe('max-ratio');
    expect(nearestName('fromnothing', keys)).toBe('from-nothing');
    expect(nearestName('form', keys)).toBe('from');
  });

  it('stays silent when nothing is near', () => {
    expect(nearestName('colour', keys)).toBeUndefined();
    expect(nearestName('x', keys)).toBeUndefined();
  });
});

describe('names and durations', () => {
  it('gives the reason for a bad branch or version', () => {
    expect(branchProblem('gateway/stable-1.0_x')).toBeUndefined();
    expect(branchProblem('a//b')).toContain('empty part');
    expect(branchProblem('f'.repeat(64))).toContain('commit');
    expect(branchProblem('a/.b')).toContain('"."');
    expect(branchProblem('a b')).toContain('only letters');
    expect(branchProblem('x'.repeat(256))).toContain('longer');
    expect(versionProblem('2026.02-rc1+3~x')).toBeUndefined();
    expect(versionProblem('.1')).toContain('begin');
    expect(versionProblem('1 2')).toContain('only letters');
  });

  it('makes an identifier of any folder name, or says that it cannot', () => {
    expect(toIdentifier('My Gateway!')).toBe('my-gateway');
    expect(toIdentifier('Grün')).toBe('gru-n');
    expect(toIdentifier('日本')).toBeUndefined();
    fc.assert(
      fc.property(fc.string(), (text) => {
        const name = toIdentifier(text);
        expect(name === undefined || IDENTIFIER.test(name)).toBe(true);
      }),
    );
  });

  it('reads durations in seconds', () => {
    expect(['30m', '12h', '90d', '2w', '1y'].map(parseDuration)).toEqual([
      1800, 43_200, 7_776_000, 1_209_600, 31_536_000,
    ]);
    expect(['', '90', 'd', '-1d', '1.5h', '1 d', '1D', '0d'].map(parseDuration)).toEqual(
      Array(8).fill(undefined),
    );
  });
});

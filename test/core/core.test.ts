import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createBudget } from '../../src/core/budget.ts';
import { compareBytes, compareUtf8, concatBytes } from '../../src/core/bytes.ts';
import { checksumFromBytes, checksumToBytes, parseChecksum } from '../../src/core/checksum.ts';
import { forEachConcurrent } from '../../src/core/concurrency.ts';
import { formatLocation } from '../../src/core/diagnostics.ts';
import { TreewrightError, exitCodeOf } from '../../src/core/errors.ts';
import { filenameProblem, splitArchivePath } from '../../src/core/path.ts';
import { withoutCredentials } from '../../src/core/uri.ts';

describe('byte order', () => {
  test('compareUtf8 is the order of the UTF-8 bytes', () => {
    // Surrogates beside U+E000..U+FFFF are where UTF-16 order goes wrong.
    const unit = fc.constantFrom(
      'a',
      'b',
      '\u{7f}',
      'é',
      '\ud7ff',
      '\ue000',
      '\uffff',
      '\u{10000}',
      '\u{10ffff}',
    );
    const text = fc.array(unit, { maxLength: 6 }).map((units) => units.join(''));
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
        expect(Math.sign(compareBytes(Buffer.from(a), Buffer.from(b)))).toBe(Math.sign(compareUtf8(a, b)));
      }),
      { numRuns: 2000 },
    );
  });

  test('concatBytes keeps the order', () => {
    expect(concatBytes([Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3)])).toEqual(
      Uint8Array.of(1, 2, 3),
    );
  });
});

describe('checksums', () => {
  test('bytes and digits are the same thing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const checksum = checksumFromBytes(bytes);
        expect(checksum).toBe(Buffer.from(bytes).toString('hex'));
        expect(checksumToBytes(parseChecksum(checksum))).toEqual(bytes);
      }),
    );
  });

  test.each(['', 'AB'.repeat(32), 'a'.repeat(63), 'a'.repeat(65), 'g'.repeat(64), `${'a'.repeat(64)}\n`])(
    '%j is refused',
    (text) => {
      expect(() => parseChecksum(text, 'commit')).toThrow(/commit must be 64/);
    },
  );
});

describe('errors', () => {
  test('the domain of the code decides the exit code', () => {
    expect(exitCodeOf(new TreewrightError('trust/bad-signature', ''))).toBe(5);
    expect(exitCodeOf(new TreewrightError('network/failed', ''))).toBe(7);
    expect(exitCodeOf(new Error('anything'))).toBe(1);
    expect(exitCodeOf(Object.assign(new TreewrightError('input/x', ''), { code: 'nonsense/x' }))).toBe(1);
  });

  test('a location says where', () => {
    expect(formatLocation({ kind: 'text', file: 'a.yaml', line: 3, column: 7 })).toBe('a.yaml:3:7');
    expect(formatLocation({ kind: 'offset', file: 'a.tar', offset: 512 })).toBe('a.tar+0x200');
  });
});

describe('paths of archive members', () => {
  test.each([
    ['./usr//bin/', ['usr', 'bin']],
    ['/etc/passwd', ['etc', 'passwd']],
    ['./', []],
    ['a/./b', ['a', 'b']],
  ])('%s', (path, parts) => {
    expect(splitArchivePath(path)).toEqual(parts);
  });

  test.each(['../etc/passwd', 'usr/../../etc', 'a/..', 'a\0b', '\ud800'])('%j is refused', (path) => {
    expect(() => splitArchivePath(path)).toThrow(TreewrightError);
  });

  test('file names', () => {
    expect(filenameProblem('lib.so.1')).toBeUndefined();
    expect(filenameProblem('..')).toBeDefined();
    expect(filenameProblem('a/b')).toBeDefined();
  });
});

describe('a budget', () => {
  test('is never exceeded but by a single request larger than all of it', async () => {
    const budget = createBudget(10);
    expect(budget.take(8)).toBe(true);
    expect(budget.take(3)).toBe(false);
    const order: string[] = [];
    const three = budget.wait(3).then(() => order.push('three'));
    const hundred = budget.wait(100).then(() => order.push('hundred'));
    expect(budget.take(1), 'nobody overtakes who waits').toBe(false);
    budget.give(8);
    await three;
    expect(order).toEqual(['three']);
    budget.give(3);
    await hundred;
    expect(order).toEqual(['three', 'hundred']);
    expect(budget.take(1)).toBe(false);
    budget.give(100);
    expect(budget.take(1)).toBe(true);
  });
});

describe('forEachConcurrent', () => {
  test('runs at most so many at once, and all of them', async () => {
    let running = 0;
    let most = 0;
    const seen: number[] = [];
    await forEachConcurrent([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 2));
      running--;
      seen.push(item);
    });
    expect(most).toBe(3);
    expect(seen.sort()).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test('starts nothing after a failure, and throws it', async () => {
    const started: number[] = [];
    await expect(
      forEachConcurrent([1, 2, 3, 4], 1, async (item) => {
        started.push(item);
        await Promise.resolve();
        if (item === 2) throw new Error('two');
      }),
    ).rejects.toThrow('two');
    expect(started).toEqual([1, 2]);
  });
});

test('an address keeps its host and path, and a name that everybody uses, but nothing that lets one in', () => {
  const shown = [
    ['https://me:secret@git.example/linux.git', 'https://git.example/linux.git'],
    ['https://ghp_token@github.com/a/b', 'https://github.com/a/b'],
    ['https://me:p@ss@git.example/x', 'https://git.example/x'],
    ['ssh://git@git.example/x', 'ssh://git@git.example/x'],
    ['git+ssh://git:secret@git.example:22/x', 'git+ssh://git@git.example:22/x'],
    ['https://git.example/a@b', 'https://git.example/a@b'],
    ['git@git.example:x.git', 'git@git.example:x.git'],
    ['/a/directory', '/a/directory'],
  ] as const;
  for (const [uri, expected] of shown) expect(withoutCredentials(uri), uri).toBe(expected);
});

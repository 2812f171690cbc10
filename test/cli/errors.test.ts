import { readFile } from 'node:fs/promises';
import pc from 'picocolors';
import { describe, expect, it } from 'vitest';
import { TreewrightError } from '../../src/core/errors.ts';
import { describeFailure, failureJson, failureText } from '../../src/cli/errors.ts';

const plain = pc.createColors(false);

describe('describeFailure', () => {
  it('takes code, data and hint from a coded error', () => {
    const failure = describeFailure(
      new TreewrightError('trust/bad-signature', 'the signature is wrong', {
        data: { path: 'summary.sig', hint: 'ask' },
      }),
    );
    expect(failureJson(failure)).toEqual({
      code: 'trust/bad-signature',
      message: 'the signature is wrong',
      hint: 'ask',
      data: { path: 'summary.sig' },
    });
    expect(failure.exitCode).toBe(5);
    expect(failureText(failure, plain, false)).toBe(
      'error: the signature is wrong [trust/bad-signature]\n  at: summary.sig\n  hint: ask\n',
    );
  });

  it('does not say twice where it was', () => {
    const failure = describeFailure(
      new TreewrightError('input/x', 'cannot read rootfs.tar', { data: { path: 'rootfs.tar' } }),
    );
    expect(failureText(failure, plain, false)).toBe('error: cannot read rootfs.tar [input/x]\n');
  });

  it('explains what the operating system refuses, with its own exit code', async () => {
    const missing: unknown = await readFile('/nonexistent/file').catch((error: unknown) => error);
    expect(describeFailure(missing)).toMatchObject({
      code: 'input/not-found',
      message: '/nonexistent/file: no such file or directory (ENOENT)',
      data: { errno: 'ENOENT', path: '/nonexistent/file' },
      exitCode: 4,
    });
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    expect(describeFailure(full)).toMatchObject({ code: 'input/no-space', exitCode: 4 });
    // A file where a directory is to be made, such as `release --output README.md`.
    const there = Object.assign(new Error('EEXIST: file already exists, mkdir'), {
      code: 'EEXIST',
      path: 'x',
    });
    expect(describeFailure(there)).toMatchObject({ code: 'input/exists', exitCode: 4 });
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    expect(describeFailure(refused)).toMatchObject({ code: 'network/unreachable', exitCode: 7 });
  });

  it('calls the rest a bug and says what to report', () => {
    for (const thrown of [new TypeError('x is not a function'), 'text', undefined, { code: 'ENOENT' }]) {
      const failure = describeFailure(thrown);
      expect(failure).toMatchObject({ code: 'internal/unexpected', exitCode: 1 });
      expect(failure.hint).toContain('report');
    }
    expect(describeFailure(new TreewrightError('internal/no-task', 'x')).hint).toContain('bug');
  });

  it('shows the stack with its causes only when asked', () => {
    const failure = describeFailure(
      new TreewrightError('tool/failed', 'xz failed', { cause: new Error('the inner reason') }),
    );
    expect(failureText(failure, plain, false)).toBe('error: xz failed [tool/failed]\n');
    const verbose = failureText(failure, plain, true);
    expect(verbose).toContain('caused by: Error: the inner reason');
    expect(verbose).toContain('errors.test.ts');
  });

  it('lets no message steer the terminal', () => {
    const failure = describeFailure(new TreewrightError('input/x', 'bad name \x1b[31mred'));
    expect(failureText(failure, plain, false)).toContain('\\u001b[31m');
  });
});

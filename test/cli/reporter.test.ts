import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Diagnostic } from '../../src/core/diagnostics.ts';
import type { Event } from '../../src/core/events.ts';
import { cut, width } from '../../src/cli/reporter-live.ts';
import { createReporter } from '../../src/cli/reporter.ts';
import type { Output } from '../../src/cli/terminal.ts';
import { createScreen } from './screen.ts';

const MIB = 1024 * 1024;
const UTF8 = { LANG: 'C.UTF-8' };

const warning: Diagnostic = {
  severity: 'warning',
  code: 'input/no-machine-id',
  message: 'there is no /etc/machine-id',
  where: { kind: 'path', path: '/etc/machine-id' },
};

function progress(done: number, total?: number, unit: 'bytes' | 'items' = 'bytes'): Event {
  return {
    type: 'progress',
    stage: 'repo',
    what: 'objects',
    done,
    unit,
    ...(total === undefined ? {} : { total }),
  };
}

/** A stream that is no terminal. */
function createLog(): Output & { text: () => string } {
  let text = '';
  return {
    write: (piece) => {
      text += piece;
    },
    text: () => text,
  };
}

describe('the plain log', () => {
  it('has one line for the beginning of a stage, one for its end, and few in between', () => {
    const log = createLog();
    let now = 0;
    const reporter = createReporter(
      { stdout: log, stderr: log, env: {} },
      { json: false, quiet: false },
      () => now,
    );
    reporter.events({ type: 'stage', stage: 'repo', title: 'Writing objects' });
    for (; now <= 12_000; now += 10) reporter.events(progress(now * 1000, 12 * MIB));
    reporter.events({ type: 'diagnostic', diagnostic: warning });
    reporter.events({ type: 'diagnostic', diagnostic: { ...warning } });
    reporter.events({ type: 'done', stage: 'repo', summary: '5 of 9 objects written' });
    reporter.close(true);
    expect(log.text()).toBe(`repo: Writing objects
repo:   objects 4.77 MiB of 12.0 MiB (40 %)
repo:   objects 9.54 MiB of 12.0 MiB (79 %)
warning: /etc/machine-id: there is no /etc/machine-id [input/no-machine-id]
repo: 5 of 9 objects written (12 s)
`);
    expect(reporter.diagnostics).toEqual([warning]);
  });

  it('is what a dumb terminal and a CI log get, too', () => {
    for (const env of [{ TERM: 'dumb' }, { CI: 'true' }]) {
      const screen = createScreen();
      const reporter = createReporter(
        { stdout: screen, stderr: screen, env },
        { json: false, quiet: false },
        () => 0,
      );
      reporter.events({ type: 'stage', stage: 'repo', title: 'Writing objects' });
      reporter.events({ type: 'done', stage: 'repo', summary: 'done' });
      reporter.close(true);
      expect(screen.raw()).toBe('repo: Writing objects\nrepo: done (0.0 s)\n');
    }
  });

  it('shows progress without an end, and cannot be steered by a title', () => {
    const log = createLog();
    let now = 0;
    const reporter = createReporter(
      { stdout: log, stderr: log, env: {} },
      { json: false, quiet: false },
      () => now,
    );
    reporter.events(progress(1));
    now = 6000;
    reporter.events(progress(1234, undefined, 'items'));
    reporter.events({ type: 'stage', stage: 'tree', title: 'evil\x1b[2J' });
    expect(log.text()).toBe('repo:   objects 1,234\ntree: evil\\u001b[2J\n');
  });
});

describe('quiet and json', () => {
  it('quiet shows warnings and errors only', () => {
    const log = createLog();
    const reporter = createReporter(
      { stdout: log, stderr: log, env: {} },
      { json: false, quiet: true },
      () => 0,
    );
    reporter.events({ type: 'stage', stage: 'repo', title: 'Writing objects' });
    reporter.events({ type: 'diagnostic', diagnostic: { ...warning, severity: 'note' } });
    reporter.events({ type: 'diagnostic', diagnostic: warning });
    expect(log.text()).toBe('warning: /etc/machine-id: there is no /etc/machine-id [input/no-machine-id]\n');
    expect(reporter.diagnostics).toHaveLength(2);
  });

  it('json shows nothing and keeps the diagnostics', () => {
    const screen = createScreen();
    const terminal = { stdout: screen, stderr: screen, env: UTF8 };
    const reporter = createReporter(terminal, { json: true, quiet: false }, () => 0);
    reporter.events({ type: 'stage', stage: 'repo', title: 'Writing objects' });
    reporter.events({ type: 'diagnostic', diagnostic: warning });
    reporter.close(false);
    expect(screen.raw()).toBe('');
    expect(reporter.diagnostics).toEqual([warning]);
  });
});

describe('the live view', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const live = (columns: number, env: Record<string, string> = UTF8) => {
    const screen = createScreen(columns);
    const reporter = createReporter(
      { stdout: screen, stderr: screen, env },
      { json: false, quiet: false },
      () => performance.now(),
    );
    return { screen, reporter };
  };

  it('draws the stages at work, lets finished ones scroll away, and gives the cursor back', () => {
    const { screen, reporter } = live(100);
    reporter.events({ type: 'stage', stage: 'sources', title: 'Reading the build output' });
    vi.advanceTimersByTime(200);
    expect(screen.cursorVisible()).toBe(false);
    expect(screen.lines()).toEqual(['⠹ sources  Reading the build output']);

    reporter.events({ type: 'done', stage: 'sources', summary: '12,946 files' });
    reporter.events({ type: 'stage', stage: 'repo', title: 'Writing objects' });
    reporter.events(progress(0, 100 * MIB));
    reporter.events({ type: 'stage', stage: 'delta', title: 'Comparing' });
    vi.advanceTimersByTime(1000);
    reporter.events(progress(25 * MIB, 100 * MIB));
    vi.advanceTimersByTime(100);
    expect(screen.lines()).toEqual([
      '✓ sources  12,946 files  0.2 s',
      '⠸ repo     Writing objects  ━━━━━━──────────────────  25 %  25.0 MiB of 100 MiB  25.0 MiB/s',
      '⠸ delta    Comparing',
    ]);

    reporter.events({ type: 'diagnostic', diagnostic: warning });
    vi.advanceTimersByTime(2000);
    expect(screen.lines()).toEqual([
      '✓ sources  12,946 files  0.2 s',
      'warning: /etc/machine-id: there is no /etc/machine-id [input/no-machine-id]',
      '⠸ repo     Writing objects  ━━━━━━──────────────────  25 %  25.0 MiB of 100 MiB  25.0 MiB/s',
      '⠸ delta    Comparing  3.1 s',
    ]);

    reporter.events({ type: 'done', stage: 'repo', summary: '5 of 9 objects written' });
    reporter.close(true);
    expect(screen.lines()).toEqual([
      '✓ sources  12,946 files  0.2 s',
      'warning: /etc/machine-id: there is no /etc/machine-id [input/no-machine-id]',
      '✓ repo     5 of 9 objects written  3.1 s',
      '✓ delta    Comparing  3.1 s',
    ]);
    expect(screen.cursorVisible()).toBe(true);
    const before = screen.raw();
    vi.advanceTimersByTime(1000);
    expect(screen.raw()).toBe(before);
  });

  it('ends a stage that counts nothing when the next one begins', () => {
    const { screen, reporter } = live(80);
    reporter.events({ type: 'stage', stage: 'tree', title: 'Arranging the tree' });
    vi.advanceTimersByTime(500);
    reporter.events({ type: 'stage', stage: 'repo', title: 'Writing objects' });
    vi.advanceTimersByTime(100);
    expect(screen.lines()).toEqual(['✓ tree     Arranging the tree  0.5 s', '⠦ repo     Writing objects']);
    reporter.close(true);
  });

  it('redraws at most ten times a second, however many events come', () => {
    const { screen, reporter } = live(80);
    reporter.events({ type: 'stage', stage: 'repo', title: 'Writing objects' });
    const before = screen.writes();
    for (let i = 0; i < 10_000; i++) {
      reporter.events(progress(i, 10_000, 'items'));
      if (i % 10 === 0) vi.advanceTimersByTime(1);
    }
    expect(screen.writes() - before).toBe(10);
    reporter.close(true);
  });

  it('never lets a line wrap, whatever the width, the title and the numbers', () => {
    for (const columns of [20, 33, 40, 59, 61, 79, 200]) {
      const { screen, reporter } = live(columns);
      reporter.events({
        type: 'stage',
        stage: 'repo',
        title: `Writing ${'many '.repeat(30)}日本語のファイル`,
      });
      reporter.events(progress(0, 999 * MIB));
      vi.advanceTimersByTime(1000);
      reporter.events(progress(500 * MIB, 999 * MIB));
      vi.advanceTimersByTime(100);
      expect(screen.lines(), `${columns} columns`).toHaveLength(1);
      reporter.events({ type: 'done', stage: 'repo', summary: 'x'.repeat(300) });
      reporter.close(true);
      expect(screen.lines(), `${columns} columns`).toHaveLength(1);
    }
  });

  it('clears what a terminal made narrower has wrapped', () => {
    const { screen, reporter } = live(120);
    reporter.events({ type: 'stage', stage: 'repo', title: 'a'.repeat(200) });
    vi.advanceTimersByTime(100);
    // Such a terminal shows the line in three rows now, and the cursor below them.
    screen.columns = 40;
    screen.write('\n\n');
    vi.advanceTimersByTime(100);
    expect(screen.raw()).toContain('\x1b[3A');
    reporter.close(true);
  });

  it('marks what was not finished when the work failed', () => {
    const { screen, reporter } = live(80);
    reporter.events({ type: 'stage', stage: 'repo', title: 'Writing objects' });
    reporter.close(false);
    expect(screen.lines()).toEqual(['· repo     Writing objects  0.0 s']);
    expect(screen.cursorVisible()).toBe(true);
  });

  it('keeps to ASCII where the locale has no more, and to no colour with NO_COLOR', () => {
    const { screen, reporter } = live(100, { LANG: 'C', NO_COLOR: '1' });
    reporter.events({ type: 'stage', stage: 'repo', title: 'Writing objects' });
    reporter.events(progress(1, 2, 'items'));
    vi.advanceTimersByTime(100);
    reporter.events({ type: 'done', stage: 'repo', summary: 'ok' });
    reporter.close(true);
    expect(screen.raw()).toMatch(/^[\x00-\x7f]*$/);
    expect(screen.raw()).not.toContain('m*');
    expect(screen.raw()).not.toMatch(/\x1b\[\d+m/);
  });

  it('colours a terminal without NO_COLOR', () => {
    const { screen, reporter } = live(100);
    reporter.events({ type: 'done', stage: 'repo', summary: 'ok' });
    reporter.close(true);
    expect(screen.raw()).toMatch(/\x1b\[32m✓/);
  });
});

describe('width and cut', () => {
  it('count columns, not characters', () => {
    expect(width('abc')).toBe(3);
    expect(width('日本')).toBe(4);
    expect(width('e\u0301')).toBe(1);
    expect(width('🚀')).toBe(2);
  });

  it('keep within the room and say that something is missing', () => {
    expect(cut('abcdef', 6, '…')).toBe('abcdef');
    expect(cut('abcdef', 4, '…')).toBe('abc…');
    expect(cut('日本語', 4, '…')).toBe('日…');
    expect(cut('two\nlines', 20, '…')).toBe('two lines');
    expect(cut('abc', 0, '…')).toBe('');
  });
});

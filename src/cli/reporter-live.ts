/**
 * The view on a terminal: finished stages scroll away above, the ones at work are redrawn below.
 *
 * Only complete lines narrower than the terminal are drawn, so that "up n lines, clear to the end" always
 * removes what was drawn before.
 */
import type { Event, Stage } from '../core/events.ts';
import { diagnosticLine } from './diagnostic-line.ts';
import { formatBytes, formatCount, formatPercent, formatSpan, printable } from './format.ts';
import type { Clock, View } from './reporter.ts';
import type { Output, Paint } from './terminal.ts';

const ESC = '\x1b[';
const HIDE_CURSOR = `${ESC}?25l`;
const SHOW_CURSOR = `${ESC}?25h`;
const CLEAR_BELOW = `${ESC}0J`;

/** Milliseconds between two drawings. */
const FRAME = 100;

/** Rates are averaged over about this many milliseconds. */
const RATE_WINDOW = 3000;

const SYMBOLS = {
  unicode: {
    spinner: ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'],
    done: '✓',
    open: '·',
    full: '━',
    empty: '─',
    cut: '…',
  },
  ascii: { spinner: ['|', '/', '-', '\\'], done: '*', open: '.', full: '#', empty: '.', cut: '>' },
} as const;

interface StageView {
  readonly stage: Stage;
  readonly since: number;
  title: string;
  progress?: Event & { type: 'progress' };
  rate: number;
  sampled: { at: number; done: number } | undefined;
}

export interface LiveOptions {
  readonly paint: Paint;
  readonly clock: Clock;
  readonly unicode: boolean;
}

export function liveReporter(output: Output, { paint, clock, unicode }: LiveOptions): View {
  const symbols = unicode ? SYMBOLS.unicode : SYMBOLS.ascii;
  const active = new Map<Stage, StageView>();
  let drawn: string[] = [];
  let frame = 0;
  let timer: NodeJS.Timeout | undefined;

  const columns = (): number => Math.max(output.columns ?? 80, 20);
  const restore = (): void => void output.write(SHOW_CURSOR);

  const eraseSequence = (): string => {
    // A terminal made narrower has wrapped the lines drawn before.
    const rows = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(width(line) / columns())), 0);
    drawn = [];
    return rows === 0 ? '' : `\r${ESC}${rows}A${CLEAR_BELOW}`;
  };

  const draw = (above = ''): void => {
    let text = eraseSequence() + above;
    const space = Math.max((output.rows ?? 24) - 2, 1);
    for (const view of [...active.values()].slice(-space)) {
      const line = stageLine(view, symbols, frame, columns() - 1, clock());
      drawn.push(line.plain);
      text += `${line.paint(paint)}\n`;
    }
    if (text !== '') output.write(text);
  };

  const start = (): void => {
    if (timer !== undefined) return;
    output.write(HIDE_CURSOR);
    process.once('exit', restore);
    timer = setInterval(() => {
      frame++;
      draw();
    }, FRAME);
    timer.unref();
  };

  const begin = (stage: Stage, title?: string): StageView => {
    start();
    const known = active.get(stage);
    if (known) {
      if (title !== undefined && title !== known.title) {
        known.title = title;
        delete known.progress;
        known.sampled = undefined;
      }
      return known;
    }
    const view: StageView = { stage, since: clock(), title: title ?? '', rate: 0, sampled: undefined };
    active.set(stage, view);
    return view;
  };

  const finished = ({ stage, since }: StageView, text: string, symbol: string): string => {
    const time = formatSpan(clock() - since);
    const head = `${symbol} ${stage.padEnd(8)} `;
    const room = columns() - 1 - head.length - time.length - 2;
    const body = cut(printable(text), room, symbols.cut);
    const mark = symbol === symbols.done ? paint.green(symbol) : paint.yellow(symbol);
    return `${mark} ${paint.bold(stage.padEnd(8))} ${body}  ${paint.dim(time)}\n`;
  };

  /** A stage that counts nothing has no end of its own: it is over when another one begins. */
  const succeed = (next: Stage): void => {
    let over = '';
    for (const view of active.values()) {
      if (view.stage === next || view.progress !== undefined) continue;
      active.delete(view.stage);
      over += finished(view, view.title, symbols.done);
    }
    if (over !== '') draw(over);
  };

  return {
    events: (event: Event) => {
      switch (event.type) {
        case 'stage':
          succeed(event.stage);
          begin(event.stage, printable(event.title));
          return;
        case 'progress':
          measure(begin(event.stage), event, clock());
          return;
        case 'done': {
          const view = begin(event.stage);
          active.delete(event.stage);
          draw(finished(view, event.summary, symbols.done));
          return;
        }
        case 'diagnostic':
          draw(`${diagnosticLine(event.diagnostic, paint)}\n`);
          return;
      }
    },
    close: (ok) => {
      let left = '';
      for (const view of active.values()) {
        left += finished(view, view.title, ok ? symbols.done : symbols.open);
      }
      active.clear();
      draw(left);
      if (timer === undefined) return;
      clearInterval(timer);
      timer = undefined;
      process.removeListener('exit', restore);
      restore();
    },
  };
}

/** Takes a progress event into account; the rate is an exponential average, so that it neither jumps nor sticks. */
function measure(view: StageView, event: Event & { type: 'progress' }, now: number): void {
  const last = view.sampled;
  const restarted =
    view.progress !== undefined && (view.progress.what !== event.what || event.done < view.progress.done);
  view.progress = event;
  if (last === undefined || restarted) {
    view.sampled = { at: now, done: event.done };
    view.rate = 0;
    return;
  }
  const span = now - last.at;
  if (span < FRAME) return;
  const current = ((event.done - last.done) * 1000) / span;
  const weight = 1 - Math.exp(-span / RATE_WINDOW);
  view.rate = view.rate === 0 ? current : view.rate + weight * (current - view.rate);
  view.sampled = { at: now, done: event.done };
}

interface Line {
  readonly plain: string;
  paint(paint: Paint): string;
}

/** One line of at most `room` columns; on a narrow terminal the bar goes first, then the rate, then the title. */
function stageLine(
  view: StageView,
  symbols: (typeof SYMBOLS)[keyof typeof SYMBOLS],
  frame: number,
  room: number,
  now: number,
): Line {
  const spinner = symbols.spinner[frame % symbols.spinner.length] ?? '';
  const name = view.stage.padEnd(8);
  let numbers = '';
  let bar = '';
  let filled = '';
  const { progress } = view;
  if (progress !== undefined) {
    const amount = progress.unit === 'bytes' ? formatBytes : formatCount;
    const { done, total } = progress;
    numbers = total === undefined ? amount(done) : `${amount(done)} of ${amount(total)}`;
    if (total !== undefined) numbers = `${formatPercent(done, total).padStart(5)}  ${numbers}`;
    const withRate = view.rate > 0 ? `${numbers}  ${amount(view.rate)}/s` : numbers;
    if (room >= 60) numbers = withRate;
    if (total !== undefined && total > 0 && room >= 76) {
      const length = Math.min(24, room - 52);
      const full = Math.min(length, Math.floor((done / total) * length));
      filled = symbols.full.repeat(full);
      bar = symbols.empty.repeat(length - full);
    }
  } else {
    const span = now - view.since;
    if (span >= 2000) numbers = formatSpan(span);
  }
  const right = [filled + bar, numbers].filter((part) => part !== '').join(' ');
  const head = spinner.length + 1 + name.length + 1;
  const title = cut(view.title, room - head - (right === '' ? 0 : right.length + 2), symbols.cut);
  const gap = right === '' ? '' : '  ';
  const plain = cut(`${spinner} ${name} ${title}${gap}${right}`, room, symbols.cut);
  const whole = `${spinner} ${name} ${title}${gap}${right}`;
  return {
    plain,
    paint: (paint) =>
      plain === whole
        ? `${paint.cyan(spinner)} ${paint.bold(name)} ${title}${gap}${paint.green(filled)}${paint.dim(bar)}${filled + bar === '' ? '' : ' '}${numbers}`
        : plain,
  };
}

/** Columns of a text: East Asian wide characters and emoji take two, combining marks none. */
export function width(text: string): number {
  let columns = 0;
  for (const character of text) {
    if (/\p{Mn}|\p{Me}|\p{Cf}/u.test(character)) continue;
    columns +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return columns;
}

/** The text in at most `room` columns, with a sign that something is missing. */
export function cut(text: string, room: number, sign: string): string {
  const line = text.replace(/\s+/g, (space) => (space.includes('\n') || space.includes('\t') ? ' ' : space));
  if (width(line) <= room) return line;
  if (room < 1) return '';
  let kept = '';
  let columns = 0;
  for (const character of line) {
    const next = width(character);
    if (columns + next > room - 1) break;
    kept += character;
    columns += next;
  }
  return kept + sign;
}

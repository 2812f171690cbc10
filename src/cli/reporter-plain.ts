/** The log for files, pipes and CI: one line when a stage begins, one when it ends, few in between. */
import type { Event, Stage } from '../core/events.ts';
import { diagnosticLine } from './diagnostic-line.ts';
import { formatBytes, formatCount, formatPercent, formatSpan, printable } from './format.ts';
import type { Clock, View } from './reporter.ts';
import type { Output, Paint } from './terminal.ts';

/** A log grows by at most one progress line of a stage in this many milliseconds. */
const PROGRESS_INTERVAL = 5000;

interface StageState {
  readonly since: number;
  lastLine: number;
}

export function plainReporter(output: Output, { paint, clock }: { paint: Paint; clock: Clock }): View {
  const stages = new Map<Stage, StageState>();
  const line = (stage: Stage, text: string): void => {
    output.write(`${stage}: ${printable(text)}\n`);
  };
  const begin = (stage: Stage): StageState => {
    const now = clock();
    const state = stages.get(stage) ?? { since: now, lastLine: now };
    stages.set(stage, state);
    return state;
  };
  return {
    events: (event: Event) => {
      switch (event.type) {
        case 'stage':
          begin(event.stage).lastLine = clock();
          line(event.stage, event.title);
          return;
        case 'progress': {
          const state = begin(event.stage);
          const now = clock();
          if (now - state.lastLine < PROGRESS_INTERVAL) return;
          state.lastLine = now;
          line(event.stage, `  ${event.what} ${progressText(event)}`);
          return;
        }
        case 'done': {
          const { since } = begin(event.stage);
          stages.delete(event.stage);
          line(event.stage, `${event.summary} (${formatSpan(clock() - since)})`);
          return;
        }
        case 'diagnostic':
          output.write(`${diagnosticLine(event.diagnostic, paint)}\n`);
          return;
      }
    },
    close: () => undefined,
  };
}

/** `120 MiB of 621 MiB (19 %)`, or without the end when that is not known. */
export function progressText(event: Event & { type: 'progress' }): string {
  const amount = event.unit === 'bytes' ? formatBytes : formatCount;
  if (event.total === undefined) return amount(event.done);
  return `${amount(event.done)} of ${amount(event.total)} (${formatPercent(event.done, event.total)})`;
}

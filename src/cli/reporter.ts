/** Turns the library's events into what a person or a log file sees, on standard error. */
import type { Diagnostic } from '../core/diagnostics.ts';
import type { Event, EventSink } from '../core/events.ts';
import { diagnosticLine } from './diagnostic-line.ts';
import { liveReporter } from './reporter-live.ts';
import { plainReporter } from './reporter-plain.ts';
import type { Terminal } from './terminal.ts';
import { canRedraw, hasUnicode, paintFor } from './terminal.ts';

/** Milliseconds from any fixed moment. */
export type Clock = () => number;

export interface View {
  readonly events: EventSink;
  /** Ends the view: nothing of it may be redrawn afterwards. `ok` false leaves unfinished stages marked as such. */
  close(ok: boolean): void;
}

export interface Reporter extends View {
  /** Every diagnostic so far, each once. */
  readonly diagnostics: readonly Diagnostic[];
  /** Takes a diagnostic into account that the command's own answer shows. */
  remember(diagnostic: Diagnostic): boolean;
}

export interface ReporterOptions {
  readonly json: boolean;
  readonly quiet: boolean;
}

/** The view that fits the terminal and the options, with the diagnostics kept for the end. */
export function createReporter(terminal: Terminal, options: ReporterOptions, clock: Clock): Reporter {
  const view = chooseView(terminal, options, clock);
  const diagnostics: Diagnostic[] = [];
  const seen = new Set<string>();
  // A stage and the report of the whole may both tell of the same thing.
  const remember = (diagnostic: Diagnostic): boolean => {
    const key = diagnosticLine(diagnostic);
    if (seen.has(key)) return false;
    seen.add(key);
    diagnostics.push(diagnostic);
    return true;
  };
  return {
    diagnostics,
    remember,
    events: (event: Event) => {
      if (event.type !== 'diagnostic' || remember(event.diagnostic)) view.events(event);
    },
    close: (ok) => view.close(ok),
  };
}

function chooseView(terminal: Terminal, { json, quiet }: ReporterOptions, clock: Clock): View {
  const { stderr, env } = terminal;
  const paint = paintFor(stderr, env);
  if (json) return { events: () => undefined, close: () => undefined };
  if (quiet) {
    return {
      events: (event) => {
        if (event.type === 'diagnostic' && event.diagnostic.severity !== 'note') {
          stderr.write(`${diagnosticLine(event.diagnostic, paint)}\n`);
        }
      },
      close: () => undefined,
    };
  }
  if (canRedraw(stderr, env)) return liveReporter(stderr, { paint, clock, unicode: hasUnicode(env) });
  return plainReporter(stderr, { paint, clock });
}

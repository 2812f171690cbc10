/** What every command has in common: view, answer, errors, exit code. */
import type { Command } from 'commander';
import { Option } from 'commander';
import type { Diagnostic } from '../core/diagnostics.ts';
import type { EventSink } from '../core/events.ts';
import { TreewrightError } from '../core/errors.ts';
import { diagnosticLine } from './diagnostic-line.ts';
import { describeFailure, failureJson, failureText } from './errors.ts';
import { plural } from './format.ts';
import type { Reporter } from './reporter.ts';
import { createReporter } from './reporter.ts';
import type { Environment, Paint, Terminal } from './terminal.ts';
import { paintFor } from './terminal.ts';

/** The options that every command takes. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly strict?: boolean;
  readonly verbose?: boolean;
}

/** What a command's work gets. */
export interface CommandContext {
  readonly events: EventSink;
  /** Counts a diagnostic for --strict and --json that the answer itself shows. */
  readonly remember: (diagnostic: Diagnostic) => void;
  readonly env: Environment;
  readonly now: Date;
  /** With --strict, throws when there has been a warning; called before anything is written. */
  readonly checkpoint: () => void;
}

/** What a command's work answers. */
export interface Outcome {
  /** The document of `--json`. */
  readonly report: object;
  /** The summary for people, without a final newline. */
  readonly text: (paint: Paint) => string;
  /** What `--quiet` prints: the one thing a script wants, or nothing. */
  readonly brief?: string;
  /** Not 0 when the work was done and its result is bad news. */
  readonly exitCode?: number;
}

export type Work = (context: CommandContext) => Promise<Outcome>;

/** Runs the work of a command to its exit code. */
export type Runner = (options: CommonOptions, work: Work) => Promise<void>;

/** Every file in commands/ exports one of these as `command`. */
export interface CommandModule {
  /** Adds arguments, options and help, and sets the action. */
  readonly configure: (command: Command, run: Runner) => void;
}

export function addCommonOptions(command: Command): Command {
  return command
    .addOption(new Option('--json', 'print one JSON document on standard output and nothing else'))
    .addOption(new Option('-q, --quiet', 'print only warnings, errors and the essential result'))
    .addOption(new Option('--strict', 'treat warnings as errors'))
    .addOption(new Option('--verbose', 'show the stack of an error (also with TREEWRIGHT_DEBUG=1)'));
}

/** The view that is open now: a signal must close it before the process ends. */
let openView: Reporter | undefined;

/** Gives the terminal back, when a signal ends the process. */
export function abandonView(): void {
  openView?.close(false);
  openView = undefined;
}

/** Runs one command. Never throws; resolves to the exit code. */
export async function runCommand(terminal: Terminal, options: CommonOptions, work: Work): Promise<number> {
  const { json = false, quiet = false, strict = false } = options;
  const reporter = createReporter(terminal, { json, quiet }, () => performance.now());
  openView = reporter;
  const checkpoint = (): void => {
    if (strict) refuseWarnings(reporter.diagnostics);
  };
  try {
    const outcome = await work({
      events: reporter.events,
      remember: (diagnostic) => void reporter.remember(diagnostic),
      env: terminal.env,
      now: new Date(),
      checkpoint,
    });
    reporter.close(true);
    return finish(terminal, options, outcome, reporter.diagnostics);
  } catch (error) {
    reporter.close(false);
    return writeFailure(terminal, options, error, reporter.diagnostics);
  } finally {
    openView = undefined;
  }
}

function refuseWarnings(diagnostics: readonly Diagnostic[]): void {
  const error = strictError(diagnostics);
  if (error) throw error;
}

/** The first warning decides the code, and so the exit code. */
function strictError(diagnostics: readonly Diagnostic[]): TreewrightError | undefined {
  const warnings = diagnostics.filter(({ severity }) => severity === 'warning');
  const [first] = warnings;
  if (first === undefined) return undefined;
  const count = plural(warnings.length, 'warning counts as an error', 'warnings count as errors');
  return new TreewrightError(first.code, `--strict: ${count}; the first: ${first.message}`, {
    data: { warnings: warnings.map((warning) => diagnosticLine(warning)) },
  });
}

/** Prints the answer of finished work; bad news of its own goes before warnings that count as errors. */
function finish(
  terminal: Terminal,
  options: CommonOptions,
  outcome: Outcome,
  diagnostics: readonly Diagnostic[],
): number {
  const { exitCode = 0, report } = outcome;
  const strict = options.strict === true && exitCode === 0 ? strictError(diagnostics) : undefined;
  if (strict === undefined) {
    writeOutcome(terminal, options, outcome, diagnostics);
    return exitCode;
  }
  if (options.json !== true) writeOutcome(terminal, options, outcome, diagnostics);
  return writeFailure(terminal, options, strict, diagnostics, report);
}

function writeOutcome(
  { stdout, env }: Terminal,
  { json, quiet }: CommonOptions,
  { report, text, brief }: Outcome,
  diagnostics: readonly Diagnostic[],
): void {
  if (json) stdout.write(`${JSON.stringify({ ...report, diagnostics }, null, 2)}\n`);
  else if (!quiet) stdout.write(`${text(paintFor(stdout, env))}\n`);
  else if (brief !== undefined) stdout.write(`${brief}\n`);
}

/** Tells of a failure on standard error, and as a document with `--json`; returns the exit code. */
export function writeFailure(
  { stdout, stderr, env }: Terminal,
  { json, verbose }: CommonOptions,
  error: unknown,
  diagnostics: readonly Diagnostic[] = [],
  result?: object,
): number {
  const failure = describeFailure(error);
  const debug = verbose === true || Boolean(env['TREEWRIGHT_DEBUG']);
  if (json) {
    const document = {
      error: failureJson(failure),
      ...(result === undefined ? {} : { result }),
      diagnostics,
    };
    stdout.write(`${JSON.stringify(document, null, 2)}\n`);
  }
  stderr.write(failureText(failure, paintFor(stderr, env), debug));
  return failure.exitCode;
}

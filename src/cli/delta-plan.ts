/** The plan of a release's deltas, as `delta --dry-run` shows it. */
import type { DeltaPlan, PlannedDelta } from '../release/plan-deltas.ts';
import { formatBytes, formatCount, formatPercent, plural, printable, shortChecksum } from './format.ts';
import type { Outcome } from './run.ts';
import { columns, renderRows } from './summary.ts';
import type { Paint } from './terminal.ts';

/** Files named for the delta that serves most devices. */
const NAMED_FILES = 5;

function decisionText({ decision }: PlannedDelta, { maxRatio }: DeltaPlan): string {
  switch (decision) {
    case 'make':
      return 'chosen';
    case 'too-large':
      return `not made: more than ${maxRatio} of the objects (deltas.max-ratio)`;
    case 'over-budget':
      return 'not made: others save more per byte (deltas.budget)';
  }
}

/** The answer of `delta --dry-run`; files are left to the first of them in JSON, too: there are thousands. */
export function deltaPlanOutcome(plan: DeltaPlan): Outcome {
  const report = {
    ...plan,
    deltas: plan.deltas.map(
      ({ version, from, devices, looseBytes, expectedBytes, mustSave, decision, estimate }) => ({
        version,
        from,
        devices,
        looseBytes,
        expectedBytes,
        mustSave,
        decision,
        looseRequests: estimate.looseRequests,
        deltaRequests: estimate.deltaRequests,
        deviceBytes: estimate.deviceBytes,
        files: estimate.files.slice(0, 20),
      }),
    ),
  };
  return {
    report,
    text: (paint) => deltaPlanText(plan, paint),
    brief: plan.deltas
      .filter(({ decision }) => decision === 'make')
      .map(({ version }) => version ?? 'nothing')
      .join('\n'),
  };
}

export function deltaPlanText(plan: DeltaPlan, paint: Paint): string {
  const { version, to, deltas, unknown, budget } = plan;
  const lines = deltas.map((delta) => [
    delta.version === undefined ? 'from nothing' : `from ${delta.version}`,
    delta.version === undefined ? '' : plural(delta.devices, 'device'),
    formatBytes(delta.looseBytes),
    `about ${formatBytes(delta.expectedBytes)}`,
    `(${formatPercent(delta.expectedBytes, delta.looseBytes)})`,
    decisionText(delta, plan),
  ]);
  const chosen = deltas.filter(({ decision }) => decision === 'make');
  const sum = chosen.reduce((total, { expectedBytes }) => total + expectedBytes, 0);
  const widest = [...deltas]
    .filter((delta) => delta.version !== undefined)
    .sort((a, b) => b.devices - a.devices)[0];
  const files = (widest?.estimate.files ?? [])
    .slice(0, NAMED_FILES)
    .map(({ paths, expectedBytes, storedBytes }) => [
      `about ${formatBytes(expectedBytes)}`,
      `of ${formatBytes(storedBytes)}`,
      paths[0] ?? '',
    ]);
  const rows = renderRows(
    [
      ['deltas', lines.length === 0 ? 'none' : columns(lines, [1, 2, 3, 4])],
      [
        'together',
        `${plural(chosen.length, 'delta')}, about ${formatBytes(sum)}${budget === undefined ? '' : ` of ${formatBytes(budget)}`}`,
      ],
      [
        'unknown',
        unknown.map(
          (one) =>
            `${one.version}${one.devices === 0 ? '' : `, ${plural(one.devices, 'device')}`}: the objects they lack, ` +
            `at most ${formatBytes(plan.fromNothing.bytes)} in ${formatCount(plan.fromNothing.requests)} requests`,
        ),
      ],
      [`largest`, columns(files, [0, 1])],
    ],
    paint,
  );
  return `${paint.bold(printable(version))} (${shortChecksum(to)}): deltas as they would be made\n\n${rows}`;
}

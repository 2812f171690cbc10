/** What `release` and `rollback` say at the end. */
import type { ReleaseReport } from '../release/publish-content.ts';
import {
  formatBytes,
  formatPercent,
  plural,
  printable,
  shellQuote,
  shortChecksum,
  shownPath,
} from './format.ts';
import type { SizeSummary } from '../release/size-difference.ts';
import { packageLines, totalLine } from './size-difference.ts';
import { columns, nextStep, renderRows } from './summary.ts';
import { updateCostLines } from './update-cost.ts';
import type { Outcome } from './run.ts';
import type { Paint } from './terminal.ts';

/** The answer of a command that has published a release. */
export function releaseOutcome(report: ReleaseReport): Outcome {
  return {
    report,
    text: (paint) => releaseText(report, paint),
    brief: report.commit,
  };
}

/** Content is counted as it is read; a release that takes an earlier tree over reads none. */
function objectsText({ objects, bytes }: ReleaseReport): string {
  const content = bytes.content === 0 ? '' : ` with ${formatBytes(bytes.content)} of content`;
  return `${plural(objects.total, 'object')}${content}; ${plural(objects.written, 'new one')}, ${formatBytes(bytes.written)} stored`;
}

function manifestDeltas({ deltas }: ReleaseReport): string[] {
  const lines = deltas.map((delta) => [
    delta.fromVersion === undefined ? 'from nothing' : `from ${delta.fromVersion}`,
    formatBytes(delta.bytes),
    `instead of ${formatBytes(delta.looseBytes)}`,
    `(${formatPercent(delta.bytes, delta.looseBytes)})`,
  ]);
  return columns(lines, [1, 2, 3]);
}

/** As many packages as show at a glance what happened; `treewright diff` tells the rest. */
const SHOWN_PACKAGES = 5;

function installedLines(sizes: SizeSummary): string[] {
  return [totalLine(sizes), ...packageLines(sizes, SHOWN_PACKAGES)];
}

function releaseText(report: ReleaseReport, paint: Paint): string {
  const { version, product, machine, branch, commit, parent, output, manifest } = report;
  const how = report.unchanged
    ? 'published already; its metadata is signed anew'
    : report.rollbackOf === undefined
      ? 'released'
      : `released, with the tree of ${report.rollbackOf}`;
  const deltas =
    report.updateCost === undefined ? manifestDeltas(report) : updateCostLines(report.updateCost);
  const apps = report.apps.map(({ name, digest, services }) => [
    name,
    shortChecksum(digest),
    plural(services.length, 'service'),
  ]);
  const rows = renderRows(
    [
      ['commit', commit],
      ['branch', parent === undefined ? branch : `${branch}, after ${shortChecksum(parent)}`],
      ['objects', objectsText(report)],
      [report.updateCost === undefined ? 'deltas' : 'updates', deltas.length === 0 ? 'none' : deltas],
      ['apps', columns(apps)],
      ['installed', report.sizes === undefined ? undefined : installedLines(report.sizes)],
      ['download', `${formatBytes(report.download.full)} for a device that has nothing`],
      ['output', shownPath(output)],
      ['manifest', manifest],
    ],
    paint,
  );
  return [
    `${paint.green(paint.bold(`${product} ${printable(version)}`))} for ${machine}: ${printable(how)}`,
    rows,
    nextStep(
      `treewright verify ${shellQuote(shownPath(output))}`,
      'reads everything back and trusts nothing',
      paint,
    ),
  ].join('\n\n');
}

/** The layout of the final summaries: labels in a column, values beside them. */
import { printable } from './format.ts';
import type { Paint } from './terminal.ts';

/** A label and its lines; rows without lines are left out. */
export type Row = readonly [label: string, lines: readonly string[] | string | undefined];

/** Rows under a heading, labels dimmed and padded to the longest. */
export function renderRows(rows: readonly Row[], paint: Paint): string {
  const shown = rows
    .map(([label, lines]) => [label, typeof lines === 'string' ? [lines] : (lines ?? [])] as const)
    .filter(([, lines]) => lines.length > 0);
  const width = Math.max(0, ...shown.map(([label]) => label.length));
  return shown
    .flatMap(([label, lines]) =>
      lines.map(
        (line, index) => `  ${paint.dim((index === 0 ? label : '').padEnd(width))}  ${printable(line)}`,
      ),
    )
    .join('\n');
}

/** Lines of cells aligned in columns; numbers to the right where `right` says so. */
export function columns(lines: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const line of lines) {
    line.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, cell.length);
    });
  }
  return lines.map((line) =>
    line
      .map((cell, index) =>
        right.includes(index) ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
}

/** The closing line of a summary: what to do next. */
export function nextStep(command: string, why: string, paint: Paint): string {
  return `${paint.dim('Next:')} ${paint.bold(command)}${why === '' ? '' : paint.dim(`  ${why}`)}`;
}

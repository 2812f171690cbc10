/** How a diagnostic reads on one line. */
import type { Diagnostic } from '../core/diagnostics.ts';
import { formatLocation } from '../core/diagnostics.ts';
import { printable } from './format.ts';
import type { Paint } from './terminal.ts';

/** `warning: file:line:column: message [code]`. */
export function diagnosticLine({ severity, code, message, where }: Diagnostic, paint?: Paint): string {
  const place = where === undefined ? '' : `${printable(formatLocation(where))}: `;
  const tag = `[${code}]`;
  const text = `${place}${printable(message)}`;
  if (paint === undefined) return `${severity}: ${text} ${tag}`;
  const colour = severity === 'error' ? paint.red : severity === 'warning' ? paint.yellow : paint.cyan;
  return `${colour(severity)}: ${text} ${paint.dim(tag)}`;
}

import type { Diagnostic } from '../core/diagnostics.ts';
import type { ErrorCode } from '../core/errors.ts';

/** Counts what is alike, so that one diagnostic tells of thousands of entries. */
export interface Group {
  add(what: string): void;
  readonly count: number;
  /** One diagnostic for all, or none: `text` gets the count and the first few names. */
  report(
    code: ErrorCode,
    severity: Diagnostic['severity'],
    text: (count: number, names: string) => string,
  ): Diagnostic[];
}

const SHOWN = 4;

export function createGroup(): Group {
  const names: string[] = [];
  let count = 0;
  return {
    add: (what) => {
      if (count++ < SHOWN) names.push(what);
    },
    get count() {
      return count;
    },
    report: (code, severity, text) =>
      count === 0
        ? []
        : [{ code, severity, message: text(count, names.join(', ') + (count > SHOWN ? ', ...' : '')) }],
  };
}

/** What OSTree cannot hold. */
export function specialFiles(group: Group): Diagnostic[] {
  return group.report(
    'input/special-files',
    'warning',
    (count, names) =>
      `${count} device nodes, FIFOs or sockets were left out, because OSTree stores none: ${names}. ` +
      'The kernel makes /dev (devtmpfs); anything else must be made when the device boots',
  );
}

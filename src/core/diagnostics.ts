import type { ErrorCode } from './errors.ts';

/** Where a diagnostic points: a position in a text file, an offset in a binary one, or a path in a tree. */
export type Location =
  | { readonly kind: 'text'; readonly file: string; readonly line: number; readonly column: number }
  | { readonly kind: 'offset'; readonly file: string; readonly offset: number }
  | { readonly kind: 'path'; readonly path: string };

/** Something worth telling that need not stop the work; `--strict` turns warnings into errors. */
export interface Diagnostic {
  readonly severity: 'error' | 'warning' | 'note';
  readonly code: ErrorCode;
  /** One or two sentences: what was found, what was expected, what to do. */
  readonly message: string;
  readonly where?: Location;
}

/** Receives diagnostics as they are found. */
export type DiagnosticSink = (diagnostic: Diagnostic) => void;

/** `file:line:column`, `file+0xoffset` or the tree path. */
export function formatLocation(where: Location): string {
  switch (where.kind) {
    case 'text':
      return `${where.file}:${where.line}:${where.column}`;
    case 'offset':
      return `${where.file}+0x${where.offset.toString(16)}`;
    case 'path':
      return where.path;
  }
}

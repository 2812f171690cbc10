/** Values of options, checked while the command line is parsed. */
import { InvalidArgumentError } from 'commander';
import { parseSize } from '../config/sizes.ts';

/** A whole number of at least `minimum`. */
export function wholeNumber(minimum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,15}$/.test(text) && value >= minimum) return value;
    throw new InvalidArgumentError(`Expected a whole number of at least ${minimum}.`);
  };
}

/** An argument that may not be empty: `--repo "$UNSET"` is a mistake that must not mean the current directory. */
export function nonEmpty(text: string): string {
  if (text !== '') return text;
  throw new InvalidArgumentError('It is empty.');
}

/**
 * A size as a configuration has it (`20MB`, `16MiB`), or a plain number, which counts megabytes of 1,000,000 bytes
 * as it does for `ostree static-delta generate`; in bytes.
 */
export function megabytes(minimum: number): (text: string) => number {
  return (text) => {
    const bytes = /^\d{1,9}$/.test(text) ? Number(text) * 1_000_000 : parseSize(text);
    if (bytes !== undefined && bytes >= minimum) return bytes;
    throw new InvalidArgumentError(
      minimum > 0
        ? 'Expected a size such as 20MB or 16MiB; a plain number counts megabytes.'
        : 'Expected a size such as 20MB or 16MiB, or 0; a plain number counts megabytes.',
    );
  };
}

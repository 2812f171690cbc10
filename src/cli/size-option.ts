/** Sizes as option values. */
import { InvalidArgumentError } from 'commander';
import { parseSize } from '../config/sizes.ts';

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

/** Versions of libostree: `2025.2` is year and release. */
import type { Diagnostic } from '../core/diagnostics.ts';

/** Whether `version` is `year.release` or later. What is unknown counts as the newest. */
export function isLibostree(version: string | undefined, year: number, release: number): boolean {
  const match = /^(\d{4})\.(\d+)/.exec(version ?? '');
  return match === null || Number(match[1]) * 1000 + Number(match[2]) >= year * 1000 + release;
}

/**
 * What updates of a device with this version cost. Until commit fc5aef6f of libostree (2023.7) a pull that has a delta also
 * scans the commit and fetches the same objects one by one; 2022.7 was measured to, 2025.2 not to.
 */
export function libostreeFindings(version: string | undefined): Diagnostic[] {
  if (isLibostree(version, 2023, 7)) return [];
  return [
    {
      severity: 'warning',
      code: 'input/libostree-deltas',
      message:
        `libostree ${version ?? ''} fetches objects one by one besides the static delta that holds them, so that deltas save ` +
        'nothing; 2023.7 and later fetch the delta alone',
    },
  ];
}

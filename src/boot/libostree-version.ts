/** Versions of libostree: `2025.2` is year and release. */

/** Whether `version` is `year.release` or later. What is unknown counts as the newest. */
export function isLibostree(version: string | undefined, year: number, release: number): boolean {
  const match = /^(\d{4})\.(\d+)/.exec(version ?? '');
  return match === null || Number(match[1]) * 1000 + Number(match[2]) >= year * 1000 + release;
}

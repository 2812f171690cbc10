/** Spans of time as people write them in a configuration. */

/** A whole number and a unit: minutes, hours, days, weeks or years of 365 days. */
export const DURATION = /^[1-9][0-9]{0,5}[mhdwy]$/;

const SECONDS: Readonly<Record<string, number>> = {
  m: 60,
  h: 3600,
  d: 86_400,
  w: 7 * 86_400,
  y: 365 * 86_400,
};

/** Seconds in `90d`, `12h` or `30m`; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  const unit = SECONDS[text.slice(-1)];
  return unit === undefined ? undefined : Number(text.slice(0, -1)) * unit;
}

/** Sizes as people write them in a configuration. */

/** A whole number and a unit: kB, MB, GB count in 1000, KiB, MiB, GiB in 1024. */
export const SIZE = /^[1-9][0-9]{0,8} ?(?:B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB|K|M|G|T)$/;

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  // As truncate, mkfs and genimage have them.
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Bytes in `20MB`, `4GiB` or `512M`; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  if (!SIZE.test(text)) return undefined;
  const match = /^([0-9]+) ?([A-Za-z]+)$/.exec(text);
  const unit = UNITS[match?.[2] ?? ''];
  return match === null || unit === undefined ? undefined : Number(match[1]) * unit;
}

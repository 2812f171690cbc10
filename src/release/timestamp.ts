import { TreewrightError } from '../core/errors.ts';

/**
 * The time of a commit or release in seconds since 1970: given, else SOURCE_DATE_EPOCH, else now.
 * `environment` is passed in, so that nothing here depends on the process.
 */
export function commitTimestamp(
  given: number | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  now: Date,
): number {
  if (given !== undefined) return given;
  const epoch = environment['SOURCE_DATE_EPOCH'];
  if (epoch === undefined || epoch === '') return Math.floor(now.getTime() / 1000);
  if (!/^\d{1,12}$/.test(epoch)) {
    throw new TreewrightError(
      'usage/bad-timestamp',
      `SOURCE_DATE_EPOCH must be whole seconds since 1970, found ${JSON.stringify(epoch)}`,
    );
  }
  return Number(epoch);
}

/** Refuses to go back in time on a branch: `ostree admin upgrade` would refuse the commit on the device. */
export function checkNotOlder(timestamp: number, parent: number | undefined, branch: string): void {
  if (parent === undefined || timestamp >= parent) return;
  throw new TreewrightError(
    'input/timestamp-backwards',
    `the new commit would be from ${iso(timestamp)}, but ${branch} is at ${iso(parent)} already, and devices refuse ` +
      'to upgrade to an older commit; check SOURCE_DATE_EPOCH, --timestamp and the clock of this machine',
    { data: { timestamp, parent, branch } },
  );
}

function iso(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

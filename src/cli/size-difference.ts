/** What grew and what shrank, as tables. */
import type { FileSizeChange, SizeChange, SizeDifference, SizeSummary } from '../release/size-difference.ts';
import { formatBytes, formatDifference, plural } from './format.ts';
import { columns } from './summary.ts';

type Sizes = SizeDifference | SizeSummary;

const NO_PACKAGE = '(no package)';

const bytes = (size: number | undefined): string => (size === undefined ? '-' : formatBytes(size));

function sizes({ before, after, difference }: SizeChange): string[] {
  return [bytes(before), bytes(after), formatDifference(difference)];
}

/** `new 1.2`, `gone`, `1.1 to 1.2`, or the version that both have. */
function versions({ name, versionBefore, versionAfter }: Sizes['packages'][number]): string {
  if (name === undefined) return '';
  if (versionBefore === undefined) return `new ${versionAfter ?? ''}`.trimEnd();
  if (versionAfter === undefined) return 'gone';
  return versionBefore === versionAfter ? versionAfter : `${versionBefore} to ${versionAfter}`;
}

/** Lines of the first entries, and one that tells of the rest of `all`. */
function shortened(all: readonly SizeChange[], what: string, lines: string[]): string[] {
  const rest = all.slice(lines.length);
  if (rest.length === 0) return lines;
  const sum = rest.reduce((total, { difference }) => total + difference, 0);
  return [...lines, `and ${plural(rest.length, `more ${what}`)}, ${formatDifference(sum)} together`];
}

/** One line a package: version, bytes before and after, difference. */
export function packageLines({ packages }: Sizes, limit: number): string[] {
  const rows = packages
    .slice(0, limit)
    .map((each) => [each.name ?? NO_PACKAGE, versions(each), ...sizes(each)]);
  return shortened(packages, 'package', columns(rows, [2, 3, 4]));
}

/** One line a file: path, package, bytes before and after, difference. */
export function fileLines({ packages }: SizeDifference, limit: number): string[] {
  const files = packages
    .flatMap(({ name, files }) => files.map((file) => ({ ...file, owner: name ?? NO_PACKAGE })))
    .sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference));
  const rows = files
    .slice(0, limit)
    .map((file: FileSizeChange & { readonly owner: string }) => [file.path, file.owner, ...sizes(file)]);
  return shortened(files, 'file', columns(rows, [2, 3, 4]));
}

/** `33.5 MiB, +106 KiB since 1.0`. */
export function totalLine({ from, after, difference }: Sizes): string {
  return `${formatBytes(after)}, ${formatDifference(difference)} since ${from}`;
}

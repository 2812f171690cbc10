import { TreewrightError } from './errors.ts';

/** Why a file name cannot be stored in an OSTree dirtree, or undefined when it can (ot_util_filename_validate). */
export function filenameProblem(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name === '.' || name === '..') return 'it is a directory reference';
  if (name.includes('/')) return 'it contains a slash';
  if (name.includes('\0')) return 'it contains a NUL';
  if (!name.isWellFormed()) return 'it is not valid UTF-8';
  return undefined;
}

/**
 * The components of an archive member's path: `./usr//bin/` gives `['usr', 'bin']`, the root gives `[]`.
 * A `..` component is refused, whatever it would resolve to.
 */
export function splitArchivePath(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    const problem = filenameProblem(part);
    if (problem !== undefined) {
      throw new TreewrightError(
        'input/bad-path',
        `path ${JSON.stringify(path)} has the component ${JSON.stringify(part)}, which cannot be stored: ${problem}`,
        { data: { path } },
      );
    }
    parts.push(part);
  }
  return parts;
}

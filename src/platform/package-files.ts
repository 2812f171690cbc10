/** Files of the package that are read at run time: on disk, or inside the single-file bundle. */
import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { BUNDLED_FILES } from '../core/bundled-files.ts';
import { TreewrightError } from '../core/errors.ts';

/** The folder of the package, from src/platform as well as from dist/platform. */
const PACKAGE = new URL('../../', import.meta.url);

/** Names of the files in a folder of the package, such as `configs/boards`, sorted. */
export async function packageFileNames(folder: string): Promise<string[]> {
  if (BUNDLED_FILES === undefined) return (await readdir(new URL(folder, PACKAGE))).sort();
  const start = `${folder}/`;
  return [...BUNDLED_FILES.keys()]
    .filter((path) => path.startsWith(start))
    .map((path) => path.slice(start.length))
    .sort();
}

/**
 * A file of the package by its name there, and what to call it in messages.
 *
 * @throws TreewrightError `internal/no-package-file` when the bundle was made without it
 */
export async function readPackageFile(path: string): Promise<{ file: string; text: string }> {
  if (BUNDLED_FILES === undefined) {
    const file = fileURLToPath(new URL(path, PACKAGE));
    return { file, text: await readFile(file, 'utf8') };
  }
  const text = BUNDLED_FILES.get(path);
  if (text === undefined) {
    throw new TreewrightError('internal/no-package-file', `the bundle does not contain ${path}`);
  }
  return { file: path, text };
}

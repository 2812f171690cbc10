/** Where this checkout is, from the sources and from compiled copies below it alike. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

function findProject(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package-lock.json'))) {
    const parent = dirname(directory);
    if (parent === directory) throw new Error('no package-lock.json above this file: not a checkout');
    directory = parent;
  }
  return directory;
}

/** The folder of the checkout. */
export const PROJECT = findProject();

/** What is fetched once and kept: `.cache` of the checkout, or the folder that TREEWRIGHT_CACHE names. */
export const CACHE = process.env['TREEWRIGHT_CACHE'] ?? join(PROJECT, '.cache');

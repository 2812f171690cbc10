/** Where the board presets are. */
import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** configs/boards of the package, from src/config as well as from dist/config. */
const DIRECTORY = new URL('../../configs/boards/', import.meta.url);

/** Names of the presets, sorted. */
export async function boardNames(): Promise<string[]> {
  const names = await readdir(DIRECTORY);
  return names
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length))
    .sort();
}

/** The text of a preset, and the file it is in. `name` is one of `boardNames()`. */
export async function readBoardFile(name: string): Promise<{ file: string; text: string }> {
  const file = fileURLToPath(new URL(`${name}.yaml`, DIRECTORY));
  return { file, text: await readFile(file, 'utf8') };
}

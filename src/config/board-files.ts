/** The board presets of the package. */
import { packageFileNames, readPackageFile } from '../platform/package-files.ts';

const FOLDER = 'configs/boards';

/** Names of the presets, sorted. */
export async function boardNames(): Promise<string[]> {
  const names = await packageFileNames(FOLDER);
  return names.filter((name) => name.endsWith('.yaml')).map((name) => name.slice(0, -'.yaml'.length));
}

/** The text of a preset, and the file it is in. `name` is one of `boardNames()`. */
export function readBoardFile(name: string): Promise<{ file: string; text: string }> {
  return readPackageFile(`${FOLDER}/${name}.yaml`);
}

/** Which files of the package the bundle carries, and the module that holds them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fg from 'fast-glob';

/** What src/ reads at run time, through platform/package-files.ts. */
const PATTERNS = ['configs/boards/*.yaml', 'layers/device/!(LICENSE)'];

/** Source of the module that stands in for src/core/bundled-files.ts. */
export async function bundledFilesModule(project: string): Promise<string> {
  const files: [string, string][] = [['package.json', await nameAndVersion(project)]];
  for (const path of (await fg(PATTERNS, { cwd: project })).sort()) {
    const bytes = await readFile(join(project, path));
    const text = bytes.toString('utf8');
    if (!Buffer.from(text).equals(bytes))
      throw new Error(`${path} is not UTF-8: the bundle carries texts only`);
    files.push([path, text]);
  }
  return `export const BUNDLED_FILES = new Map(${JSON.stringify(files, null, 1)});\n`;
}

/** As much of package.json as the program reads. */
async function nameAndVersion(project: string): Promise<string> {
  const text = await readFile(join(project, 'package.json'), 'utf8');
  const { name, version } = JSON.parse(text) as { name: string; version: string };
  return JSON.stringify({ name, version });
}

/** The licences of everything in the bundle, as one text. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

interface PackageFacts {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** Of its licence, and of a NOTICE where there is one. */
  readonly text: string;
}

const LICENSE_FILE = /^(licen[cs]e|notice|copying)(\.(txt|md))?$/i;
const RULE = '-'.repeat(80);

/** The folders of the packages that `inputs`, paths relative to the project, belong to; sorted, each once. */
export function packageFolders(inputs: readonly string[]): string[] {
  const folders = new Set<string>();
  for (const input of inputs) {
    // The last one counts: a package may have packages of its own.
    const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0];
    if (folder !== undefined) folders.add(folder);
  }
  return [...folders].sort();
}

/** @throws Error when a package does not say what its licence is or does not come with its text */
export async function licenseTexts(project: string, inputs: readonly string[]): Promise<string> {
  const own = await readPackage(project);
  // Several packages have the very same text, the long one of Apache-2.0 above all.
  const byText = new Map<string, string[]>();
  for (const folder of ['', ...packageFolders(inputs)]) {
    const { name, version, license, text } = await readPackage(join(project, folder));
    const heading = `${name} ${version} (${license})`;
    const same = byText.get(text);
    if (same) same.push(heading);
    else byText.set(text, [heading]);
  }
  const sections = [...byText].map(([text, headings]) => `${headings.join('\n')}\n\n${text}`);
  const title = `What treewright.mjs ${own.version} consists of, and under which licences.\n`;
  return [title, ...sections].join(`\n${RULE}\n\n`);
}

async function readPackage(folder: string): Promise<PackageFacts> {
  const file = join(folder, 'package.json');
  const { name, version, license } = JSON.parse(await readFile(file, 'utf8')) as Partial<PackageFacts>;
  if (name === undefined || version === undefined || typeof license !== 'string') {
    throw new Error(`${file} does not say name, version and licence`);
  }
  const files = (await readdir(folder)).filter((entry) => LICENSE_FILE.test(entry)).sort();
  if (files.length === 0) throw new Error(`${folder} has no file with the text of the licence`);
  const texts = await Promise.all(files.map((entry) => readFile(join(folder, entry), 'utf8')));
  return { name, version, license, text: texts.map(tidy).join('\n') };
}

/** Line ends of one kind, so that the text is the same however a package was made. */
function tidy(text: string): string {
  return `${text.replace(/\r\n?/g, '\n').trim()}\n`;
}

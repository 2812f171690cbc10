/** The commands of a page, so that a test runs what the page says and nothing else. */
import { execa } from 'execa';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT } from './project.ts';

/** The fenced blocks of a Markdown text that are marked `sh`, in their order. */
export function shellBlocks(markdown: string): string[] {
  return [...markdown.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block ?? '');
}

/** Writes programs, each a shell script's text by its name, into a directory that can go first in PATH. */
export async function writePrograms(
  directory: string,
  programs: Readonly<Record<string, string>>,
): Promise<string> {
  await mkdir(directory, { recursive: true });
  for (const [name, body] of Object.entries(programs)) {
    await writeFile(join(directory, name), `#!/bin/sh\n${body}\n`);
    await chmod(join(directory, name), 0o755);
  }
  return directory;
}

/** The text of a program `treewright` that is this checkout's, built. */
export const TREEWRIGHT_PROGRAM = `exec '${process.execPath}' '${join(PROJECT, 'dist/cli/main.js')}' "$@"`;

/** Runs a block as one script that ends at the first failure; throws with what it printed. */
export async function runShell(
  script: string,
  options: { readonly cwd: string; readonly bin: string; readonly env?: Readonly<Record<string, string>> },
): Promise<string> {
  const { stdout } = await execa('sh', ['-eu', '-c', script], {
    cwd: options.cwd,
    env: { PATH: `${options.bin}:${process.env['PATH'] ?? ''}`, ...options.env },
    stdin: 'ignore',
  });
  return stdout;
}

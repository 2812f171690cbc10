/** The program as one file: src/, the packages it uses, and the files it reads at run time. */
import { createHash } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Plugin } from 'esbuild';
import { entryModule } from './entry.ts';
import { licenseTexts } from './licenses.ts';
import { bundledFilesModule } from './package-files.ts';

/** The oldest Node that package.json allows. */
const TARGET = 'node20.19';

// Packages in CommonJS form require() modules of Node, which an ES module cannot do by itself.
const BANNER = `#!/usr/bin/env node
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);`;

export interface Bundle {
  /** treewright.mjs. */
  readonly code: Uint8Array;
  /** treewright.licenses.txt, which stands at the end of `code` as well. */
  readonly licenses: string;
  /** What went in: paths relative to the project. */
  readonly inputs: readonly string[];
  /** Modules that it still imports. */
  readonly imports: readonly string[];
}

/** The bundle of the checkout in `project`. Depends on its files and on the packages installed there, on nothing else. */
export async function makeBundle(project: string): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: project,
    stdin: { contents: await entryModule(project), resolveDir: project, sourcefile: 'entry', loader: 'js' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: TARGET,
    // Not what a tsconfig.json above the project may say.
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
    banner: { js: BANNER },
    // Node reads the file in less time without comments and indentation, and all ASCII. Names stay, for stack traces.
    minifyWhitespace: true,
    lineLimit: 160,
    charset: 'ascii',
    // They come with the licences.
    legalComments: 'none',
    logLevel: 'silent',
    metafile: true,
    write: false,
    plugins: [bundledFiles(project)],
  });
  const inputs = Object.keys(metafile.inputs).sort();
  const licenses = await licenseTexts(project, inputs);
  const program = outputFiles[0]?.contents ?? new Uint8Array();
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path));
  return {
    code: Buffer.concat([program, Buffer.from(comment(licenses))]),
    licenses,
    inputs,
    imports: [...new Set(imports)].sort(),
  };
}

/** Writes treewright.mjs, its checksum in the form `sha256sum --check` reads, and the licences into `folder`. */
export async function writeBundle(bundle: Bundle, folder: string): Promise<{ file: string; sha256: string }> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'treewright.mjs');
  const sha256 = createHash('sha256').update(bundle.code).digest('hex');
  await writeFile(file, bundle.code);
  await chmod(file, 0o755);
  await writeFile(`${file}.sha256`, `${sha256}  treewright.mjs\n`);
  await writeFile(join(folder, 'treewright.licenses.txt'), bundle.licenses);
  return { file, sha256 };
}

function bundledFiles(project: string): Plugin {
  return {
    name: 'bundled-files',
    setup: (bundler) => {
      bundler.onLoad({ filter: /[\\/]src[\\/]core[\\/]bundled-files\.ts$/ }, async () => ({
        contents: await bundledFilesModule(project),
        loader: 'js',
      }));
    },
  };
}

/** The text as a comment in ASCII. */
function comment(text: string): string {
  const ascii = text.replace(/[^\n -~]/gu, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`);
  return `/*\n${ascii.replaceAll('*/', '* /')}*/\n`;
}

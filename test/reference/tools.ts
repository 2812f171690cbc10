/**
 * The real programs that tests compare with: `ostree`, `mkimage`, a registry. A test that needs one sits in a
 * `describeReference` block.
 */
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, inject, test } from 'vitest';
import type { Suite } from './recipes.ts';
import { RECIPES } from './recipes.ts';
import { rootPath } from './roots.ts';
import './global-setup.ts';

export type { Suite } from './recipes.ts';

/** A program, or a program of a certain suite: `ostree`, `trixie:ostree`. */
export type ToolName = string;

/**
 * The absolute path of a reference program's wrapper: an executable that may be started with any arguments and
 * needs no environment. `suite` is `bookworm` unless named. Throws when it is not there.
 */
export function referenceTool(program: string, suite: Suite = 'bookworm'): string {
  const recipe = RECIPES[suite];
  const path = join(rootPath(recipe), 'run-bin', program);
  if (!(program in recipe.programs)) throw new Error(`no program ${program} in the reference suite ${suite}`);
  if (!existsSync(path)) {
    throw new Error(`${program} of ${suite} is missing: ${missingReason([`${suite}:${program}`]) ?? path}`);
  }
  return path;
}

export interface RunOptions {
  readonly suite?: Suite;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  /**
   * Be root, as a sysroot or a `bare` repository needs: an ordinary user becomes root of a user namespace, who may
   * give files to root:root only.
   */
  readonly asRoot?: boolean;
  /** False: a failing program is an answer, not an error. */
  readonly reject?: boolean;
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a reference program to its end. Throws on a failure, with what it printed, unless `reject` is false. */
export async function runTool(
  program: string,
  args: readonly string[],
  { suite = 'bookworm', cwd, env, input, asRoot = false, reject = true }: RunOptions = {},
): Promise<RunResult> {
  const tool = referenceTool(program, suite);
  const [file, ...first] =
    asRoot && process.getuid?.() !== 0 ? ['unshare', '--user', '--map-root-user', tool] : [tool];
  const result = await execa(file, [...first, ...args], {
    reject: false,
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    ...(input === undefined ? { stdin: 'ignore' as const } : { input }),
  });
  const { exitCode = -1, stdout, stderr } = result;
  if (exitCode !== 0 && reject) {
    throw new Error(
      `${program} ${args.join(' ')} (${suite}) ended with ${result.shortMessage}\n${stderr}\n${stdout}`.trim(),
    );
  }
  return { exitCode, stdout, stderr };
}

function missingReason(tools: readonly ToolName[]): string | undefined {
  const missing = inject('missingReferenceTools');
  for (const tool of tools) {
    const reason = missing[suiteOf(tool)];
    if (reason !== undefined) return `${tool}: ${reason}`;
  }
  return undefined;
}

function suiteOf(tool: ToolName): Suite {
  const colon = tool.indexOf(':');
  if (colon < 0) return 'bookworm';
  const suite = tool.slice(0, colon);
  if (!(suite in RECIPES)) throw new Error(`no reference suite ${suite}`);
  return suite as Suite;
}

/**
 * `describe` for tests that run reference programs, each named `program` or `suite:program`. Where they cannot be
 * had the tests are skipped and the reason is printed in the block's title; with CI=true the block fails instead.
 */
export function describeReference(name: string, tools: readonly ToolName[], body: () => void): void {
  const reason = missingReason(tools);
  if (reason === undefined) {
    describe(name, body);
  } else if (process.env['CI'] === 'true') {
    describe(name, () => {
      test('the reference tools are there', () => {
        throw new Error(`reference tools are required when CI=true, but ${reason}`);
      });
    });
  } else {
    describe.skip(`${name} [skipped, no reference tool: ${reason}]`, body);
  }
}

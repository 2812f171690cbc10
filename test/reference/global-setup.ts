/** Runs once before the tests: makes the reference tools, or notes why they cannot be had. */
import type { TestProject } from 'vitest/node';
import { RECIPES, SUITES } from './recipes.ts';
import type { Suite } from './recipes.ts';
import { ensureRoot, installedRoot } from './roots.ts';

/** Suite to the reason why its tools are missing; a suite that is there has no entry. */
export type MissingReasons = Partial<Record<Suite, string>>;

declare module 'vitest' {
  interface ProvidedContext {
    missingReferenceTools: MissingReasons;
  }
}

const say = (line: string): void => {
  process.stderr.write(`reference tools: ${line}\n`);
};

/** vitest's entry point; answers what runs after the tests. */
export function setup(project: TestProject): Promise<() => void> {
  return prepareSuites(project, SUITES);
}

/** Makes the tools of these suites. */
export async function prepareSuites(project: TestProject, suites: readonly Suite[]): Promise<() => void> {
  const missing: MissingReasons = {};
  const wanted = suites.filter((suite) => !installedRoot(RECIPES[suite]));
  const started = Date.now();
  await Promise.all(
    wanted.map(async (suite) => {
      try {
        await ensureRoot(RECIPES[suite], say);
        say(`${suite}: ready after ${((Date.now() - started) / 1000).toFixed(1)} s`);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        missing[suite] = reason;
        say(`${suite}: not available: ${reason}`);
      }
    }),
  );
  project.provide('missingReferenceTools', missing);
  return () => {
    const outcome = process.env['CI'] === 'true' ? 'failed' : 'were skipped';
    for (const [suite, reason] of Object.entries(missing)) {
      say(`the tests that need ${suite} ${outcome}: ${reason}`);
    }
  };
}

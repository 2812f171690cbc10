/** The module that the bundle starts with, in the main thread and in each worker thread. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fg from 'fast-glob';

/**
 * Source of the entry, to be resolved from the project's folder. Imports are dynamic so that the main thread loads no
 * more than the command at hand, as it does without a bundle. A worker has no other file to find a task in, therefore
 * all are registered before `worker-main` listens.
 */
export async function entryModule(project: string): Promise<string> {
  const tasks = await taskModules(project);
  return `import { isMainThread } from 'node:worker_threads';
if (isMainThread) {
  await import('./src/cli/main.ts');
} else {
${tasks.map((file) => `  await import('./${file}');\n`).join('')}  await import('./src/platform/worker-main.ts');
}
`;
}

/** Every module that registers a task for the worker pool. */
async function taskModules(project: string): Promise<string[]> {
  const found: string[] = [];
  for (const file of (await fg('src/**/*.ts', { cwd: project })).sort()) {
    if (file === 'src/platform/workers.ts') continue;
    const text = await readFile(join(project, file), 'utf8');
    if (text.includes('defineTask(')) found.push(file);
  }
  return found;
}

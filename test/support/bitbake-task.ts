/** Tasks of meta-treewright without BitBake, in the surroundings that BitBake gives them. */
import { execa } from 'execa';
import { access, constants, mkdir, readFile, readdir, symlink } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { PROJECT } from './project.ts';

export const LAYER = join(PROJECT, 'layers/meta-treewright');
export const CLASS = join(LAYER, 'classes-recipe/treewright.bbclass');

/** Releases of the Yocto Project whose names and variables tests have; kirkstone is older than what the layer supports. */
export type YoctoRelease = 'kirkstone' | 'scarthgap' | 'wrynose';

/** Variables of an image as a real build wrote them, without what no test looks at. */
export function testdataPath(release: YoctoRelease): string {
  return join(PROJECT, `test/fixtures/yocto/${release}.testdata.json`);
}

export interface TaskRequest {
  readonly release: YoctoRelease;
  /** Variables of local.conf. */
  readonly set?: Readonly<Record<string, string>>;
  /** Absent: variables are only looked at. */
  readonly task?: string;
  /** Python expressions over `d` and `treewright`. */
  readonly print?: readonly string[];
  /** The directory of links that PATH holds; absent: this process's PATH. */
  readonly hostTools?: string;
}

export interface TaskResult {
  readonly failed: boolean;
  /** Level and text, in order. */
  readonly told: readonly (readonly [level: string, text: string])[];
  readonly values: readonly unknown[];
}

/** A task has an empty environment but for these, and no network, not even the loopback interface. */
const ENVIRONMENT = {
  TZ: 'UTC',
  LC_ALL: 'en_US.UTF-8',
  SOURCE_DATE_EPOCH: '1302044400',
  CC: 'aarch64-oe-linux-gcc',
};

export async function runTask(request: TaskRequest): Promise<TaskResult> {
  const { release, set = {}, hostTools, task = null, print = [] } = request;
  const script = join(PROJECT, 'test/support/bitbake_task.py');
  const path = hostTools ?? process.env['PATH'] ?? '';
  const document = {
    class: CLASS,
    layer: LAYER,
    testdata: testdataPath(release),
    set: { PATH: path, ...set },
    task,
    print,
  };
  const command = ['python3', '-I', '-S', script];
  const isolated =
    task === null ? command : ['unshare', ...(process.getuid?.() === 0 ? [] : ['-r']), '-n', ...command];
  const [file = '', ...args] = isolated;
  const { stdout, stderr, exitCode } = await execa(file, args, {
    input: JSON.stringify(document),
    reject: false,
    extendEnv: false,
    env: { ...ENVIRONMENT, PATH: process.env['PATH'] ?? '', HOME: set['WORKDIR'] ?? '/' },
  });
  if (stdout === '') throw new Error(`the task was not run: ${stderr}`);
  const { told, values } = JSON.parse(stdout) as Pick<TaskResult, 'told' | 'values'>;
  return { failed: exitCode !== 0, told, values };
}

/** What BitBake makes of HOSTTOOLS and the layer's HOSTTOOLS_NONFATAL: links, in a directory that is the whole PATH. */
export async function makeHostTools(
  directory: string,
  release: YoctoRelease,
  without: readonly string[] = [],
): Promise<void> {
  const testdata = JSON.parse(await readFile(testdataPath(release), 'utf8')) as Record<string, string>;
  const layer = await readFile(join(LAYER, 'conf/layer.conf'), 'utf8');
  const more = /^HOSTTOOLS_NONFATAL \+= "(.*)"$/m.exec(layer)?.[1] ?? '';
  await mkdir(directory, { recursive: true });
  for (const name of new Set(`${testdata['HOSTTOOLS'] ?? ''} ${more}`.split(/\s+/))) {
    if (name === '' || without.includes(name)) continue;
    const found = await programPath(name);
    if (found !== undefined) await symlink(found, join(directory, name));
  }
  if ((await readdir(directory)).length < 20) throw new Error('hardly any host tool was found');
}

async function programPath(name: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      // It may be in the next one.
    }
  }
  return undefined;
}

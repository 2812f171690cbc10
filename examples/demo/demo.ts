/**
 * `npm run demo`: a first release, an update and a rollback of a real arm64 system, made by an ordinary user.
 * Everything it makes is below ./demo; downloads are kept in the cache.
 */
import { execa } from 'execa';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import pc from 'picocolors';
import { serveDirectory } from '../../test/support/http-server.ts';
import { PROJECT } from '../../test/support/project.ts';
import { fetchDemoPackages } from './packages.ts';
import {
  addDebianCalculator,
  addSmallCalculator,
  buildDebianImages,
  buildSmallImages,
  deviceTreesOf,
} from './rootfs.ts';

/** What every answer may carry. */
interface Answer {
  readonly diagnostics?: readonly { readonly severity: string; readonly code: string; readonly message: string }[];
}

/** The parts of `treewright release --json` that the demo shows. */
interface ReleaseAnswer extends Answer {
  readonly version: string;
  readonly commit: string;
  readonly objects: { readonly total: number; readonly written: number };
  readonly bytes: { readonly content: number; readonly written: number };
  readonly deltas: readonly {
    readonly fromVersion?: string;
    readonly bytes: number;
    readonly looseBytes: number;
  }[];
  readonly download: { readonly full: number };
}

/** The parts of `treewright verify --json` that the demo shows. */
interface VerifyAnswer extends Answer {
  readonly releases: readonly {
    readonly version: string;
    readonly commit: string;
    readonly objects: number;
    readonly deltas: number;
    readonly apps: number;
  }[];
}

const FOLDER = join(PROJECT, 'demo');
const EXAMPLE = join(PROJECT, 'examples/demo');
const CLI = join(PROJECT, 'dist/cli/main.js');

const say = (line = ''): void => {
  process.stdout.write(`${line}\n`);
};

const size = (bytes: number): string => {
  if (bytes < 1000) return `${String(bytes)} bytes`;
  return bytes < 100_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
};

const count = (number: number, noun: string): string => `${String(number)} ${noun}${number === 1 ? '' : 's'}`;

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;

const seconds = (since: number): string => pc.dim(`${((Date.now() - since) / 1000).toFixed(1)} s`);

/** Warnings that were shown already. */
const shown = new Set<string>();

function showWarnings({ diagnostics = [] }: Answer): void {
  for (const { severity, code, message } of diagnostics) {
    if (severity === 'note' || shown.has(code)) continue;
    shown.add(code);
    const text = `${message} [${code}]`.match(/\S.{0,95}(?=\s|$)/g) ?? [];
    for (const [at, line] of text.entries()) {
      say(`  ${at === 0 ? pc.yellow(`${severity}:`) : ' '.repeat(severity.length + 1)} ${line.trimEnd()}`);
    }
  }
}

/** Runs the built command line in the demo's folder and answers what it printed as JSON. */
async function treewright<Result extends Answer>(...args: readonly string[]): Promise<Result> {
  const started = Date.now();
  say(`\n${pc.cyan('$')} ${pc.bold(`treewright ${args.join(' ')}`)}`);
  const result = await execa(process.execPath, [CLI, ...args, '--json'], {
    cwd: FOLDER,
    stdin: 'ignore',
    stderr: 'pipe',
    reject: false,
  });
  if (result.exitCode !== 0) {
    throw new Error(`treewright ${args.join(' ')} failed: ${result.shortMessage}\n${result.stdout}\n${result.stderr}`);
  }
  const answer = JSON.parse(result.stdout) as Result;
  say(`  ${pc.green('done')} in ${seconds(started)}`);
  showWarnings(answer);
  return answer;
}

function showRelease({ commit, objects, bytes, deltas, download }: ReleaseAnswer): void {
  say(`  commit    ${pc.bold(commit)}`);
  say(
    `  objects   ${String(objects.total)} (${size(bytes.content)}), ${String(objects.written)} of them new (${size(bytes.written)} stored)`,
  );
  say(`  download  ${size(download.full)} for a device that has nothing`);
  for (const delta of deltas) {
    if (delta.fromVersion === undefined) continue;
    const of = percent(delta.bytes, download.full);
    say(
      `  delta     ${pc.bold(size(delta.bytes))} from ${delta.fromVersion}: ${of} of the full download (${size(delta.looseBytes)} without the delta)`,
    );
  }
}

function showVerified({ releases }: VerifyAnswer): void {
  for (const { version, commit, objects, deltas, apps } of releases) {
    say(
      `  ${pc.green('ok')} ${version.padEnd(18)} ${commit.slice(0, 16)}  ${[count(objects, 'object'), count(deltas, 'delta'), count(apps, 'app')].join(', ')}`,
    );
  }
}

/** The build output of the first release, and what makes that of the second one. */
async function buildImages(images: string): Promise<() => Promise<number>> {
  let more: () => Promise<number>;
  let entries: number;
  let kernelRelease: string;
  const packages = await fetchDemoPackages(say).catch((error: unknown) => {
    say(`Debian packages cannot be had here: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  });
  const started = Date.now();
  if (packages === undefined) {
    say('Using the small made-up root filesystem that examples/demo/small-rootfs.yaml describes.');
    ({ entries, kernelRelease } = await buildSmallImages(images));
    more = () => addSmallCalculator(images);
  } else {
    const base = packages.base.length + 1;
    say(
      `Using ${String(base)} Debian packages for arm64 from ${packages.mirror}: a BusyBox userland and a real kernel.`,
    );
    ({ entries, kernelRelease } = await buildDebianImages(images, packages));
    more = () => addDebianCalculator(images, packages);
  }
  const trees = (await deviceTreesOf(images)).join(', ');
  say(`  rootfs.tar  ${String(entries)} entries   ${seconds(started)}`);
  say(`  Image       Linux ${kernelRelease}`);
  if (trees !== '') say(`  ${trees}`);
  return more;
}

async function writeConfiguration(images: string): Promise<void> {
  await cp(join(EXAMPLE, 'apps'), join(FOLDER, 'apps'), { recursive: true });
  const text = await readFile(join(EXAMPLE, 'treewright.yaml'), 'utf8');
  const hasTrees = (await deviceTreesOf(images)).length > 0;
  await writeFile(join(FOLDER, 'treewright.yaml'), hasTrees ? text : text.replace(/^ *device-trees:.*\n/m, ''));
}

/** The parts of a release.json that the demo compares. */
interface Manifest {
  readonly ostree: { readonly rootTree: string; readonly timestamp: number };
}

async function manifestOf({ version }: ReleaseAnswer): Promise<Manifest> {
  const file = join(FOLDER, 'release/releases', version, 'release.json');
  return JSON.parse(await readFile(file, 'utf8')) as Manifest;
}

async function main(): Promise<void> {
  const started = Date.now();
  await rm(FOLDER, { recursive: true, force: true });
  await mkdir(FOLDER, { recursive: true });
  const images = join(FOLDER, 'images');

  say(pc.bold('treewright demo: two releases of an arm64 gateway and a way back\n'));
  const addCalculator = await buildImages(images);

  await treewright('init', '--source', 'images/rootfs.tar', '--product', 'gateway', '--machine', 'imx8mm-evk');
  await writeConfiguration(images);
  say('  keys made; treewright.yaml replaced by the one of examples/demo (kernel, device trees, an app)');

  const first = await treewright<ReleaseAnswer>('release', '--version', '1.0.0');
  showRelease(first);

  const entries = await addCalculator();
  say(`\nThe build is changed: bc is added, rootfs.tar has ${String(entries)} entries now.`);
  const second = await treewright<ReleaseAnswer>('release', '--version', '1.1.0');
  showRelease(second);

  // What a device is given at the factory; whoever holds it need not believe the release directory.
  await cp(join(FOLDER, 'release/tuf/1.root.json'), join(FOLDER, 'trusted-root.json'));
  showVerified(await treewright<VerifyAnswer>('verify', 'release', '--root', 'trusted-root.json'));

  const back = await treewright<ReleaseAnswer>('rollback', '1.0.0');
  showRelease(back);
  const [before, after] = [await manifestOf(first), await manifestOf(back)];
  if (before.ostree.rootTree !== after.ostree.rootTree || before.ostree.timestamp >= after.ostree.timestamp) {
    throw new Error('the rollback is not a newer commit of the first tree');
  }
  say(`  tree      that of 1.0.0, ${before.ostree.rootTree.slice(0, 16)}, with a newer timestamp`);

  const server = await serveDirectory(join(FOLDER, 'release'));
  try {
    showVerified(await treewright<VerifyAnswer>('verify', server.url, '--root', 'trusted-root.json'));
    const bytes = server.requests.reduce((sum, request) => sum + request.bytes, 0);
    say(`  over HTTP in ${count(server.requests.length, 'request')}, ${size(bytes)}`);
  } finally {
    await server.close();
  }

  const update = second.deltas.find(({ fromVersion }) => fromVersion === '1.0.0');
  if (update === undefined) throw new Error('the second release has no delta from the first');
  say(
    `\n${pc.green(pc.bold('All well'))} after ${seconds(started)}: a device on 1.0.0 fetches ${pc.bold(size(update.bytes))} instead of ${size(second.download.full)}.`,
  );
  say(`Look around in ${pc.bold(`${relative(process.cwd(), FOLDER) || '.'}/`)}: treewright.yaml, images/, release/.`);
}

main().catch((error: unknown) => {
  say(`\n${pc.red('The demo failed.')} ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});

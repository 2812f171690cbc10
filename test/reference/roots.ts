/**
 * Reference tools as private roots: a folder of unpacked Debian packages and small wrappers in `bin/` that start
 * each program through the loader and libraries of its own root. A root is made once, under a temporary name, and
 * renamed when it is whole; its name carries a digest of the recipe, so a changed recipe makes a new one.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { arch } from 'node:os';
import { basename, join } from 'node:path';
import type { DebianMirror } from '../support/debian-packages.ts';
import {
  downloadWithDependencies,
  findDebianMirror,
  openApt,
  packageOfDeb,
  unpackPackages,
} from '../support/debian-packages.ts';
import { makeOnce } from '../support/make-once.ts';
import { CACHE } from '../support/project.ts';

interface Program {
  readonly path: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** How one root is made. */
export interface RootRecipe {
  /** Name of the root, which tests use as its suite. */
  readonly name: string;
  /** Debian suite the packages come from. */
  readonly suite: string;
  readonly packages: readonly string[];
  /** Program name to its path inside the root, the arguments every call gets first, and variables (`@` is the root). */
  readonly programs: Readonly<Record<string, Program>>;
  /** Files of the recipe's own making, added after unpacking; `version` changes when what it does changes. */
  readonly finish?: {
    readonly version: string;
    readonly run: (root: string, context: RootContext) => Promise<void>;
  };
}

/** What a recipe's last step may use. */
export interface RootContext {
  readonly mirror: DebianMirror;
  /** Folder for its temporary files, removed afterwards. */
  readonly scratch: string;
  readonly progress: (line: string) => void;
}

/** What `manifest.json` of a root says. */
export interface RootManifest {
  readonly name: string;
  readonly packages: readonly { readonly name: string; readonly version: string }[];
}

/** Rises when the making of roots changes. */
const FORMAT = 4;

/** Packages that matter only when a package is installed or that are never run here: not fetched. */
const NOT_NEEDED = [
  ...['adduser', 'base-passwd', 'debconf', 'dpkg', 'gnupg', 'init-system-helpers', 'iptables', 'lsb-base'],
  ...['passwd', 'perl', 'sysvinit-utils', 'usrmerge'],
];

/** Names of the loader for each machine Debian's 64-bit ports run on. */
const LOADERS: Readonly<Record<string, string>> = {
  x64: 'ld-linux-x86-64.so.2',
  arm64: 'ld-linux-aarch64.so.1',
  riscv64: 'ld-linux-riscv64-lp64d.so.1',
};

const ROOTS = join(CACHE, 'reference');

/** Where the root of a recipe is, or will be. */
export function rootPath(recipe: RootRecipe): string {
  const { name, suite, packages, programs, finish } = recipe;
  const digest = createHash('sha256')
    .update(JSON.stringify([FORMAT, arch(), name, suite, packages, programs, NOT_NEEDED, finish?.version]))
    .digest('hex');
  return join(ROOTS, `${name}-${digest.slice(0, 10)}`);
}

/** The manifest of a root that is already there. */
export function installedRoot(recipe: RootRecipe): RootManifest | undefined {
  try {
    return JSON.parse(readFileSync(join(rootPath(recipe), 'manifest.json'), 'utf8')) as RootManifest;
  } catch {
    return undefined;
  }
}

/**
 * Makes the root of a recipe unless it is there. Several processes may ask at once: one works, the others wait.
 * Throws with the reason when it cannot be had.
 */
export async function ensureRoot(
  recipe: RootRecipe,
  progress: (line: string) => void,
): Promise<RootManifest> {
  await makeOnce(rootPath(recipe), async (root, scratch) => {
    const mirror = await findDebianMirror();
    progress(`${recipe.name}: fetching ${recipe.packages.join(', ')} from ${mirror.uri}`);
    const apt = await openApt({
      directory: join(scratch, 'packages'),
      mirror,
      suites: [recipe.suite],
      assumeInstalled: NOT_NEEDED.filter((name) => !recipe.packages.includes(name)),
    });
    const debs = await downloadWithDependencies(apt, recipe.packages);
    await unpackPackages(debs, root);
    await recipe.finish?.run(root, { mirror, scratch, progress });
    await writeWrappers(root, recipe);
    const made: RootManifest = { name: recipe.name, packages: debs.map(packageOfDeb) };
    await writeFile(join(root, 'manifest.json'), `${JSON.stringify(made, undefined, 1)}\n`);
  });
  const manifest = installedRoot(recipe);
  if (manifest === undefined) throw new Error(`${rootPath(recipe)} has no manifest.json: remove it`);
  return manifest;
}

/** The folder of a root's shared libraries that carries the machine's name, such as `x86_64-linux-gnu`. */
async function libraryTriplet(root: string): Promise<string> {
  const names = await readdir(join(root, 'usr/lib'));
  const triplet = names.find((name) => /^[a-z0-9_]+-linux-gnu[a-z0-9]*$/.test(name));
  if (triplet === undefined) throw new Error(`no library folder below ${root}/usr/lib`);
  return triplet;
}

/** The path of the root's own loader inside it; links to it may be absolute and would lead out of the root. */
function loaderPath(root: string, triplet: string): string {
  const loader = LOADERS[arch()];
  if (loader === undefined) throw new Error(`no loader name known for ${arch()}`);
  for (const folder of [`usr/lib/${triplet}`, 'usr/lib']) {
    if (existsSync(join(root, folder, loader))) return `${folder}/${loader}`;
  }
  throw new Error(`${loader} is not below ${root}/usr/lib`);
}

/** Statically linked programs name no loader (ELF program header type 3) and must be started directly. */
async function namesLoader(path: string): Promise<boolean> {
  const file = await readFile(path);
  if (file.readUInt32BE(0) !== 0x7f454c46 || file.readUInt8(4) !== 2) {
    throw new Error(`${path} is not a 64-bit ELF program`);
  }
  const table = Number(file.readBigUInt64LE(32));
  const entrySize = file.readUInt16LE(54);
  const entries = file.readUInt16LE(56);
  for (let entry = 0; entry < entries; entry++) {
    if (file.readUInt32LE(table + entry * entrySize) === 3) return true;
  }
  return false;
}

/**
 * Writes `bin/<program>`. The wrapper finds its root by its own path, so that a copied cache works, and keeps the
 * machine's settings out: preloaded libraries, GIO modules built for another GLib, time zone and language.
 */
async function writeWrappers(root: string, recipe: RootRecipe): Promise<void> {
  const triplet = await libraryTriplet(root);
  const loader = loaderPath(root, triplet);
  // `bin` is the merged-/usr link; the wrappers have a folder of their own.
  await mkdir(join(root, 'run-bin'), { recursive: true });
  for (const [program, { path, args = [], env = {} }] of Object.entries(recipe.programs)) {
    const dynamic = await namesLoader(join(root, path));
    const start = dynamic
      ? `"$root/${loader}" --inhibit-cache --library-path "$root/usr/local/lib:$root/usr/lib/${triplet}:$root/usr/lib/${triplet}/systemd:$root/usr/lib" --argv0 ${program} "$root/${path}"`
      : `"$root/${path}"`;
    const first = args.map((arg) => ` "${arg.replace(/^@/, '$root')}"`).join('');
    const script = [
      '#!/bin/sh',
      'case "$0" in /*) self="$0" ;; *) self="$PWD/$0" ;; esac',
      'root="${self%/*}/.."',
      'unset LD_LIBRARY_PATH LD_PRELOAD GIO_EXTRA_MODULES',
      'export TZ=UTC LC_ALL=C.UTF-8 GIO_MODULE_DIR="$root/no-gio-modules" GIO_USE_VFS=local',
      'export GSETTINGS_BACKEND=memory PATH="$root/run-bin:$PATH"',
      // Deployments would be made immutable, and a test's folder could not be removed.
      'export OSTREE_SYSROOT_DEBUG="${OSTREE_SYSROOT_DEBUG-mutable-deployments}"',
      ...Object.entries(env).map(([name, value]) => `export ${name}="${value.replace(/^@/, '$root')}"`),
      `exec ${start}${first} "$@"`,
      '',
    ].join('\n');
    const wrapper = join(root, 'run-bin', basename(program));
    await writeFile(wrapper, script);
    await chmod(wrapper, 0o755);
  }
}

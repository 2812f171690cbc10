/** Builds the initramfs of a release from its own root filesystem. */
import { gzipSync } from 'node:zlib';
import { utf8 } from '../../core/bytes.ts';
import type { Diagnostic } from '../../core/diagnostics.ts';
import { TreewrightError } from '../../core/errors.ts';
import type { CpioEntry } from '../../formats/cpio.ts';
import { encodeCpio } from '../../formats/cpio.ts';
import { filterBytes } from '../../platform/processes.ts';
import type { FileTree } from '../../tree/types.ts';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../tree/types.ts';
import type { OpenContent } from '../image/content.ts';
import type { Closure } from './closure.ts';
import { addClosure, createTreeReader } from './closure.ts';
import { findCommands } from './commands.ts';
import { INIT_SCRIPT, MODULE_LIST, OPTIONAL_COMMANDS, REQUIRED_COMMANDS } from './init-script.ts';
import { gatherModules } from './modules.ts';

export type InitramfsCompression = 'none' | 'gzip' | 'xz' | 'zstd';

export interface InitramfsOptions {
  /** The tree as it is committed: /usr merged, /etc in /usr/etc. */
  readonly tree: FileTree;
  readonly openContent: OpenContent;
  readonly kernelRelease: string;
  readonly compression: InitramfsCompression;
  /** Kernel modules by name, besides the usual ones. */
  readonly modules: readonly string[];
}

export interface Initramfs {
  readonly bytes: Uint8Array;
  /** Bytes before compression. */
  readonly unpacked: number;
  /** Names of programs, libraries and modules, the last in the order in which they are loaded. */
  readonly programs: readonly string[];
  readonly libraries: readonly string[];
  readonly modules: readonly string[];
  readonly diagnostics: readonly Diagnostic[];
}

export const PREPARE_ROOT = 'usr/lib/ostree/ostree-prepare-root';

/** Character device of major and minor number. */
const S_IFCHR = 0o020000;

/**
 * The same tree gives the same bytes.
 *
 * @throws TreewrightError `input/no-prepare-root`, `input/initramfs-commands`, `input/missing-library`
 */
export async function buildInitramfs(options: InitramfsOptions): Promise<Initramfs> {
  const { tree, openContent, kernelRelease } = options;
  const reader = createTreeReader(tree, openContent);
  const prepareRoot = await reader.read(PREPARE_ROOT);
  if (prepareRoot === undefined) {
    throw new TreewrightError(
      'input/no-prepare-root',
      `the root filesystem has no /${PREPARE_ROOT}, which mounts the deployment: build libostree into the image ` +
        '(ostree in Yocto, BR2_PACKAGE_LIBOSTREE in Buildroot)',
    );
  }
  const { modules, diagnostics } = await gatherModules(reader, kernelRelease, options.modules);
  const required = ['sh', ...REQUIRED_COMMANDS, ...(modules.length > 0 ? ['insmod'] : [])];
  const commands = await findCommands(reader, required, OPTIONAL_COMMANDS);
  const closure: Closure = { libraries: new Map(), interpreters: new Map() };
  for (const program of [prepareRoot, ...commands.programs.values()])
    await addClosure(reader, program, closure);

  const archive = createArchive();
  for (const directory of ['dev', 'proc', 'sys', 'run', 'sysroot', 'usr/bin', 'usr/lib/ostree', 'etc']) {
    archive.directory(directory);
  }
  for (const name of ['bin', 'sbin']) archive.link(name, 'usr/bin');
  archive.link('usr/sbin', 'bin');
  // Every library lies in /usr/lib, under which name ever the loader looks for it.
  for (const name of ['lib', 'lib64', 'lib32']) archive.link(name, 'usr/lib');
  for (const name of ['usr/lib64', 'usr/lib32']) archive.link(name, 'lib');
  archive.device('dev/console', 5, 1);
  archive.device('dev/null', 1, 3);
  archive.file('init', utf8(INIT_SCRIPT), 0o755);
  archive.file(
    MODULE_LIST,
    utf8(modules.map(({ path }) => `/${modulePath(kernelRelease, path)}\n`).join('')),
    0o644,
  );
  archive.file(PREPARE_ROOT, prepareRoot.bytes, 0o755);
  for (const [name, { bytes }] of commands.programs) archive.file(`usr/bin/${name}`, bytes, 0o755);
  for (const [name, target] of commands.links) archive.link(`usr/bin/${name}`, target);
  for (const [name, bytes] of closure.libraries) archive.file(`usr/lib/${name}`, bytes, 0o755);
  for (const [path, bytes] of closure.interpreters) archive.file(inUsrLib(path), bytes, 0o755);
  for (const { path, bytes } of modules) archive.file(modulePath(kernelRelease, path), bytes, 0o644);
  for (const path of ['usr/lib/ostree/prepare-root.conf', 'usr/etc/ostree/prepare-root.conf']) {
    const found = await reader.read(path);
    if (found !== undefined) archive.file(path.replace(/^usr\/etc/, 'etc'), found.bytes, 0o644);
  }

  // The time is of no use in it, and would change the bytes.
  const cpio = encodeCpio(archive.entries(), 0);
  return {
    bytes: await compress(cpio, options.compression),
    unpacked: cpio.length,
    programs: ['ostree-prepare-root', ...commands.programs.keys()].sort(),
    libraries: [...closure.libraries.keys()].sort(),
    modules: modules.map(({ path }) => path.slice(path.lastIndexOf('/') + 1)),
    diagnostics,
  };
}

function modulePath(release: string, path: string): string {
  return `usr/lib/modules/${release}/${path}`;
}

/** `/lib64/ld-linux-x86-64.so.2` and the like as they are reached through the links. */
function inUsrLib(path: string): string {
  return path.replace(/^\/(?:usr\/)?lib(?:64|32)?\//, 'usr/lib/').replace(/^\//, '');
}

async function compress(bytes: Uint8Array, compression: InitramfsCompression): Promise<Uint8Array> {
  switch (compression) {
    case 'none':
      return bytes;
    case 'gzip':
      return gzipSync(bytes, { level: 9 });
    case 'xz':
      // The kernel's decoder knows no other checksum.
      return filterBytes('xz', ['-c', '-6', '-T1', '--check=crc32'], bytes);
    case 'zstd':
      return filterBytes('zstd', ['-q', '-c', '-19', '--single-thread'], bytes);
  }
}

/** Collects entries; a path is taken once, and parents come before what is in them. */
function createArchive() {
  const entries = new Map<string, CpioEntry>();
  const parents = (path: string): void => {
    const cut = path.lastIndexOf('/');
    if (cut > 0) directory(path.slice(0, cut));
  };
  const add = (entry: CpioEntry): void => {
    if (entries.has(entry.path)) return;
    parents(entry.path);
    entries.set(entry.path, entry);
  };
  const none = new Uint8Array();
  const directory = (path: string): void => add({ path, mode: S_IFDIR | 0o755, content: none });
  return {
    directory,
    file: (path: string, content: Uint8Array, mode: number): void =>
      add({ path, mode: S_IFREG | mode, content }),
    link: (path: string, target: string): void => add({ path, mode: S_IFLNK | 0o777, content: utf8(target) }),
    device: (path: string, major: number, minor: number): void =>
      add({ path, mode: S_IFCHR | 0o600, content: none, device: { major, minor } }),
    entries: (): CpioEntry[] => [...entries.values()],
  };
}

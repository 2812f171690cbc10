/** Programs of a tree with the libraries they need, found as the dynamic loader would. Source: ld.so(8). */
import { TreewrightError } from '../../core/errors.ts';
import { collectBytes, fromUtf8 } from '../../core/bytes.ts';
import { decodeElfDynamic } from '../../formats/elf-dynamic.ts';
import type { ElfDynamic } from '../../formats/elf-dynamic.ts';
import type { FileTree } from '../../tree/types.ts';
import { lookup, resolve } from '../../tree/walk.ts';
import type { OpenContent } from '../image/content.ts';

/** Reads files of a tree whole; each once. */
export interface TreeReader {
  readonly tree: FileTree;
  /** The file at `path` after symlinks, or undefined. */
  read(path: string): Promise<{ readonly path: string; readonly bytes: Uint8Array } | undefined>;
  readText(path: string): Promise<string | undefined>;
}

export function createTreeReader(tree: FileTree, openContent: OpenContent): TreeReader {
  const cache = new Map<string, Promise<Uint8Array>>();
  const read: TreeReader['read'] = async (path) => {
    const found = resolve(tree, path);
    if (found?.node.kind !== 'file') return undefined;
    const { node } = found;
    const bytes = cache.get(found.path) ?? collectBytes(openContent(node));
    cache.set(found.path, bytes);
    return { path: found.path, bytes: await bytes };
  };
  return {
    tree,
    read,
    readText: async (path) => {
      const found = await read(path);
      return found === undefined ? undefined : fromUtf8(found.bytes);
    },
  };
}

/** Libraries by the names under which programs ask for them, and interpreters by their paths. */
export interface Closure {
  readonly libraries: Map<string, Uint8Array>;
  readonly interpreters: Map<string, Uint8Array>;
}

/**
 * Adds to `closure` what the program `bytes` at `path` needs.
 *
 * @throws TreewrightError `input/missing-library` naming the program and the library
 */
export async function addClosure(
  reader: TreeReader,
  program: { readonly path: string; readonly bytes: Uint8Array },
  closure: Closure,
): Promise<void> {
  const elf = decodeElfDynamic(program.bytes);
  if (elf === undefined) {
    await addInterpreterOfScript(reader, program, closure);
    return;
  }
  if (elf.interpreter !== undefined && !closure.interpreters.has(elf.interpreter)) {
    const interpreter = await reader.read(elf.interpreter);
    if (interpreter === undefined) throw missing(program.path, elf.interpreter);
    closure.interpreters.set(elf.interpreter, interpreter.bytes);
    await addClosure(reader, interpreter, closure);
  }
  for (const name of elf.needed) {
    if (closure.libraries.has(name)) continue;
    const library = await findLibrary(reader, program.path, elf, name);
    if (library === undefined) throw missing(program.path, name);
    closure.libraries.set(name, library.bytes);
    await addClosure(reader, library, closure);
  }
}

/** A program may be a shell script, whose interpreter the shell of the initramfs is. */
async function addInterpreterOfScript(
  reader: TreeReader,
  program: { readonly path: string; readonly bytes: Uint8Array },
  closure: Closure,
): Promise<void> {
  const line = /^#!\s*(\S+)/.exec(Buffer.from(program.bytes.subarray(0, 200)).toString('latin1'));
  const path = line?.[1];
  if (path === undefined || /\/(?:sh|bash|dash|ash|busybox)$/.test(path)) return;
  const interpreter = await reader.read(path);
  if (interpreter !== undefined) await addClosure(reader, interpreter, closure);
}

function missing(program: string, library: string): TreewrightError {
  return new TreewrightError(
    'input/missing-library',
    `/${program} needs ${library}, which is not in the root filesystem: it could not start on the device either`,
    { data: { program, library } },
  );
}

async function findLibrary(
  reader: TreeReader,
  program: string,
  elf: ElfDynamic,
  name: string,
): Promise<{ path: string; bytes: Uint8Array } | undefined> {
  if (name.includes('/')) return reader.read(name);
  const origin = program.slice(0, Math.max(0, program.lastIndexOf('/')));
  const own = (elf.runpath ?? elf.rpath ?? '')
    .split(':')
    .filter((directory) => directory !== '')
    .map((directory) => directory.replace(/\$(?:ORIGIN|\{ORIGIN\})/g, `/${origin}`));
  for (const directory of [...own, ...(await libraryDirectories(reader))]) {
    const found = await reader.read(`${directory}/${name}`);
    if (found === undefined) continue;
    // A directory may hold libraries of another word size.
    const library = decodeElfDynamic(found.bytes);
    if (library?.bits === elf.bits && library.machine === elf.machine) return found;
  }
  return undefined;
}

/** The loader's own directories, those of Debian's multiarch, and those of ld.so.conf and of musl. */
async function libraryDirectories(reader: TreeReader): Promise<string[]> {
  const found = ['lib', 'usr/lib', 'lib64', 'usr/lib64'];
  for (const top of ['usr/lib', 'lib']) {
    const node = resolve(reader.tree, top)?.node;
    if (node?.kind !== 'directory') continue;
    for (const [name, below] of node.entries) {
      if (below.kind === 'directory' && /^[a-z0-9_]+-linux-[a-z0-9]+$/.test(name))
        found.push(`${top}/${name}`);
    }
  }
  const etc = lookup(reader.tree, 'usr/etc')?.kind === 'directory' ? 'usr/etc' : 'etc';
  const files = [`${etc}/ld.so.conf`];
  const more = resolve(reader.tree, `${etc}/ld.so.conf.d`)?.node;
  if (more?.kind === 'directory')
    for (const name of more.entries.keys()) files.push(`${etc}/ld.so.conf.d/${name}`);
  const configuration = resolve(reader.tree, etc)?.node;
  if (configuration?.kind === 'directory') {
    for (const name of configuration.entries.keys())
      if (/^ld-musl-.*\.path$/.test(name)) files.push(`${etc}/${name}`);
  }
  for (const file of files) {
    const text = (await reader.readText(file)) ?? '';
    for (const line of text.split(/[\n:]/)) if (/^\s*\//.test(line)) found.push(line.trim());
  }
  return found;
}

/** The shell and the commands of an initramfs, from the busybox or the single programs of the root filesystem. */
import { TreewrightError } from '../../core/errors.ts';
import type { TreeReader } from './closure.ts';

export interface Commands {
  /** Programs by the names they get in /usr/bin. */
  readonly programs: ReadonlyMap<string, { readonly path: string; readonly bytes: Uint8Array }>;
  /** Names in /usr/bin that are symlinks to another one. */
  readonly links: ReadonlyMap<string, string>;
}

const PLACES = ['usr/bin', 'usr/sbin', 'bin', 'sbin'];

/** The program `name`, wherever it is. */
async function findProgram(
  reader: TreeReader,
  name: string,
): Promise<{ path: string; bytes: Uint8Array } | undefined> {
  for (const place of PLACES) {
    const found = await reader.read(`${place}/${name}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** True when the program is busybox and has this applet: their names stand in it one after the other. */
function hasApplet(busybox: Uint8Array, name: string): boolean {
  return Buffer.from(busybox.buffer, busybox.byteOffset, busybox.byteLength).includes(`\0${name}\0`);
}

/**
 * Finds a program for each command; busybox goes first, since it is one file for all.
 *
 * @throws TreewrightError `input/initramfs-commands` naming every required command that the tree does not have
 */
export async function findCommands(
  reader: TreeReader,
  required: readonly string[],
  optional: readonly string[],
): Promise<Commands> {
  const programs = new Map<string, { path: string; bytes: Uint8Array }>();
  const links = new Map<string, string>();
  const busybox = await findProgram(reader, 'busybox');
  const missing: string[] = [];
  for (const name of [...required, ...optional]) {
    if (busybox !== undefined && hasApplet(busybox.bytes, name)) {
      programs.set('busybox', busybox);
      links.set(name, 'busybox');
      continue;
    }
    const own = await findProgram(reader, name);
    if (own !== undefined && own.path !== busybox?.path) programs.set(name, own);
    else if (required.includes(name)) missing.push(name);
  }
  if (missing.length > 0) {
    throw new TreewrightError(
      'input/initramfs-commands',
      `the root filesystem has no ${missing.join(', ')}${busybox === undefined ? '' : ', and its busybox is built without'}: ` +
        'an initramfs cannot be made of it. Add busybox with these applets, or give an initramfs of your own ' +
        '(source.initramfs)',
      { data: { missing } },
    );
  }
  return { programs, links };
}

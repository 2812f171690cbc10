/** tmpfiles.d lines that fill /var from the factory copy. Source: tmpfiles.d(5). */
import { utf8 } from '../core/bytes.ts';
import type { SeedEntry } from './seed-entries.ts';

const HEADER = `# Made by treewright: brings what the build put into /var, /home and the like from /usr/share/factory.
# C copies a path only where there is none yet, so nothing on the device is ever overwritten.
`;

/**
 * Directories of the layout are `d` lines. Other files and directories are `C` without a source, which means the same
 * path below /usr/share/factory: it keeps owner and mode, and needs neither in the line, which tmpfiles would set
 * again at every boot. Links are `L`, because `C` looks at what a link leads to and fails when that is not there
 * (seen with systemd 252). A link whose target does not fit in a line comes along with its directory.
 */
export function tmpfilesLines(entries: readonly SeedEntry[]): string {
  const lines = entries.flatMap(({ path, node, base }) => {
    const { uid, gid, mode } = node.stat;
    const name = escapePath(`/${path}`);
    if (node.kind === 'symlink') {
      return fitsInLine(node.target) ? [`L ${name} - - - - ${node.target.replaceAll('%', '%%')}`] : [];
    }
    return base && node.kind === 'directory'
      ? [`d ${name} ${(mode & 0o7777).toString(8).padStart(4, '0')} ${uid} ${gid} -`]
      : [`C ${name} - - - -`];
  });
  return HEADER + lines.map((line) => `${line}\n`).join('');
}

/** The argument is the rest of the line as it is: it cannot begin or end with white space, or have a line break. */
function fitsInLine(target: string): boolean {
  return target !== '-' && target.trim() === target && !/\p{Cc}/u.test(target);
}

/** Fields end at white space, backslash and quotes are C-like, and % starts a specifier. */
export function escapePath(path: string): string {
  let out = '';
  for (const character of path) {
    const code = character.codePointAt(0) ?? 0;
    if (character === '%') out += '%%';
    else if (code <= 0x20 || code === 0x7f || '\\"\''.includes(character)) out += hex(character);
    else out += character;
  }
  return out;
}

function hex(character: string): string {
  return [...utf8(character)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}

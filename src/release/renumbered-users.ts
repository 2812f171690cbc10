/**
 * Users and groups whose number changed since the previous release. Files in /var of a device keep the old numbers and
 * then belong to somebody else. Buildroot gives out free numbers with each build (mkusers, uid -1), and so does Yocto
 * without static ids, so that a package more or less may move them.
 */
import type { Checksum } from '../core/checksum.ts';
import { collectBytes, fromUtf8 } from '../core/bytes.ts';
import type { Diagnostic } from '../core/diagnostics.ts';
import { decodeAccountIds } from '../formats/account-file.ts';
import type { ByteStore } from '../platform/store.ts';
import { lookupPath, readContent } from '../repo/read.ts';

const FILES = [
  { name: 'passwd', what: 'user' },
  { name: 'group', what: 'group' },
] as const;

/** As many as are named in the message. */
const SHOWN = 5;

/** One warning, or none. */
export async function renumberedUsers(
  repo: ByteStore,
  commit: Checksum,
  parent: Checksum,
): Promise<Diagnostic[]> {
  const changes: string[] = [];
  for (const { name, what } of FILES) {
    const [before, after] = [await accountIds(repo, parent, name), await accountIds(repo, commit, name)];
    for (const [account, id] of after) {
      const previous = before.get(account);
      if (previous !== undefined && previous !== id)
        changes.push(`${what} ${account} (${previous} to ${id})`);
    }
  }
  if (changes.length === 0) return [];
  const more = changes.length > SHOWN ? ` and ${changes.length - SHOWN} more` : '';
  return [
    {
      severity: 'warning',
      code: 'input/renumbered-users',
      message:
        `numbers changed since the previous release: ${changes.slice(0, SHOWN).join(', ')}${more}. Files in /var of devices ` +
        'keep the old ones and then belong to others; give these accounts fixed numbers in the build',
    },
  ];
}

/** Empty when there is no such file, or it is a symlink, which the files of a build are not. */
async function accountIds(
  repo: ByteStore,
  commit: Checksum,
  name: string,
): Promise<ReadonlyMap<string, number>> {
  for (const directory of ['usr/etc', 'etc']) {
    const entry = await lookupPath(repo, commit, `${directory}/${name}`);
    if (entry === undefined || entry.kind === 'directory') continue;
    const text = fromUtf8(await collectBytes((await readContent(repo, entry.checksum)).chunks));
    return decodeAccountIds(text ?? '');
  }
  return new Map();
}

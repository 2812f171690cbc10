import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Checksum } from '../../src/core/checksum.ts';
import { noEvents } from '../../src/core/events.ts';
import { openStore } from '../../src/platform/store.ts';
import { commitSource } from '../../src/release/commit.ts';
import { renumberedUsers } from '../../src/release/renumbered-users.ts';
import { writeFiles } from '../sources/builds.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tw-users-'));
});
afterAll(() => rm(scratch, { recursive: true }));

let commits = 0;
async function commit(files: Record<string, string>): Promise<Checksum> {
  const tree = join(scratch, `tree-${commits++}`);
  await writeFiles(tree, { 'usr/bin/x': '', ...files });
  const report = await commitSource({
    repo: join(scratch, 'repo'),
    branch: 'users',
    source: tree,
    layout: 'none',
    owner: 'root',
    timestamp: 1_700_000_000,
    events: noEvents,
  });
  return report.commit;
}

test('users and groups that got another number are named; new ones and those that went are not', async () => {
  const before = await commit({
    'usr/etc/passwd': 'root:x:0:0::/root:/bin/sh\nhello:x:100:101::/:/bin/false\nold:x:7:7::/:\nodd line\n',
    'usr/etc/group': 'root:x:0:\nhello:x:101:\n',
  });
  const after = await commit({
    'usr/etc/passwd': 'root:x:0:0:changed:/root:/bin/sh\nnew:x:100:100::/:\nhello:x:103:104::/:/bin/false\n',
    'usr/etc/group': 'root:x:0:\nhello:x:104:hello\n',
  });
  const store = openStore(join(scratch, 'repo'));
  expect(await renumberedUsers(store, after, before)).toMatchObject([
    {
      severity: 'warning',
      code: 'input/renumbered-users',
      message: expect.stringContaining('user hello (100 to 103), group hello (101 to 104). Files') as string,
    },
  ]);
  expect(await renumberedUsers(store, after, after)).toEqual([]);
});

test('a tree without accounts, or with a symlink in their place, has none', async () => {
  const none = await commit({});
  const link = await commit({ 'etc/passwd': '-> ../usr/lib/passwd', 'etc/group': 'a:x:1:\n' });
  const store = openStore(join(scratch, 'repo'));
  expect(await renumberedUsers(store, link, none)).toEqual([]);
  expect(await renumberedUsers(store, none, link)).toEqual([]);
});

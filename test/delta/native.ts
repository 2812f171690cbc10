/** Commits the trees of a test with our own writer, so that deltas can be tested where no reference tool is. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { Checksum } from '../../src/core/checksum.ts';
import { utf8 } from '../../src/core/bytes.ts';
import type { WorkerPool } from '../../src/platform/workers.ts';
import { createWorkerPool } from '../../src/platform/workers.ts';
import { commitMetadata, writeCommit, writeTree } from '../../src/repo/commit.ts';
import { ensureRepository } from '../../src/repo/repository.ts';
import { beginTransaction } from '../../src/repo/transaction.ts';
import type { Stat } from '../../src/tree/types.ts';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../src/tree/types.ts';
import { emptyTree, ensureDirectory } from '../../src/tree/walk.ts';
import type { RandomEntry } from '../support/random-tree.ts';
import { NEW, OLD } from './pair.ts';

function statOf(entry: RandomEntry, type: number): Stat {
  const xattrs = Object.entries(entry.xattrs).map(([name, value]) => ({ name, value: utf8(value) }));
  return { uid: entry.uid, gid: entry.gid, mode: type | entry.mode, xattrs };
}

/** The releases of pair.ts in an archive repository, and workers; all goes when the tests of the file are through. */
export async function commitPair(): Promise<{
  scratch: string;
  repo: string;
  pool: WorkerPool;
  from: Checksum;
  to: Checksum;
}> {
  const scratch = await mkdtemp(join(tmpdir(), 'treewright-pair-'));
  const pool = createWorkerPool(2);
  afterAll(async () => {
    await pool.close();
    await rm(scratch, { recursive: true, force: true });
  });
  const repo = join(scratch, 'repo');
  const from = await commitEntries(repo, pool, OLD);
  const to = await commitEntries(repo, pool, NEW, 1_700_000_100);
  return { scratch, repo, pool, from, to };
}

export async function commitEntries(
  repo: string,
  pool: WorkerPool,
  entries: readonly RandomEntry[],
  timestamp = 1_700_000_000,
): Promise<Checksum> {
  await ensureRepository(repo);
  const tree = emptyTree();
  for (const entry of entries) {
    const slash = entry.path.lastIndexOf('/');
    const name = entry.path.slice(slash + 1);
    if (entry.type === 'directory') {
      ensureDirectory(tree, entry.path).stat = statOf(entry, S_IFDIR);
      continue;
    }
    const parent = slash < 0 ? tree.root : ensureDirectory(tree, entry.path.slice(0, slash));
    if (entry.type === 'symlink') {
      parent.entries.set(name, {
        kind: 'symlink',
        stat: statOf(entry, S_IFLNK),
        target: entry.linkname ?? '',
      });
    } else {
      const bytes = entry.content ?? new Uint8Array(0);
      parent.entries.set(name, {
        kind: 'file',
        stat: statOf(entry, S_IFREG),
        content: { kind: 'inline', bytes },
      });
    }
  }
  const transaction = await beginTransaction({ repo, pool });
  const root = await writeTree(transaction, tree);
  const commit = await writeCommit(transaction, {
    metadata: commitMetadata({ ref: 'test' }),
    subject: '',
    body: '',
    timestamp,
    ...root,
  });
  await transaction.flush();
  return commit;
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { gatherWork } from '../../src/delta/gather.ts';
import { generateDelta } from '../../src/delta/generate.ts';
import { verifyDelta } from '../../src/delta/verify.ts';
import { openStore } from '../../src/platform/store.ts';
import type { WorkerPool } from '../../src/platform/workers.ts';
import { createWorkerPool } from '../../src/platform/workers.ts';
import type { RandomEntry } from '../support/random-tree.ts';
import { edited, programBytes } from '../support/small-rootfs.ts';
import { commitEntries } from './native.ts';
import { noise } from './pair.ts';

let scratch: string;
let repo: string;
let pool: WorkerPool;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-renames-'));
  repo = join(scratch, 'repo');
  pool = createWorkerPool(2);
});
afterAll(async () => {
  await pool.close();
  await rm(scratch, { recursive: true, force: true });
});

function tree(files: Record<string, Buffer>): RandomEntry[] {
  const common = { uid: 0, gid: 0, xattrs: {} };
  return [
    { path: '', type: 'directory', mode: 0o755, ...common },
    ...Object.entries(files).map(([path, content]) => ({
      path,
      type: 'file' as const,
      mode: 0o644,
      content,
      ...common,
    })),
  ];
}

test('a file that was moved, renamed and changed is made out of what it was, found by its content', async () => {
  const engine = programBytes(31, 200_000);
  const other = programBytes(32, 200_000);
  const from = await commitEntries(
    repo,
    pool,
    tree({ 'opt/engine': engine, 'opt/another': other, 'opt/stays': programBytes(33, 50_000) }),
  );
  const to = await commitEntries(
    repo,
    pool,
    tree({
      'srv/motor.bin': edited(engine, 34),
      'opt/stays': programBytes(33, 50_000),
      'srv/brand-new': programBytes(35, 30_000),
      'srv/packed': noise(36, 30_000),
    }),
  );
  const { files } = await gatherWork(repo, { from, to }, pool);
  const sourcesOf = (path: string): number | undefined =>
    files.find(({ paths }) => paths[0] === path)?.sources.length;
  expect(files.find(({ paths }) => paths[0] === 'srv/motor.bin')?.sources[0]?.size).toBe(engine.length);
  expect(sourcesOf('srv/brand-new')).toBe(0);
  expect(sourcesOf('srv/packed')).toBe(0);

  const info = await generateDelta({ repo, from, to, pool });
  await verifyDelta(openStore(repo), { from, to });
  // The new file and the noise come whole; of the moved one only what was edited.
  expect(info.bytes).toBeLessThan(info.looseBytes / 2);
});

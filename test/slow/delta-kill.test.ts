/** Applying a delta that is killed at any moment leaves no commit that lacks something, and the next run completes it. */
import { existsSync } from 'node:fs';
import { appendFile, cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Checksum } from '../../src/core/checksum.ts';
import { generateDelta } from '../../src/delta/generate.ts';
import { openStore } from '../../src/platform/store.ts';
import { createWorkerPool } from '../../src/platform/workers.ts';
import { objectPath } from '../../src/repo/paths.ts';
import { listObjects, readContent } from '../../src/repo/read.ts';
import { commitEntries } from '../delta/native.ts';
import { PROJECT } from '../support/project.ts';
import type { RandomEntry } from '../support/random-tree.ts';
import { random } from '../support/random-tree.ts';
import { edited, programBytes } from '../support/small-rootfs.ts';

const MOMENTS = 20;

let scratch: string;
let client: string;
let delta: string;
let from: Checksum;
let to: Checksum;

function file(path: string, content: Buffer): RandomEntry {
  return { path, type: 'file', mode: 0o644, uid: 0, gid: 0, xattrs: {}, content };
}

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-delta-kill-'));
  const repo = join(scratch, 'repo');
  client = join(scratch, 'client');
  delta = join(scratch, 'delta');
  const pool = createWorkerPool(2);
  const old = Array.from({ length: 150 }, (_, i) => file(`program-${i}`, programBytes(i, 40_000)));
  from = await commitEntries(repo, pool, old);
  await appendFile(join(repo, 'config'), 'fsync=false\n');
  await cp(repo, client, { recursive: true });
  const fresh = old.map(({ path, content }, i) => file(path, edited(Buffer.from(content ?? ''), 1000 + i)));
  to = await commitEntries(repo, pool, fresh, 1_700_000_100);
  await generateDelta({ repo, from, to, pool, output: delta, maxPartSize: 20_000 });
  await pool.close();
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function expectWhole(repo: string, commit: Checksum): Promise<void> {
  const store = openStore(repo);
  for (const checksum of (await listObjects(store, commit)).files.keys()) {
    for await (const chunk of (await readContent(store, checksum)).chunks)
      expect(chunk.length).toBeGreaterThan(0);
  }
}

/** Whatever has an object's name is that object. */
async function expectObjectsWhole(repo: string): Promise<void> {
  for (const prefix of await readdir(join(repo, 'objects'))) {
    for (const name of await readdir(join(repo, 'objects', prefix))) {
      if (!name.endsWith('.filez')) continue;
      const checksum = `${prefix}${name.slice(0, -'.filez'.length)}` as Checksum;
      for await (const chunk of (await readContent(openStore(repo), checksum)).chunks) {
        expect(chunk.length).toBeGreaterThan(0);
      }
    }
  }
}

test(`killed with SIGKILL at ${MOMENTS} random moments`, { timeout: 10 * 60_000 }, async () => {
  // The time that the next run is taken to need; a run that ends sooner than its moment corrects it.
  let duration = 3000;
  const next = random(20261127);
  let killed = 0;
  for (let attempt = 0; killed < MOMENTS; attempt++) {
    expect(attempt, 'most moments must lie within a run').toBeLessThan(3 * MOMENTS);
    const repo = join(scratch, `attempt-${attempt}`);
    await cp(client, repo, { recursive: true });
    const args = [join(PROJECT, 'dist/cli/main.js'), 'delta', 'apply', delta, '--repo', repo];
    const started = Date.now();
    const child = execa(process.execPath, args, { reject: false, stdin: 'ignore' });
    const timer = setTimeout(() => child.kill('SIGKILL'), next() * duration);
    const result = await child;
    clearTimeout(timer);
    if (result.signal === 'SIGKILL') {
      killed++;
      await expectObjectsWhole(repo);
      if (existsSync(join(repo, objectPath(to, 'commit')))) await expectWhole(repo, to);
      expect((await execa(process.execPath, args, { stdin: 'ignore' })).exitCode).toBe(0);
    } else {
      duration = Date.now() - started;
    }
    await expectWhole(repo, from);
    await expectWhole(repo, to);
    expect(await readdir(join(repo, 'tmp'))).toEqual([]);
    await rm(repo, { recursive: true });
  }
});

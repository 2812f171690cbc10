import { execa } from 'execa';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { acquireLock } from '../../src/platform/lock.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-lock-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

test('a second holder is told who has the lock, and gets it after the release', async () => {
  const path = join(scratch, 'one.lock');
  const lock = await acquireLock(path, { wait: 0 });
  await expect(acquireLock(path, { wait: 0 })).rejects.toMatchObject({
    code: 'input/locked',
    message: expect.stringContaining(`process ${process.pid} on ${hostname()}`) as unknown,
  });
  let waited: number | undefined;
  const second = acquireLock(path, { wait: 10_000, onWait: ({ pid }) => (waited = pid) });
  await new Promise((resolve) => setTimeout(resolve, 300));
  await lock.release();
  await (await second).release();
  expect(waited).toBe(process.pid);
  expect(await readdir(scratch)).toEqual([]);
});

test('a place where nothing can be made is refused, not tried forever', async () => {
  // Node's recursive mkdir never comes back from this one.
  await expect(acquireLock('/proc/nowhere/x/one.lock', { wait: 0 })).rejects.toMatchObject({
    code: 'ENOENT',
  });
  await writeFile(join(scratch, 'file'), '');
  await expect(acquireLock(join(scratch, 'file/x.lock'), { wait: 0 })).rejects.toMatchObject({
    code: 'EEXIST',
  });
  await rm(join(scratch, 'file'));
});

test('the lock of a process that died is taken over', async () => {
  const path = join(scratch, 'dead.lock');
  const child = execa('sleep', ['60']);
  const pid = child.pid ?? 0;
  child.kill('SIGKILL');
  await child.catch(() => undefined);
  await writeFile(path, JSON.stringify({ pid, host: hostname(), process: '', since: '' }));
  await (await acquireLock(path, { wait: 0 })).release();
});

test('the lock of a reused process id is taken over', async () => {
  const path = join(scratch, 'reused.lock');
  await writeFile(
    path,
    JSON.stringify({ pid: process.pid, host: hostname(), process: 'another boot:1', since: '' }),
  );
  await (await acquireLock(path, { wait: 0 })).release();
});

test('the lock of another machine is respected', async () => {
  const path = join(scratch, 'far.lock');
  await writeFile(
    path,
    JSON.stringify({ pid: 1, host: 'elsewhere', process: '', since: '2026-01-01T00:00:00Z' }),
  );
  await expect(acquireLock(path, { wait: 0 })).rejects.toMatchObject({ data: { host: 'elsewhere', pid: 1 } });
});

test('of many who want a lock one at a time has it', async () => {
  const path = join(scratch, 'many.lock');
  let inside = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      const lock = await acquireLock(path, { wait: 30_000 });
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setTimeout(resolve, 5));
      inside--;
      await lock.release();
    }),
  );
  expect(most).toBe(1);
});

/** Directories of the cache that are made once, by whichever process comes first. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Makes the directory `target` unless it is there. `make` gets a directory to fill, which is renamed when it is
 * whole, and one for temporary files. Several processes may ask at once: one works, the others wait.
 */
export async function makeOnce(
  target: string,
  make: (directory: string, scratch: string) => Promise<void>,
): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const lock = `${target}.lock`;
  for (;;) {
    if (existsSync(target)) return;
    if (await takeLock(lock)) break;
    await delay(200);
  }
  const work = join(dirname(target), `.new-${basename(target)}-${randomBytes(6).toString('hex')}`);
  try {
    if (existsSync(target)) return;
    const directory = join(work, 'made');
    const scratch = join(work, 'scratch');
    for (const path of [directory, scratch]) await mkdir(path, { recursive: true });
    await make(directory, scratch);
    try {
      await rename(directory, target);
    } catch (error) {
      // Another process, whose lock was broken, may have been faster: what it made is as good.
      if (!existsSync(target)) throw error;
    }
  } finally {
    await rm(work, { recursive: true, force: true });
    await rm(lock, { force: true });
  }
}

/** True when the lock is ours. A lock whose holder died, or that is older than an hour, is removed. */
async function takeLock(path: string): Promise<boolean> {
  try {
    const handle = await open(path, 'wx');
    await handle.writeFile(`${process.pid} ${hostname()}\n`);
    await handle.close();
    return true;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
  const text = await readFile(path, 'utf8').catch(() => '');
  const age = Date.now() - (await stat(path).then((facts) => facts.mtimeMs, Date.now));
  const [pid = '', host = ''] = text.trim().split(' ');
  if (age > 3_600_000 || (host === hostname() && !isAlive(Number(pid)))) await rm(path, { force: true });
  return false;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

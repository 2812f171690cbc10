/**
 * One writer at a time. A lock is a file that names its holder; it appears complete by `link`, so that whoever
 * sees it can read it, and a holder that died on this machine is recognised and replaced.
 */
import { randomBytes } from 'node:crypto';
import { link, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import { makeDirectories } from './files.ts';

/** Who holds a lock. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** Kernel boot and process start, so that a reused pid is not taken for the holder. */
  readonly process: string;
  /** ISO 8601, UTC. */
  readonly since: string;
}

export interface Lock {
  release(): Promise<void>;
}

export interface LockOptions {
  /** How long to wait for another holder, in milliseconds. */
  readonly wait: number;
  /** Called once when waiting begins. */
  readonly onWait?: (holder: LockHolder) => void;
}

const POLL = 200;

/** Boot id and start time of a process on Linux; empty where /proc does not tell. */
async function processIdentity(pid: number): Promise<string | undefined> {
  try {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The program's name may hold spaces; fields are counted from behind its closing parenthesis.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return `${boot}:${fields[19] ?? ''}`;
  } catch (error) {
    return systemErrorCode(error) === 'ENOENT' ? undefined : '';
  }
}

/** Takes the lock file at `path`, or throws `input/locked` naming the holder when `wait` has passed. */
export async function acquireLock(path: string, options: LockOptions): Promise<Lock> {
  await makeDirectories(dirname(path));
  const mine = JSON.stringify({
    pid: process.pid,
    host: hostname(),
    process: (await processIdentity(process.pid)) ?? '',
    since: new Date().toISOString(),
  } satisfies LockHolder);
  const deadline = Date.now() + options.wait;
  let waiting = false;
  for (;;) {
    if (await tryCreate(path, mine)) {
      return { release: () => releaseIfMine(path, mine) };
    }
    const text = await readIfThere(path);
    if (text === undefined) continue;
    const holder = parseHolder(text);
    if (holder !== undefined && (await isDead(holder))) {
      await removeStale(path, text);
      continue;
    }
    if (Date.now() >= deadline) throw lockedError(path, holder);
    if (!waiting && holder !== undefined) options.onWait?.(holder);
    waiting = true;
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
}

async function tryCreate(path: string, content: string): Promise<boolean> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}`;
  await writeFile(temporary, content, { flag: 'wx' });
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function parseHolder(text: string): LockHolder | undefined {
  try {
    const value = JSON.parse(text) as Partial<LockHolder>;
    if (typeof value.pid !== 'number' || typeof value.host !== 'string') return undefined;
    return { pid: value.pid, host: value.host, process: value.process ?? '', since: value.since ?? '' };
  } catch {
    return undefined;
  }
}

/** Only a holder on this machine can be known to be dead. */
async function isDead(holder: LockHolder): Promise<boolean> {
  if (holder.host !== hostname()) return false;
  const identity = await processIdentity(holder.pid);
  return identity === undefined || (identity !== '' && holder.process !== '' && identity !== holder.process);
}

/**
 * Moves a dead holder's lock away. Two processes may find it dead at once: the slower one then moves the lock
 * the faster one has just taken, notices by its content, and puts it back.
 */
async function removeStale(path: string, stale: string): Promise<void> {
  const aside = `${path}.${randomBytes(8).toString('hex')}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw error;
  }
  if ((await readFile(aside, 'utf8')) !== stale) {
    await link(aside, path).catch(() => undefined);
  }
  await unlink(aside);
}

async function releaseIfMine(path: string, mine: string): Promise<void> {
  if ((await readIfThere(path)) === mine) await rm(path, { force: true });
}

function lockedError(path: string, holder: LockHolder | undefined): TreewrightError {
  const who =
    holder === undefined
      ? 'an unreadable holder'
      : `process ${holder.pid} on ${holder.host} since ${holder.since}`;
  return new TreewrightError(
    'input/locked',
    `${path} is held by ${who}; wait for it to finish, or delete the file if that process no longer exists`,
    {
      data: {
        path,
        ...(holder === undefined ? {} : { pid: holder.pid, host: holder.host, since: holder.since }),
      },
    },
  );
}

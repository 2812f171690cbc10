/** Whole-process figures of a command and everything it starts, read from /proc while it runs. */
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

export interface Figures {
  /** Seconds from start to end. */
  readonly wall: number;
  /** Processor seconds, user and system, of the process and all that it started. */
  readonly cpu: number;
  /** Largest resident memory of all its processes together at one moment, in MiB. */
  readonly memory: number;
  readonly stdout: string;
}

/**
 * Milliseconds between two looks at the memory. They are made with few and synchronous reads: each takes time from a
 * command that uses all cores, and none from one that leaves a core idle.
 */
const SAMPLE_INTERVAL = 50;
/** Linux counts processor time in hundredths of a second towards user space (USER_HZ). */
const TICKS = 100;
const MIB = 1 << 20;
const PAGE = 4096;
/** include/linux/sched.h: forked, and no exec since. */
const PF_FORKNOEXEC = 0x40;

/** The fields of /proc/PID/stat from the state on, which is the third; see proc_pid_stat(5). */
function statFields(pid: number | 'self'): number[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
}

/** Processor seconds of the children of this process that have ended, and of theirs. */
function cpuOfChildren(): number {
  const fields = statFields('self');
  return ((fields[13] ?? 0) + (fields[14] ?? 0)) / TICKS;
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1').split(' ').filter(Boolean).map(Number),
  );
}

/** Resident bytes of a process and all below it; what ends in between counts nothing. */
function residentBytes(pid: number): number {
  try {
    const fields = statFields(pid);
    // Between fork and exec a child shows its parent's pages as its own.
    if (((fields[6] ?? 0) & PF_FORKNOEXEC) !== 0) return 0;
    const own = (fields[21] ?? 0) * PAGE;
    return childrenOf(pid).reduce((sum, child) => sum + residentBytes(child), own);
  } catch {
    return 0;
  }
}

/** Runs a command to its end; throws when it fails. Only one may run at a time. */
export async function measure(command: string, args: readonly string[]): Promise<Figures> {
  const cpuBefore = cpuOfChildren();
  const started = process.hrtime.bigint();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  let memory = 0;
  const sampling = setInterval(() => {
    if (child.pid !== undefined) memory = Math.max(memory, residentBytes(child.pid) / MIB);
  }, SAMPLE_INTERVAL);
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    const wall = Number(process.hrtime.bigint() - started) / 1e9;
    if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}\n${stderr}`);
    return { wall, cpu: cpuOfChildren() - cpuBefore, memory, stdout };
  } finally {
    clearInterval(sampling);
  }
}

/** The median of several numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

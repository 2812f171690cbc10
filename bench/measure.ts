/** Whole-process figures of a command and everything it starts, read from /proc while it runs. */
import { spawn } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';

export interface Figures {
  /** Seconds from start to end. */
  readonly wall: number;
  /** Processor seconds, user and system, of the process and its finished children. */
  readonly cpu: number;
  /** Largest resident memory of all its processes together at one moment, in MiB. */
  readonly memory: number;
  readonly stdout: string;
}

const SAMPLE_INTERVAL = 20;
/** Linux counts processor time in hundredths of a second towards user space (USER_HZ). */
const TICKS = 100;

interface Sample {
  readonly cpu: number;
  readonly memory: number;
}

async function sample(pid: number): Promise<Sample | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0);
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const rss = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
    return { cpu: ticks / TICKS, memory: rss / 1024 };
  } catch {
    return undefined;
  }
}

async function descendants(pid: number): Promise<number[]> {
  const found: number[] = [];
  try {
    for (const task of await readdir(`/proc/${pid}/task`)) {
      const children = await readFile(`/proc/${pid}/task/${task}/children`, 'utf8');
      for (const child of children.trim().split(' ')) if (child !== '') found.push(Number(child));
    }
  } catch {
    return found;
  }
  return [...found, ...(await Promise.all(found.map(descendants))).flat()];
}

/** Runs a command to its end; throws when it fails. */
export async function measure(command: string, args: readonly string[]): Promise<Figures> {
  const started = process.hrtime.bigint();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  let cpu = 0;
  let memory = 0;
  let wall = 0;
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => {
      wall = Number(process.hrtime.bigint() - started) / 1e9;
      resolve(status);
    });
  });
  const pid = child.pid ?? 0;
  while (child.exitCode === null && child.signalCode === null) {
    const own = await sample(pid);
    const others = await Promise.all((await descendants(pid)).map(sample));
    if (own !== undefined) {
      // Time of running children is not in the parent's figures yet.
      cpu = Math.max(cpu, own.cpu + others.reduce((sum, other) => sum + (other?.cpu ?? 0), 0));
      memory = Math.max(memory, own.memory + others.reduce((sum, other) => sum + (other?.memory ?? 0), 0));
    }
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_INTERVAL));
  }
  const status = await ended;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}\n${stderr}`);
  return { wall, cpu, memory, stdout };
}

/** The median of several numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

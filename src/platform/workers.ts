/**
 * A pool of worker threads for work that keeps a core busy: compression, matching.
 *
 * A task is a function registered under a name by the module that owns it. The pool sends the name and that
 * module's URL; a worker imports the module when it does not know the name yet. The single-file bundle is its own
 * worker entry, and every task is registered there before the first request comes.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { BUNDLED_FILES } from '../core/bundled-files.ts';
import type { ErrorCode, ErrorData } from '../core/errors.ts';
import { TreewrightError } from '../core/errors.ts';

/** A function that may run in another thread; input and output survive structured cloning. */
export interface Task<Input, Output> {
  readonly name: string;
  readonly module: string;
  readonly run: (input: Input) => Output | Promise<Output>;
}

const registry = new Map<string, (input: unknown) => unknown>();

/** Registers a task. `module` is the `import.meta.url` of the caller; `name` is unique in the program. */
export function defineTask<Input, Output>(
  name: string,
  module: string,
  run: (input: Input) => Output | Promise<Output>,
): Task<Input, Output> {
  registry.set(name, run as (input: unknown) => unknown);
  return { name, module, run };
}

/** The registered function, imported from its module when this thread has not seen it yet. */
export async function taskFunction(name: string, module: string): Promise<(input: unknown) => unknown> {
  const known = registry.get(name);
  if (known) return known;
  await import(module);
  const loaded = registry.get(name);
  if (loaded) return loaded;
  throw new TreewrightError('internal/no-task', `module ${module} does not define the task ${name}`);
}

export interface WorkerPool {
  /** Number of threads. */
  readonly size: number;
  /** Runs a task in a free worker, in the order of the calls. Buffers in `transfer` move instead of being copied. */
  run<Input, Output>(
    task: Task<Input, Output>,
    input: Input,
    transfer?: readonly ArrayBuffer[],
  ): Promise<Output>;
  /** Ends the threads; pending runs reject. */
  close(): Promise<void>;
}

/** What the pool sends to a worker. */
export interface TaskRequest {
  readonly id: number;
  readonly name: string;
  readonly module: string;
  readonly input: unknown;
}

/** What a worker answers. */
export type TaskReply =
  | { readonly id: number; readonly ok: true; readonly output: unknown }
  | {
      readonly id: number;
      readonly ok: false;
      readonly message: string;
      readonly stack: string | undefined;
      readonly code?: ErrorCode;
      readonly data?: ErrorData;
    };

interface Job {
  readonly request: TaskRequest;
  readonly transfer: readonly ArrayBuffer[];
  readonly resolve: (output: never) => void;
  readonly reject: (error: Error) => void;
}

/** Node cannot load TypeScript sources before 22.18; from a source checkout the workers run the built files. */
function builtModule(url: string): string {
  return url.endsWith('.ts') ? url.replace('/src/', '/dist/').replace(/\.ts$/, '.js') : url;
}

function workerEntry(): URL {
  if (BUNDLED_FILES !== undefined) return new URL(import.meta.url);
  return new URL(builtModule(new URL('./worker-main.ts', import.meta.url).href).replace(/\.ts$/, '.js'));
}

/** Threads start when first needed. `size` defaults to the cores this process may use. */
export function createWorkerPool(size: number = availableParallelism()): WorkerPool {
  const entry = workerEntry();
  const waiting: Job[] = [];
  const idle: Worker[] = [];
  const running = new Map<Worker, Job>();
  const workers = new Set<Worker>();
  let closed = false;
  let nextId = 0;

  const start = (): Worker => {
    const worker = new Worker(entry);
    workers.add(worker);
    worker.on('message', (reply: TaskReply) => {
      const job = running.get(worker);
      running.delete(worker);
      idle.push(worker);
      // An idle pool must not keep the process alive.
      worker.unref();
      if (job) settle(job, reply);
      dispatch();
    });
    worker.on('error', (error) => lose(worker, error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', (status) => lose(worker, new Error(`a worker thread ended with status ${status}`)));
    return worker;
  };

  const lose = (worker: Worker, error: Error): void => {
    workers.delete(worker);
    const at = idle.indexOf(worker);
    if (at >= 0) idle.splice(at, 1);
    const job = running.get(worker);
    running.delete(worker);
    job?.reject(error);
    if (!closed) dispatch();
  };

  const dispatch = (): void => {
    while (waiting.length > 0) {
      const worker = idle.pop() ?? (workers.size < size ? start() : undefined);
      if (worker === undefined) return;
      const job = waiting.shift();
      if (job === undefined) return;
      running.set(worker, job);
      worker.ref();
      worker.postMessage(job.request, job.transfer);
    }
  };

  return {
    size,
    run: (task, input, transfer = []) =>
      new Promise((resolve, reject) => {
        if (closed) {
          reject(
            new TreewrightError(
              'internal/pool-closed',
              `the task ${task.name} came after the pool was closed`,
            ),
          );
          return;
        }
        const request = { id: nextId++, name: task.name, module: builtModule(task.module), input };
        waiting.push({ request, transfer, resolve, reject });
        dispatch();
      }),
    close: async () => {
      closed = true;
      const error = new TreewrightError('internal/pool-closed', 'the worker pool was closed');
      for (const job of waiting.splice(0)) job.reject(error);
      await Promise.all([...workers].map((worker) => worker.terminate()));
    },
  };
}

function settle(job: Job, reply: TaskReply): void {
  if (reply.ok) {
    job.resolve(reply.output as never);
    return;
  }
  if (reply.code !== undefined) {
    job.reject(new TreewrightError(reply.code, reply.message, { data: reply.data ?? {} }));
    return;
  }
  const error = new Error(reply.message);
  if (reply.stack !== undefined) error.stack = reply.stack;
  job.reject(error);
}

/** What runs in each thread of the worker pool: receives a task's name and input, answers with its output. */
import { parentPort } from 'node:worker_threads';
import { isTreewrightError } from '../core/errors.ts';
import type { TaskReply, TaskRequest } from './workers.ts';
import { taskFunction } from './workers.ts';

async function answer({ id, name, module, input }: TaskRequest): Promise<TaskReply> {
  try {
    const run = await taskFunction(name, module);
    return { id, ok: true, output: await run(input) };
  } catch (error) {
    if (isTreewrightError(error)) {
      return {
        id,
        ok: false,
        message: error.message,
        stack: error.stack,
        code: error.code,
        data: error.data,
      };
    }
    const known = error instanceof Error ? error : new Error(String(error));
    return { id, ok: false, message: known.message, stack: known.stack };
  }
}

/** Arrays that own their whole buffer move to the caller instead of being copied. */
function transferable(output: unknown): ArrayBuffer[] {
  const values: unknown[] =
    output instanceof Uint8Array
      ? [output]
      : typeof output === 'object' && output !== null
        ? Object.values(output)
        : [];
  const buffers = new Set<ArrayBuffer>();
  for (const value of values) {
    if (!(value instanceof Uint8Array) || !(value.buffer instanceof ArrayBuffer)) continue;
    if (value.byteLength === value.buffer.byteLength) buffers.add(value.buffer);
  }
  return [...buffers];
}

const port = parentPort;
port?.on('message', (request: TaskRequest) => {
  void answer(request).then((reply) => port.postMessage(reply, reply.ok ? transferable(reply.output) : []));
});

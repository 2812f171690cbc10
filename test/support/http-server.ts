/** A static web server on the loopback address that remembers what was asked: what a device would talk to. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { join, normalize, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** One request and how it was answered; `status` is 0 until the answer has begun. */
export interface RecordedRequest {
  readonly method: string;
  /** The path with its percent escapes decoded, without a query. */
  readonly path: string;
  readonly status: number;
  /** Bytes of the body that were sent. */
  readonly bytes: number;
}

export interface StaticServer {
  /** Such as `http://127.0.0.1:40001`, without a slash at the end. */
  readonly url: string;
  /** The requests in the order they came; `splice(0)` empties it between two steps. */
  readonly requests: RecordedRequest[];
  /** Ends at once, cutting connections that are kept alive. */
  close(): Promise<void>;
}

export interface StaticServerOptions {
  /** Asked before each file; an answer that is not undefined is sent as this status with an empty body. */
  readonly refuse?: (path: string) => number | undefined;
}

/** Serves the files below `directory`; no listings, no ranges, nothing outside. */
export async function serveDirectory(
  directory: string,
  options: StaticServerOptions = {},
): Promise<StaticServer> {
  const requests: RecordedRequest[] = [];
  const server = createServer((request, response) => {
    const path = requestedPath(request);
    const record = { method: request.method ?? '', path: path ?? request.url ?? '', status: 0, bytes: 0 };
    requests.push(record);
    void answer(directory, path, request, response, options, record);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => {
          if (error) reject(error);
          else resolve();
        });
        server.closeAllConnections();
      }),
  };
}

function requestedPath(request: IncomingMessage): string | undefined {
  try {
    return decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
  } catch {
    return undefined;
  }
}

async function answer(
  directory: string,
  path: string | undefined,
  request: IncomingMessage,
  response: ServerResponse,
  { refuse }: StaticServerOptions,
  record: { status: number; bytes: number },
): Promise<void> {
  // The record is complete before the client can have read the answer: a test may look at it at once.
  const empty = (status: number, length = 0): void => {
    record.status = status;
    response.writeHead(status, { 'content-length': length }).end();
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    empty(405);
    return;
  }
  if (path === undefined || path.includes('\0')) {
    empty(400);
    return;
  }
  const refused = refuse?.(path);
  if (refused !== undefined) {
    empty(refused);
    return;
  }
  const file = normalize(join(directory, path));
  if (!file.startsWith(directory.endsWith(sep) ? directory : directory + sep)) {
    empty(403);
    return;
  }
  const facts = await stat(file).catch(() => undefined);
  if (facts?.isFile() !== true) {
    empty(404);
    return;
  }
  if (request.method === 'HEAD') {
    empty(200, facts.size);
    return;
  }
  record.status = 200;
  record.bytes = facts.size;
  response.writeHead(200, { 'content-length': facts.size, 'content-type': 'application/octet-stream' });
  const body = createReadStream(file);
  await pipeline(body, response).catch(() => {
    // The client left early; that is no failure of the server.
    record.bytes = body.bytesRead;
  });
}

/**
 * The read side of a release: files below one location, on disk or behind HTTP(S), addressed by relative path.
 * Whoever verifies a release cannot tell the two apart.
 */
import { closeSync, constants, createReadStream, fstatSync, openSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';

export interface ByteStore {
  /** Directory or URL, for messages. */
  readonly location: string;
  /** The whole file, or undefined when it is absent. Throws `input/too-large` beyond `limit` bytes. */
  read(path: string, limit: number): Promise<Uint8Array | undefined>;
  /** The first bytes of the file, `length` unless it is shorter, or undefined when it is absent. */
  head(path: string, length: number): Promise<Uint8Array | undefined>;
  /** The file in chunks, or undefined when it is absent. */
  stream(path: string): Promise<AsyncIterable<Uint8Array> | undefined>;
}

/** No answer for this long is a failure, in milliseconds. */
const HTTP_TIMEOUT = 30_000;

/** Attempts for one HTTP request before a network failure is reported. */
const HTTP_ATTEMPTS = 3;

function tooLarge(location: string, path: string, limit: number): TreewrightError {
  return new TreewrightError(
    'input/too-large',
    `${location}/${path} is larger than the ${limit} bytes allowed`,
    {
      data: { path, limit },
    },
  );
}

/** Refuses what would leave the location: paths come from metadata that may be hostile. */
function checkRelative(path: string): void {
  if (path.startsWith('/') || path.split('/').some((part) => part === '..' || part === '.' || part === '')) {
    throw new TreewrightError(
      'trust/bad-path',
      `refusing the path ${JSON.stringify(path)}: it is not a plain relative path`,
    );
  }
}

/** A store over a local directory or an `http:`/`https:` URL. */
export function openStore(pathOrUrl: string): ByteStore {
  return /^https?:\/\//.test(pathOrUrl)
    ? httpStore(pathOrUrl.replace(/\/+$/, ''))
    : directoryStore(pathOrUrl);
}

/** The part of a store below `prefix`. */
export function subStore(store: ByteStore, prefix: string): ByteStore {
  return {
    location: `${store.location}/${prefix}`,
    read: (path, limit) => store.read(`${prefix}/${path}`, limit),
    head: (path, length) => store.head(`${prefix}/${path}`, length),
    stream: (path) => store.stream(`${prefix}/${path}`),
  };
}

/** A file of up to this many bytes is read whole: a stream costs several times as much as what it reads. */
const READ_AT_ONCE = 1 << 18;

/** A named pipe must not keep us waiting for a writer. */
const READ_ONLY = constants.O_RDONLY | constants.O_NONBLOCK;

/** A whole file of at most `limit` bytes; undefined for what is no file. */
async function readWhole(file: string, limit: number): Promise<Uint8Array | 'large' | undefined> {
  const handle = await open(file, READ_ONLY);
  try {
    const about = await handle.stat();
    if (!about.isFile()) return undefined;
    if (about.size > limit) return 'large';
    const bytes = new Uint8Array(about.size);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** The same without a detour: a worker has nothing else to do, and libuv's threads take longer than the reading. */
function readWholeHere(file: string, limit: number): Uint8Array | 'large' | undefined {
  const fd = openSync(file, READ_ONLY);
  try {
    const about = fstatSync(fd);
    if (!about.isFile()) return undefined;
    if (about.size > limit) return 'large';
    const bytes = new Uint8Array(about.size);
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(fd);
  }
}

// eslint-disable-next-line @typescript-eslint/require-await
async function* inOneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

function directoryStore(root: string): ByteStore {
  const readFile = isMainThread ? readWhole : readWholeHere;
  return {
    location: root,
    read: async (path, limit) => {
      checkRelative(path);
      let bytes;
      try {
        bytes = await readFile(join(root, path), limit);
      } catch (error) {
        if (isAbsent(error)) return undefined;
        throw error;
      }
      if (bytes === 'large') throw tooLarge(root, path, limit);
      return bytes;
    },
    head: async (path, length) => {
      checkRelative(path);
      try {
        const handle = await open(join(root, path), READ_ONLY);
        try {
          const bytes = new Uint8Array(length);
          const { bytesRead } = await handle.read(bytes, 0, length, 0);
          return bytes.subarray(0, bytesRead);
        } finally {
          await handle.close();
        }
      } catch (error) {
        if (isAbsent(error)) return undefined;
        throw error;
      }
    },
    stream: async (path) => {
      checkRelative(path);
      const file = join(root, path);
      try {
        const small = await readFile(file, READ_AT_ONCE);
        if (small !== 'large') return small === undefined ? undefined : inOneChunk(small);
      } catch (error) {
        if (isAbsent(error)) return undefined;
        throw error;
      }
      return createReadStream(file, { highWaterMark: READ_AT_ONCE }) as AsyncIterable<Uint8Array>;
    },
  };
}

function isAbsent(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR';
}

function httpStore(base: string): ByteStore {
  const failed = (url: string, failure: unknown): TreewrightError => {
    const known = failure instanceof Error && failure.cause instanceof Error ? failure.cause : failure;
    const reason = known instanceof Error ? known.message : String(known);
    return new TreewrightError('network/failed', `cannot fetch ${url}: ${reason}`, {
      cause: failure,
      data: { url },
    });
  };

  const request = async (path: string): Promise<AsyncIterable<Uint8Array> | undefined> => {
    checkRelative(path);
    const url = `${base}/${path.split('/').map(encodeURIComponent).join('/')}`;
    let failure: unknown;
    for (let attempt = 0; attempt < HTTP_ATTEMPTS; attempt++) {
      const silence = createSilenceTimer();
      try {
        const response = await fetch(url, { signal: silence.signal });
        if (response.status === 200) return body(response, silence, url);
        silence.stop();
        await response.body?.cancel();
        // Static hosts that must not list a bucket answer 403 for what is not there.
        if (response.status === 404 || response.status === 403 || response.status === 410) return undefined;
        failure = new Error(`HTTP status ${response.status}`);
        if (response.status < 500 && response.status !== 429) break;
      } catch (error) {
        silence.stop();
        failure = error;
      }
      if (attempt < HTTP_ATTEMPTS - 1)
        await new Promise((resolve) => setTimeout(resolve, 200 * 2 ** attempt));
    }
    throw failed(url, failure);
  };

  async function* body(response: Response, silence: SilenceTimer, url: string): AsyncGenerator<Uint8Array> {
    if (response.body === null) {
      silence.stop();
      return;
    }
    try {
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
        silence.restart();
        yield chunk;
      }
    } catch (error) {
      throw failed(url, error);
    } finally {
      silence.stop();
    }
  }

  return {
    location: base,
    read: async (path, limit) => {
      const stream = await request(path);
      if (stream === undefined) return undefined;
      const chunks: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of stream) {
        size += chunk.length;
        if (size > limit) throw tooLarge(base, path, limit);
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    },
    head: async (path, length) => {
      const stream = await request(path);
      if (stream === undefined) return undefined;
      const chunks: Uint8Array[] = [];
      let size = 0;
      // Leaving the loop ends the transfer.
      for await (const chunk of stream) {
        chunks.push(chunk);
        size += chunk.length;
        if (size >= length) break;
      }
      return Buffer.concat(chunks).subarray(0, length);
    },
    stream: request,
  };
}

/** Aborts a request when nothing has come for a while; a large file may take as long as it needs. */
interface SilenceTimer {
  readonly signal: AbortSignal;
  restart(): void;
  stop(): void;
}

function createSilenceTimer(): SilenceTimer {
  const controller = new AbortController();
  const giveUp = (): void => controller.abort(new Error(`no answer for ${HTTP_TIMEOUT / 1000} s`));
  let timer = setTimeout(giveUp, HTTP_TIMEOUT);
  return {
    signal: controller.signal,
    restart: () => {
      clearTimeout(timer);
      timer = setTimeout(giveUp, HTTP_TIMEOUT);
    },
    stop: () => clearTimeout(timer),
  };
}

/**
 * The HTTP client: time limits, size limits, retries with growing pauses, bounded redirects. Authorization never
 * follows a redirect to another origin, and a redirect never leads from https to http.
 */
import { TreewrightError, isTreewrightError } from '../core/errors.ts';

export interface HttpRequest {
  readonly url: string;
  readonly method?: 'GET' | 'HEAD' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Largest body accepted, in bytes. */
  readonly limit: number;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
  /** Where the answer came from, after redirects. */
  readonly url: string;
}

export interface HttpOptions {
  /** Milliseconds without headers, or without the next piece of the body, before an attempt is given up. */
  readonly timeout?: number;
  /** Attempts in all for a request that may be repeated. */
  readonly attempts?: number;
  /** First pause between attempts in milliseconds; each further one doubles. */
  readonly pause?: number;
  /** A number in [0, 1) that spreads the pauses of many clients. */
  readonly random?: () => number;
}

export interface HttpClient {
  /**
   * Any final status is an answer, also 404 or 401. Throws `network/failed` when none could be had,
   * `network/too-large` beyond the limit, `network/redirect` for a redirect that is not followed.
   */
  request(request: HttpRequest): Promise<HttpResponse>;
}

const MAX_REDIRECTS = 5;

/** A server that asks for more patience than this, in milliseconds, gets an error instead. */
const MAX_RETRY_AFTER = 60_000;

const REPEATABLE_STATUS: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);
const REDIRECT_STATUS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export function createHttpClient(options: HttpOptions = {}): HttpClient {
  const { timeout = 30_000, attempts = 4, pause = 300, random = Math.random } = options;
  return {
    request: async (request) => {
      // A POST that was perhaps carried out is not sent twice.
      const tries = request.method === 'POST' ? 1 : attempts;
      for (let attempt = 1; ; attempt++) {
        const last = attempt >= tries;
        let wait = pause * 2 ** (attempt - 1) * (0.5 + random());
        try {
          const response = await follow(request, timeout);
          if (last || !REPEATABLE_STATUS.has(response.status)) return response;
          const asked = retryAfter(response.headers);
          if (asked !== undefined && asked > MAX_RETRY_AFTER) return response;
          wait = asked ?? wait;
        } catch (error) {
          if (isTreewrightError(error) && error.code !== 'network/failed') throw error;
          if (last) throw error;
        }
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    },
  };
}

/** Milliseconds of a Retry-After header in seconds; the date form is not worth the clock. */
function retryAfter(headers: Headers): number | undefined {
  const text = headers.get('retry-after');
  return text !== null && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : undefined;
}

async function follow(request: HttpRequest, timeout: number): Promise<HttpResponse> {
  let url = new URL(request.url);
  let headers = new Headers(request.headers);
  let method = request.method ?? 'GET';
  let body = request.body;
  for (let hop = 0; ; hop++) {
    const response = await once(url, { method, headers, body, limit: request.limit, timeout });
    const location = response.headers.get('location');
    if (!REDIRECT_STATUS.has(response.status) || location === null) return response;
    if (hop >= MAX_REDIRECTS) {
      throw new TreewrightError(
        'network/redirect',
        `${request.url} redirects more than ${MAX_REDIRECTS} times`,
      );
    }
    const target = URL.canParse(location, url.href) ? new URL(location, url.href) : undefined;
    if (target === undefined || !/^https?:$/.test(target.protocol)) {
      throw new TreewrightError(
        'network/redirect',
        `${plainUrl(url)} redirects to something that is not a web address`,
      );
    }
    if (url.protocol === 'https:' && target.protocol === 'http:') {
      throw new TreewrightError(
        'network/redirect',
        `${plainUrl(url)} redirects from https to http (${plainUrl(target)}), which is not followed`,
      );
    }
    if (target.origin !== url.origin) {
      headers = new Headers(headers);
      for (const name of ['authorization', 'cookie', 'proxy-authorization']) headers.delete(name);
    }
    if (method === 'POST' && response.status < 307) {
      method = 'GET';
      body = undefined;
    }
    url = target;
  }
}

interface Attempt {
  readonly method: string;
  readonly headers: Headers;
  readonly body: string | undefined;
  readonly limit: number;
  readonly timeout: number;
}

async function once(url: URL, attempt: Attempt): Promise<HttpResponse> {
  const control = new AbortController();
  const seconds = Math.round(attempt.timeout / 1000);
  const guard = (): NodeJS.Timeout =>
    setTimeout(() => control.abort(new Error(`no answer within ${seconds} s`)), attempt.timeout);
  let timer = guard();
  try {
    const response = await fetch(url, {
      method: attempt.method,
      headers: attempt.headers,
      redirect: 'manual',
      signal: control.signal,
      ...(attempt.body === undefined ? {} : { body: attempt.body }),
    });
    const chunks: Uint8Array[] = [];
    let size = 0;
    // `fetch` types the body loosely; its chunks are bytes.
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      clearTimeout(timer);
      timer = guard();
      size += chunk.length;
      if (size > attempt.limit) {
        throw new TreewrightError(
          'network/too-large',
          `${plainUrl(url)} sends more than the ${attempt.limit} bytes expected at most`,
        );
      }
      chunks.push(chunk);
    }
    return { status: response.status, headers: response.headers, body: Buffer.concat(chunks), url: url.href };
  } catch (error) {
    if (isTreewrightError(error)) throw error;
    throw new TreewrightError('network/failed', `no answer from ${plainUrl(url)}: ${reasonOf(error)}`, {
      cause: error,
      data: { host: url.host },
    });
  } finally {
    clearTimeout(timer);
    // Frees the connection of an answer that was not read to its end.
    control.abort();
  }
}

/** Without user, password and query, which may hold secrets. */
function plainUrl(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

/** `fetch` says only "fetch failed"; the reason is in its cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause instanceof AggregateError) return reasonOf(error.cause.errors[0]);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

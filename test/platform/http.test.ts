/** The HTTP client against real servers on this machine. */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createHttpClient } from '../../src/platform/http.ts';

const servers: Server[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const quick = createHttpClient({ timeout: 400, attempts: 3, pause: 1, random: () => 0 });

function reply(
  response: ServerResponse,
  status: number,
  headers: Record<string, string> = {},
  body = '',
): void {
  response.writeHead(status, headers).end(body);
}

test('gives status, headers and body; 404 is an answer', async () => {
  const base = await serve((request, response) =>
    request.url === '/there'
      ? reply(response, 200, { 'x-a': 'b' }, 'content')
      : reply(response, 404, {}, 'nothing'),
  );
  const found = await quick.request({ url: `${base}/there`, limit: 100 });
  expect([found.status, found.headers.get('x-a'), Buffer.from(found.body).toString()]).toEqual([
    200,
    'b',
    'content',
  ]);
  expect((await quick.request({ url: `${base}/x`, limit: 100 })).status).toBe(404);
});

test('repeats after 503, 429 with Retry-After and a broken connection, then succeeds', async () => {
  let calls = 0;
  const base = await serve((request, response) => {
    calls++;
    if (calls === 1) reply(response, 429, { 'retry-after': '0' });
    else if (calls === 2) request.socket.destroy();
    else reply(response, 200, {}, 'third');
  });
  expect(Buffer.from((await quick.request({ url: base, limit: 100 })).body).toString()).toBe('third');
  expect(calls).toBe(3);
});

test('gives the last answer of a server that stays ill, and an error for one that is not there', async () => {
  let calls = 0;
  const base = await serve((_, response) => {
    calls++;
    reply(response, 503);
  });
  expect((await quick.request({ url: base, limit: 100 })).status).toBe(503);
  expect(calls).toBe(3);
  await expect(quick.request({ url: 'http://127.0.0.1:1/x?token=secret', limit: 1 })).rejects.toMatchObject({
    code: 'network/failed',
    message: expect.not.stringContaining('secret') as string,
  });
});

test('a POST is sent once', async () => {
  let calls = 0;
  const base = await serve((_, response) => {
    calls++;
    reply(response, 503);
  });
  await quick.request({ url: base, method: 'POST', body: 'x', limit: 100 });
  expect(calls).toBe(1);
});

test('a Retry-After beyond a minute is not waited for', async () => {
  const base = await serve((_, response) => reply(response, 429, { 'retry-after': '3600' }));
  expect((await quick.request({ url: base, limit: 10 })).status).toBe(429);
});

test('stops a body beyond the limit, however long it goes on', async () => {
  const base = await serve((_, response) => {
    response.writeHead(200);
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      response.once('drain', more);
    };
    more();
  });
  await expect(quick.request({ url: base, limit: 100_000 })).rejects.toMatchObject({
    code: 'network/too-large',
  });
});

test('gives up on a server that says nothing, and on one that stops in the middle', async () => {
  const silent = await serve(() => undefined);
  const once = createHttpClient({ timeout: 100, attempts: 1 });
  await expect(once.request({ url: silent, limit: 1 })).rejects.toMatchObject({ code: 'network/failed' });
  const stalls = await serve((_, response) => {
    response.writeHead(200, { 'content-length': '10' });
    response.write('half');
  });
  await expect(once.request({ url: stalls, limit: 100 })).rejects.toThrow('no answer');
});

test('a body that comes slowly but steadily is no failure', async () => {
  const base = await serve((_, response) => {
    let pieces = 0;
    const timer = setInterval(() => {
      response.write('x');
      if (++pieces === 6) {
        clearInterval(timer);
        response.end();
      }
    }, 100);
  });
  expect((await quick.request({ url: base, limit: 10 })).body.length).toBe(6);
});

test('follows redirects; Authorization stays with its origin', async () => {
  const seen: (string | undefined)[] = [];
  const note = (request: IncomingMessage): void => void seen.push(request.headers.authorization);
  const other = await serve((request, response) => {
    note(request);
    reply(response, 200, {}, 'end');
  });
  const base = await serve((request, response) => {
    note(request);
    reply(response, 307, { location: request.url === '/a' ? '/b' : `${other}/c` });
  });
  const answer = await quick.request({
    url: `${base}/a`,
    headers: { authorization: 'Basic eDp5' },
    limit: 100,
  });
  expect(answer.url).toBe(`${other}/c`);
  expect(seen).toEqual(['Basic eDp5', 'Basic eDp5', undefined]);
});

test('refuses endless redirects and ones that lead out of the web', async () => {
  const base = await serve((request, response) =>
    reply(response, 302, { location: request.url === '/file' ? 'file:///etc/passwd' : '/again' }),
  );
  await expect(quick.request({ url: base, limit: 1 })).rejects.toMatchObject({ code: 'network/redirect' });
  await expect(quick.request({ url: `${base}/file`, limit: 1 })).rejects.toMatchObject({
    code: 'network/redirect',
  });
});

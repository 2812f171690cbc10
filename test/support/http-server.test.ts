/** The test web server answers like a plain static host, and its log can be trusted as evidence. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StaticServer } from './http-server.ts';
import { serveDirectory } from './http-server.ts';

let directory: string;
let server: StaticServer;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tw-http-'));
  await mkdir(join(directory, 'served/sub dir'), { recursive: true });
  await writeFile(join(directory, 'outside'), 'secret');
  await writeFile(join(directory, 'served/a'), 'alpha');
  await writeFile(join(directory, 'served/sub dir/b+c'), 'beta');
  server = await serveDirectory(join(directory, 'served'));
});

afterEach(async () => {
  await server.close();
  await rm(directory, { recursive: true });
});

test('sends files and records method, decoded path, status and size of every request', async () => {
  expect(await (await fetch(`${server.url}/a?x=1`)).text()).toBe('alpha');
  expect(await (await fetch(`${server.url}/sub%20dir/b+c`)).text()).toBe('beta');
  expect((await fetch(`${server.url}/missing`)).status).toBe(404);
  expect((await fetch(`${server.url}/sub%20dir/`)).status).toBe(404);
  const head = await fetch(`${server.url}/a`, { method: 'HEAD' });
  expect(head.headers.get('content-length')).toBe('5');
  expect((await fetch(`${server.url}/a`, { method: 'POST' })).status).toBe(405);
  expect(server.requests).toEqual([
    { method: 'GET', path: '/a', status: 200, bytes: 5 },
    { method: 'GET', path: '/sub dir/b+c', status: 200, bytes: 4 },
    { method: 'GET', path: '/missing', status: 404, bytes: 0 },
    { method: 'GET', path: '/sub dir/', status: 404, bytes: 0 },
    { method: 'HEAD', path: '/a', status: 200, bytes: 0 },
    { method: 'POST', path: '/a', status: 405, bytes: 0 },
  ]);
});

test('nothing outside the folder is served', async () => {
  expect((await fetch(`${server.url}/..%2foutside`)).status).toBe(403);
  expect((await fetch(`${server.url}/%ff`)).status).toBe(400);
});

test('a refusal takes the place of the file', async () => {
  const closed = await serveDirectory(join(directory, 'served'), {
    refuse: (path) => (path === '/a' ? 503 : undefined),
  });
  try {
    expect((await fetch(`${closed.url}/a`)).status).toBe(503);
    expect((await fetch(`${closed.url}/sub%20dir/b+c`)).status).toBe(200);
  } finally {
    await closed.close();
  }
});

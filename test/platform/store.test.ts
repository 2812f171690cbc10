/** The read side of a release, from disk and over HTTP: what is absent, what is too large, what breaks off. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ByteStore } from '../../src/platform/store.ts';
import { openStore, subStore } from '../../src/platform/store.ts';
import type { StaticServer } from '../support/http-server.ts';
import { serveDirectory } from '../support/http-server.ts';

let scratch: string;
let server: StaticServer;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-store-'));
  await mkdir(join(scratch, 'a'));
  await writeFile(join(scratch, 'a/file #1%'), 'content');
  server = await serveDirectory(scratch);
});
afterAll(async () => {
  await server.close();
  await rm(scratch, { recursive: true });
});

async function text(stream: AsyncIterable<Uint8Array> | undefined): Promise<string | undefined> {
  if (stream === undefined) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe.each(['disk', 'HTTP'] as const)('from %s', (kind) => {
  const open = (): ByteStore => openStore(kind === 'disk' ? scratch : `${server.url}/`);

  test('a file is read whole or streamed, under any name', async () => {
    expect(Buffer.from((await open().read('a/file #1%', 7)) ?? []).toString()).toBe('content');
    expect(await text(await subStore(open(), 'a').stream('file #1%'))).toBe('content');
  });

  test('what is absent is undefined', async () => {
    expect(await open().read('none', 7)).toBeUndefined();
    expect(await open().stream('a/none')).toBeUndefined();
    expect(await open().stream('a')).toBeUndefined();
  });

  test('more than the limit is refused', async () => {
    await expect(open().read('a/file #1%', 6)).rejects.toMatchObject({ code: 'input/too-large' });
  });

  test.each(['../x', '/etc/passwd', 'a/../../x', 'a//b', './a', ''])(
    'the path %j is refused',
    async (path) => {
      await expect(open().read(path, 7)).rejects.toMatchObject({ code: 'trust/bad-path' });
    },
  );
});

describe('a server in trouble', () => {
  let broken: Server;
  let url: string;
  let asked = 0;
  beforeAll(async () => {
    broken = createServer((request, response) => {
      asked++;
      if (request.url === '/cut') {
        response.writeHead(200, { 'content-length': '1000' });
        response.write('a part');
        setTimeout(() => response.destroy(), 20);
      } else if (request.url === '/recovers' && asked > 2) {
        response.end('at last');
      } else {
        response.writeHead(500).end();
      }
    });
    await new Promise<void>((resolve) => broken.listen(0, '127.0.0.1', resolve));
    const address = broken.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    url = `http://127.0.0.1:${address.port}`;
  });
  afterAll(() => broken.close());

  test('that fails is asked three times, and then named', async () => {
    asked = 0;
    await expect(openStore(url).read('x', 7)).rejects.toMatchObject({
      code: 'network/failed',
      message: `cannot fetch ${url}/x: HTTP status 500`,
    });
    expect(asked).toBe(3);
  });

  test('that recovers is believed', async () => {
    asked = 0;
    expect(await text(await openStore(url).stream('recovers'))).toBe('at last');
  });

  test('that breaks off is a network error, not a short file', async () => {
    await expect(openStore(url).read('cut', 2000)).rejects.toMatchObject({ code: 'network/failed' });
  });

  test('that is not there is named', async () => {
    await expect(openStore('http://127.0.0.1:9').read('x', 7)).rejects.toMatchObject({
      code: 'network/failed',
    });
  });
});

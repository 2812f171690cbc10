/** Tags become digests: at a real registry, and at a small server that speaks the token protocol. */
import { createHash } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parseDockerConfig } from '../../src/apps/docker-config.ts';
import { createRegistryClient, parseChallenges } from '../../src/apps/registry.ts';
import { parseImageReference } from '../../src/formats/image-reference.ts';
import { createHttpClient } from '../../src/platform/http.ts';
import { describeReference } from '../reference/tools.ts';
import type { Registry } from './registry-server.ts';
import { startRegistry } from './registry-server.ts';

const http = createHttpClient({ timeout: 5000, attempts: 2, pause: 1 });

function sha256(bytes: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function credentials(auths: Record<string, unknown>) {
  return parseDockerConfig(JSON.stringify({ auths }), 'config.json');
}

/** Pushes by the plain protocol: every blob, then the manifest. */
async function push(
  registry: Registry,
  name: string,
  tag: string,
  mediaType: string,
  manifest: string,
  blobs: string[],
) {
  const base = `http://${registry.host}/v2/${name}`;
  for (const blob of blobs) {
    const start = await fetch(`${base}/blobs/uploads/`, { method: 'POST', headers: registry.headers });
    expect(start.status).toBe(202);
    const to = new URL(start.headers.get('location') ?? '', base);
    to.searchParams.set('digest', sha256(blob));
    const put = await fetch(to, {
      method: 'PUT',
      body: blob,
      headers: { ...registry.headers, 'content-type': 'application/octet-stream' },
    });
    expect(put.status).toBe(201);
  }
  const put = await fetch(`${base}/manifests/${tag}`, {
    method: 'PUT',
    body: manifest,
    headers: { ...registry.headers, 'content-type': mediaType },
  });
  expect(put.status, await put.text()).toBe(201);
}

const OCI = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const CONFIG = JSON.stringify({
  architecture: 'arm64',
  os: 'linux',
  rootfs: { type: 'layers', diff_ids: [] },
  config: {},
});
const MANIFEST = JSON.stringify({
  schemaVersion: 2,
  mediaType: OCI,
  config: {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: sha256(CONFIG),
    size: CONFIG.length,
  },
  layers: [],
});
const LIST = JSON.stringify({
  schemaVersion: 2,
  mediaType: INDEX,
  manifests: [
    {
      mediaType: OCI,
      digest: sha256(MANIFEST),
      size: MANIFEST.length,
      platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
    },
    {
      mediaType: OCI,
      digest: sha256(MANIFEST),
      size: MANIFEST.length,
      platform: { os: 'unknown', architecture: 'unknown' },
    },
  ],
});

describeReference('a real registry', ['docker-registry'], () => {
  let registry: Registry;
  beforeAll(async () => {
    registry = await startRegistry(false);
    await push(registry, 'team/web', '1.0', OCI, MANIFEST, [CONFIG]);
    await push(registry, 'team/web', 'multi', INDEX, LIST, []);
  });
  afterAll(() => registry.stop());

  test('a tag of one image, and of an index of several, becomes its digest', async () => {
    const client = createRegistryClient({ http });
    const one = await client.resolve(parseImageReference(`${registry.host}/team/web:1.0`));
    expect(one).toEqual({ digest: sha256(MANIFEST), mediaType: OCI, size: MANIFEST.length, platforms: [] });
    const many = await client.resolve(parseImageReference(`${registry.host}/team/web:multi`));
    // The index itself is pinned, so that every architecture finds its image.
    expect(many).toMatchObject({ digest: sha256(LIST), mediaType: INDEX, platforms: ['linux/arm/v7'] });
  });

  test('a missing tag is an error that names image and registry', async () => {
    const client = createRegistryClient({ http });
    await expect(client.resolve(parseImageReference(`${registry.host}/team/web:2.0`))).rejects.toMatchObject({
      code: 'network/no-image',
      message: expect.stringContaining(`${registry.host}/team/web:2.0`) as string,
    });
  });
});

describeReference('a real registry with passwords', ['docker-registry'], () => {
  let registry: Registry;
  beforeAll(async () => {
    registry = await startRegistry(true);
    await push(registry, 'web', 'latest', OCI, MANIFEST, [CONFIG]);
  });
  afterAll(() => registry.stop());

  test("takes the login of docker's config.json, and `latest` when no tag is named", async () => {
    const auth = Buffer.from('dev:open sesame').toString('base64');
    const client = createRegistryClient({ http, credentials: credentials({ [registry.host]: { auth } }) });
    expect((await client.resolve(parseImageReference(`${registry.host}/web`))).digest).toBe(sha256(MANIFEST));
  });

  test('without or with a wrong login it says how to log in, and not what the password was', async () => {
    const reference = parseImageReference(`${registry.host}/web`);
    await expect(createRegistryClient({ http }).resolve(reference)).rejects.toMatchObject({
      code: 'network/denied',
    });
    const wrong = credentials({ [registry.host]: { username: 'dev', password: 'guess-me' } });
    await expect(createRegistryClient({ http, credentials: wrong }).resolve(reference)).rejects.toMatchObject(
      {
        code: 'network/denied',
        message: expect.not.stringContaining('guess-me') as string,
      },
    );
  });

  test('a login in a credential helper is named as what is missing', async () => {
    const helper = parseDockerConfig(JSON.stringify({ credHelpers: { [registry.host]: 'ecr-login' } }), 'c');
    await expect(
      createRegistryClient({ http, credentials: helper }).resolve(
        parseImageReference(`${registry.host}/web`),
      ),
    ).rejects.toMatchObject({
      code: 'config/credential-helper',
      message: expect.stringContaining('docker-credential-ecr-login') as string,
    });
  });
});

describe('a registry with tokens', () => {
  const servers: Server[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
  const serve = async (
    listener: (request: IncomingMessage, response: ServerResponse) => void,
  ): Promise<string> => {
    const server = createServer(listener);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  /** Registry and token service; gives a token to anybody, or to those with the right login only. */
  const tokenRegistry = async (
    options: { login?: string; digestHeader?: string; body?: string; type?: string } = {},
  ) => {
    const log: string[] = [];
    const host: string = await serve((request, response) => {
      const url = new URL(request.url ?? '', `http://${host}`);
      const { authorization = '' } = request.headers;
      log.push(`${request.method ?? ''} ${url.pathname}`);
      if (url.pathname === '/token') {
        let form = '';
        request.on('data', (chunk: Buffer) => (form += chunk.toString()));
        request.on('end', () => {
          const fields = request.method === 'POST' ? new URLSearchParams(form) : url.searchParams;
          const right =
            fields.get('service') === 'test registry' && fields.get('scope') === 'repository:team/web:pull';
          const known =
            options.login === undefined ||
            authorization === `Basic ${Buffer.from(options.login).toString('base64')}` ||
            fields.get('refresh_token') === options.login;
          response.writeHead(right && known ? 200 : 401).end(JSON.stringify({ token: 't0ken' }));
        });
      } else if (authorization !== 'Bearer t0ken') {
        const challenge = `Bearer realm="http://${host}/token",service="test registry",scope="repository:team/web:pull"`;
        response.writeHead(401, { 'www-authenticate': challenge }).end();
      } else {
        const body = options.body ?? MANIFEST;
        response
          .writeHead(200, {
            'content-type': options.type ?? OCI,
            'docker-content-digest': options.digestHeader ?? sha256(body),
          })
          .end(body);
      }
    });
    return { host, log, reference: parseImageReference(`${host}/team/web:1`) };
  };

  test('fetches a token once and uses it for all requests of the repository', async () => {
    const { log, reference } = await tokenRegistry();
    const client = createRegistryClient({ http });
    expect((await client.resolve(reference)).digest).toBe(sha256(MANIFEST));
    await client.resolve(reference);
    expect(log.filter((line) => line === 'GET /token')).toHaveLength(1);
  });

  test('shows the login to the token service: password, or refresh token by POST', async () => {
    const byPassword = await tokenRegistry({ login: 'dev:pw' });
    const basic = credentials({ [byPassword.host]: { username: 'dev', password: 'pw' } });
    expect(
      (await createRegistryClient({ http, credentials: basic }).resolve(byPassword.reference)).digest,
    ).toBe(sha256(MANIFEST));
    const byRefresh = await tokenRegistry({ login: 'refresh-me' });
    const identity = credentials({ [byRefresh.host]: { auth: 'ZGV2Og==', identitytoken: 'refresh-me' } });
    expect(
      (await createRegistryClient({ http, credentials: identity }).resolve(byRefresh.reference)).digest,
    ).toBe(sha256(MANIFEST));
    expect(byRefresh.log).toContain('POST /token');
    await expect(createRegistryClient({ http }).resolve(byPassword.reference)).rejects.toMatchObject({
      code: 'network/denied',
    });
  });

  test('a manifest that is not what the registry claims, or not what was asked for, is refused', async () => {
    const lying = await tokenRegistry({ digestHeader: sha256('another') });
    await expect(createRegistryClient({ http }).resolve(lying.reference)).rejects.toMatchObject({
      code: 'trust/digest-mismatch',
    });
    const other = await tokenRegistry();
    const byDigest = parseImageReference(`${other.host}/team/web@${sha256('wanted')}`);
    await expect(createRegistryClient({ http }).resolve(byDigest)).rejects.toMatchObject({
      code: 'trust/digest-mismatch',
    });
  });

  test('old manifests, pages and giant answers are refused', async () => {
    const old = await tokenRegistry({
      body: '{"schemaVersion":1}',
      type: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
    });
    await expect(createRegistryClient({ http }).resolve(old.reference)).rejects.toMatchObject({
      code: 'network/manifest-type',
    });
    const page = await tokenRegistry({ body: '<html>', type: 'text/html' });
    await expect(createRegistryClient({ http }).resolve(page.reference)).rejects.toMatchObject({
      code: 'network/manifest-type',
    });
    const giant = await tokenRegistry({ body: ' '.repeat(5 * 1024 * 1024) });
    await expect(createRegistryClient({ http }).resolve(giant.reference)).rejects.toMatchObject({
      code: 'network/too-large',
    });
  });

  test('a login is never sent to a token service over plain http on another host', async () => {
    const host = await serve((_, response) =>
      response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://auth.example.com/token"' }).end(),
    );
    const basic = credentials({ [host]: { username: 'dev', password: 'pw' } });
    await expect(
      createRegistryClient({ http, credentials: basic }).resolve(parseImageReference(`${host}/a`)),
    ).rejects.toMatchObject({
      code: 'network/auth',
      message: expect.stringContaining('not https') as string,
    });
  });
});

test('challenges: several schemes, quoted and bare values, odd spacing', () => {
  const [basic, bearer] = parseChallenges(
    'Basic realm="a, b", Bearer realm="https://x/\\"y\\"" , service=reg , scope="s"',
  );
  expect([basic?.scheme, basic?.parameters.get('realm')]).toEqual(['basic', 'a, b']);
  expect([bearer?.scheme, ...(bearer?.parameters ?? [])]).toEqual([
    'bearer',
    ['realm', 'https://x/"y"'],
    ['service', 'reg'],
    ['scope', 's'],
  ]);
  expect(parseChallenges('')).toEqual([]);
  expect(parseChallenges('"')).toEqual([]);
});

/** Logins from docker's config.json. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadDockerCredentials, parseDockerConfig } from '../../src/apps/docker-config.ts';
import { createUserRegistry } from '../../src/apps/user-registry.ts';
import { parseImageReference } from '../../src/formats/image-reference.ts';
import { createHttpClient } from '../../src/platform/http.ts';

let work: string;

beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'tw-docker-'));
});

afterEach(() => rm(work, { recursive: true }));

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

test('all forms of entries, by host or address, Docker Hub under its old address', () => {
  const store = parseDockerConfig(
    JSON.stringify({
      auths: {
        'https://index.docker.io/v1/': { auth: base64('hub:p:w') },
        'https://ghcr.io': { username: 'u', password: 'p' },
        'quay.io': { auth: base64('u:'), identitytoken: 'refresh' },
        'token.example': { registrytoken: 'bearer' },
        'empty.example': {},
      },
      HttpHeaders: { 'User-Agent': 'x' },
    }),
    'config.json',
  );
  expect(store.lookup('docker.io')).toEqual({ kind: 'basic', username: 'hub', password: 'p:w' });
  expect(store.lookup('ghcr.io')).toEqual({ kind: 'basic', username: 'u', password: 'p' });
  expect(store.lookup('quay.io')).toEqual({ kind: 'identity', token: 'refresh' });
  expect(store.lookup('token.example')).toEqual({ kind: 'bearer', token: 'bearer' });
  expect(store.lookup('empty.example')).toBeUndefined();
  expect(store.lookup('ghcr.io.evil.example')).toBeUndefined();
});

test('helpers win for their host; the store answers for hosts without an entry', () => {
  const store = parseDockerConfig(
    JSON.stringify({
      auths: { a: { auth: base64('u:p') }, b: {} },
      credsStore: 'desktop',
      credHelpers: { c: 'gcr' },
    }),
    'config.json',
  );
  expect(store.lookup('a')).toMatchObject({ kind: 'basic' });
  expect(store.lookup('b')).toEqual({ kind: 'helper', helper: 'desktop' });
  expect(store.lookup('c')).toEqual({ kind: 'helper', helper: 'gcr' });
});

test('a damaged file is an error that quotes nothing of it', () => {
  for (const text of [
    '{"auths": {"h": {"auth": secret',
    '{"auths": {"h": {"auth": 5}}, "x": "secret"}',
    `{"auths": {"h": {"auth": "${base64('secret')}"}}}`,
  ]) {
    expect(() => parseDockerConfig(text, 'config.json'), text).toThrow(
      expect.objectContaining({
        code: 'config/docker-config',
        message: expect.not.stringContaining('secret') as string,
      }),
    );
  }
});

test('DOCKER_CONFIG comes before the home directory; no file means no logins', async () => {
  const config = (user: string): string => JSON.stringify({ auths: { h: { auth: base64(`${user}:p`) } } });
  await mkdir(join(work, '.docker'));
  await writeFile(join(work, '.docker/config.json'), config('home'));
  await writeFile(join(work, 'config.json'), config('explicit'));
  expect((await loadDockerCredentials({ HOME: work })).lookup('h')).toMatchObject({ username: 'home' });
  expect((await loadDockerCredentials({ HOME: work, DOCKER_CONFIG: work })).lookup('h')).toMatchObject({
    username: 'explicit',
  });
  expect((await loadDockerCredentials({ HOME: join(work, 'none') })).lookup('h')).toBeUndefined();
  expect((await loadDockerCredentials({})).lookup('h')).toBeUndefined();
});

test("the user's registry reads the logins when the first image needs them, not before", async () => {
  await writeFile(join(work, 'config.json'), 'damaged');
  const registry = createUserRegistry({ DOCKER_CONFIG: work }, { http: createHttpClient({ attempts: 1 }) });
  await expect(registry.resolve(parseImageReference('localhost:1/x'))).rejects.toMatchObject({
    code: 'config/docker-config',
  });
});

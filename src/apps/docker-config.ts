/**
 * Registry credentials from docker's config.json, in `$DOCKER_CONFIG` or `~/.docker`.
 * Source: docker/cli, cli/config/configfile and types.AuthConfig.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';

export type Credential =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** An OAuth refresh token, from `docker login` at registries that give one. */
  | { readonly kind: 'identity'; readonly token: string }
  | { readonly kind: 'bearer'; readonly token: string }
  /** Kept by a program that this tool does not call. */
  | { readonly kind: 'helper'; readonly helper: string };

export interface CredentialStore {
  /** Credentials for a registry as images name it (`docker.io`, `ghcr.io`, `localhost:5000`). */
  lookup(domain: string): Credential | undefined;
}

/** Only anonymous access. */
export const NO_CREDENTIALS: CredentialStore = { lookup: () => undefined };

const MAX_CONFIG_SIZE = 1024 * 1024;

const configSchema = z.looseObject({
  auths: z
    .record(
      z.string(),
      z.looseObject({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
        identitytoken: z.string().optional(),
        registrytoken: z.string().optional(),
      }),
    )
    .optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
  credsStore: z.string().optional(),
});

/** Reads the file `env` points to. An absent file means no credentials. Messages never quote the file. */
export async function loadDockerCredentials(
  env: Readonly<Record<string, string | undefined>>,
): Promise<CredentialStore> {
  const directory =
    env['DOCKER_CONFIG'] ?? (env['HOME'] === undefined ? undefined : join(env['HOME'], '.docker'));
  if (directory === undefined || directory === '') return NO_CREDENTIALS;
  const file = join(directory, 'config.json');
  const text = await readLimited(file);
  return text === undefined ? NO_CREDENTIALS : parseDockerConfig(text, file);
}

async function readLimited(file: string): Promise<string | undefined> {
  try {
    const handle = await open(file, 'r');
    try {
      if ((await handle.stat()).size > MAX_CONFIG_SIZE) {
        throw new TreewrightError('config/docker-config', `${file} is larger than ${MAX_CONFIG_SIZE} bytes`);
      }
      return await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

export function parseDockerConfig(text: string, file: string): CredentialStore {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's message would quote the text around the fault, which may be a password.
    throw new TreewrightError('config/docker-config', `${file} is not JSON`);
  }
  const result = configSchema.safeParse(json);
  if (!result.success) {
    const where = result.error.issues[0]?.path.join('.') ?? '';
    throw new TreewrightError(
      'config/docker-config',
      `${file}: ${where} does not have the form docker writes`,
    );
  }
  const { auths = {}, credHelpers = {}, credsStore } = result.data;
  const byHost = new Map<string, Credential>();
  for (const [key, entry] of Object.entries(auths)) {
    const credential = credentialOf(entry, key, file);
    if (credential !== undefined) byHost.set(hostOf(key), credential);
  }
  return {
    lookup: (domain) => {
      const host = hostOf(domain);
      const helper = Object.entries(credHelpers).find(([key]) => hostOf(key) === host)?.[1];
      if (helper !== undefined) return { kind: 'helper', helper };
      // `docker login` with a store leaves an empty entry; then the store has the password.
      return (
        byHost.get(host) ??
        (credsStore === undefined || credsStore === '' ? undefined : { kind: 'helper', helper: credsStore })
      );
    },
  };
}

function credentialOf(
  entry: NonNullable<z.infer<typeof configSchema>['auths']>[string],
  key: string,
  file: string,
): Credential | undefined {
  if (entry.identitytoken) return { kind: 'identity', token: entry.identitytoken };
  if (entry.registrytoken) return { kind: 'bearer', token: entry.registrytoken };
  if (entry.username && entry.password)
    return { kind: 'basic', username: entry.username, password: entry.password };
  if (!entry.auth) return undefined;
  const decoded = Buffer.from(entry.auth, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 1) {
    throw new TreewrightError(
      'config/docker-config',
      `${file}: "auth" of ${key} is not base64 of "user:password"`,
    );
  }
  return {
    kind: 'basic',
    username: decoded.slice(0, colon),
    password: decoded.slice(colon + 1).replace(/\0+$/, ''),
  };
}

/** Keys are hosts or addresses; Docker Hub's is `https://index.docker.io/v1/`. */
function hostOf(key: string): string {
  const host = key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host;
}

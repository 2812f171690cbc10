/**
 * Asking a container registry which manifest a tag names.
 * Source: OCI distribution-spec 1.1 ("Pulling manifests"); the distribution project's token authentication.
 */
import { createHash } from 'node:crypto';
import { parseChecksum } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import type { ImageReference } from '../formats/image-reference.ts';
import { repositoryName } from '../formats/image-reference.ts';
import type { Digest } from '../formats/oci.ts';
import { MEDIA_TYPES, digestOf } from '../formats/oci.ts';
import type { HttpClient, HttpResponse } from '../platform/http.ts';
import { createHttpClient } from '../platform/http.ts';
import type { Credential, CredentialStore } from './docker-config.ts';
import { NO_CREDENTIALS } from './docker-config.ts';

export interface RemoteManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Bytes of the manifest itself. */
  readonly size: number;
  /** `os/architecture` with `/variant` where there is one; empty for an image of one architecture. */
  readonly platforms: readonly string[];
}

export interface RegistryClient {
  /** The manifest a reference names, by digest, else by tag, else by the tag `latest`. */
  resolve(reference: ImageReference): Promise<RemoteManifest>;
}

export interface RegistryOptions {
  readonly http?: HttpClient;
  readonly credentials?: CredentialStore;
  /** Registries to be asked over http, `host` or `host:port`. This machine's own always are. */
  readonly insecure?: readonly string[];
}

/** distribution-spec: registries should accept, and so may send, manifests of this many bytes. */
const MAX_MANIFEST_SIZE = 4 * 1024 * 1024;
const MAX_TOKEN_SIZE = 256 * 1024;

const ACCEPT = [MEDIA_TYPES.index, MEDIA_TYPES.dockerIndex, MEDIA_TYPES.manifest, MEDIA_TYPES.dockerManifest];

export function createRegistryClient(options: RegistryOptions = {}): RegistryClient {
  const { http = createHttpClient(), credentials = NO_CREDENTIALS, insecure = [] } = options;
  /** The Authorization header that worked, by repository; tokens are made for one repository each. */
  const authorizations = new Map<string, string>();

  const get = async (reference: ImageReference, url: string): Promise<HttpResponse> => {
    const repository = repositoryName(reference);
    const send = (authorization: string | undefined): Promise<HttpResponse> =>
      http.request({
        url,
        limit: MAX_MANIFEST_SIZE,
        headers: {
          accept: ACCEPT.join(', '),
          // The digest is over the bytes as stored.
          'accept-encoding': 'identity',
          ...(authorization === undefined ? {} : { authorization }),
        },
      });
    const response = await send(authorizations.get(repository));
    if (response.status !== 401) return response;
    const authorization = await authorize(response, reference, { http, credentials, insecure });
    if (authorization === undefined) return response;
    authorizations.set(repository, authorization);
    return send(authorization);
  };

  return {
    resolve: async (reference) => {
      const asked = reference.digest ?? reference.tag ?? 'latest';
      const url = `${baseUrl(reference.domain, insecure)}/v2/${reference.path}/manifests/${asked}`;
      const response = await get(reference, url);
      checkStatus(response, reference, credentials.lookup(reference.domain));
      return readManifest(response, reference);
    },
  };
}

/** True for a registry that is asked over http: on this machine, or named by the user. */
function isPlain(host: string, insecure: readonly string[]): boolean {
  const name = host.replace(/:\d+$/, '');
  return (
    name === 'localhost' || /^127(?:\.\d{1,3}){3}$/.test(name) || name === '[::1]' || insecure.includes(host)
  );
}

function baseUrl(domain: string, insecure: readonly string[]): string {
  // Docker Hub serves its API under another name than the one in image names.
  const host = domain === 'docker.io' ? 'registry-1.docker.io' : domain;
  return `${isPlain(host, insecure) ? 'http' : 'https'}://${host}`;
}

function checkStatus(
  response: HttpResponse,
  reference: ImageReference,
  credential: Credential | undefined,
): void {
  const name = imageName(reference);
  if (response.status === 200) return;
  if (response.status === 404) {
    throw new TreewrightError('network/no-image', `${reference.domain} has no image ${name}`, {
      data: { image: name },
    });
  }
  if (response.status === 401 || response.status === 403) {
    if (credential?.kind === 'helper') throw helperError(reference.domain, credential.helper);
    throw new TreewrightError(
      'network/denied',
      `${reference.domain} refuses access to ${name} (status ${response.status}): it does not exist, or it needs a login; "docker login ${reference.domain}" stores one`,
      { data: { image: name } },
    );
  }
  throw new TreewrightError(
    'network/registry',
    `${reference.domain} answers ${response.status} for ${name}`,
    {
      data: { image: name, status: response.status },
    },
  );
}

function helperError(domain: string, helper: string): TreewrightError {
  return new TreewrightError(
    'config/credential-helper',
    `the login for ${domain} is kept by the credential helper docker-credential-${helper}, which is not supported yet; put an "auths" entry for ${domain} into a config.json and point DOCKER_CONFIG to its directory, or pin the image by digest`,
    { data: { domain, helper } },
  );
}

function imageName(reference: ImageReference): string {
  const { tag, digest } = reference;
  return `${repositoryName(reference)}${digest === undefined ? `:${tag ?? 'latest'}` : `@${digest}`}`;
}

function readManifest(response: HttpResponse, reference: ImageReference): RemoteManifest {
  const name = imageName(reference);
  const { body } = response;
  const digest = digestOf(parseChecksum(createHash('sha256').update(body).digest('hex')));
  const claimed = response.headers.get('docker-content-digest');
  for (const expected of [claimed, reference.digest]) {
    if (
      expected !== null &&
      expected !== undefined &&
      expected.startsWith('sha256:') &&
      expected !== digest
    ) {
      throw new TreewrightError(
        'trust/digest-mismatch',
        `${reference.domain} says the manifest of ${name} is ${expected}, but what it sends is ${digest}`,
        { data: { image: name, expected, found: digest } },
      );
    }
  }
  const json = parseJson(body);
  const header = (response.headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  const inside = json['mediaType'];
  const mediaType = typeof inside === 'string' ? inside : header;
  if (!(ACCEPT as readonly string[]).includes(mediaType)) {
    throw new TreewrightError(
      'network/manifest-type',
      `${name} has a manifest of type ${JSON.stringify(mediaType)}; an OCI or Docker schema 2 manifest or index is needed`,
      { data: { image: name, mediaType } },
    );
  }
  return { digest, mediaType, size: body.length, platforms: platformsOf(json['manifests']) };
}

function parseJson(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    if (typeof json === 'object' && json !== null && !Array.isArray(json))
      return json as Record<string, unknown>;
  } catch {
    // Reported below: whatever it is, it is not a manifest.
  }
  return {};
}

function platformsOf(manifests: unknown): string[] {
  if (!Array.isArray(manifests)) return [];
  return (manifests as unknown[]).flatMap((entry) => {
    const platform = member(entry, 'platform');
    const os = member(platform, 'os');
    const architecture = member(platform, 'architecture');
    const variant = member(platform, 'variant');
    // Attestations are listed with the platform unknown/unknown.
    if (typeof os !== 'string' || typeof architecture !== 'string' || os === 'unknown') return [];
    return [[os, architecture, ...(typeof variant === 'string' ? [variant] : [])].join('/')];
  });
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

/** The Authorization header an answer with status 401 asks for, or undefined when there is none to give. */
async function authorize(
  response: HttpResponse,
  reference: ImageReference,
  context: Required<RegistryOptions>,
): Promise<string | undefined> {
  const credential = context.credentials.lookup(reference.domain);
  if (credential?.kind === 'bearer') return `Bearer ${credential.token}`;
  const challenges = parseChallenges(response.headers.get('www-authenticate') ?? '');
  const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
  if (bearer !== undefined) return fetchToken(bearer.parameters, reference, credential, context);
  const basic = challenges.find(({ scheme }) => scheme === 'basic');
  return basic !== undefined && credential?.kind === 'basic' ? basicHeader(credential) : undefined;
}

function basicHeader({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

async function fetchToken(
  parameters: ReadonlyMap<string, string>,
  reference: ImageReference,
  credential: Credential | undefined,
  { http, insecure }: Required<RegistryOptions>,
): Promise<string> {
  const realm = parameters.get('realm') ?? '';
  if (!URL.canParse(realm)) {
    throw new TreewrightError(
      'network/auth',
      `${reference.domain} asks for a token from ${JSON.stringify(realm)}, which is no address`,
    );
  }
  const url = new URL(realm);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isPlain(url.host, insecure))) {
    throw new TreewrightError(
      'network/auth',
      `${reference.domain} asks for a token from ${url.origin}, which is not https; credentials are not sent there`,
    );
  }
  const scope = `repository:${reference.path}:pull`;
  const service = parameters.get('service');
  let answer: HttpResponse;
  if (credential?.kind === 'identity') {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      client_id: 'treewright',
      refresh_token: credential.token,
      scope,
      ...(service === undefined ? {} : { service }),
    });
    answer = await http.request({
      url: url.href,
      method: 'POST',
      body: form.toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      limit: MAX_TOKEN_SIZE,
    });
  } else {
    if (service !== undefined) url.searchParams.set('service', service);
    url.searchParams.set('scope', scope);
    answer = await http.request({
      url: url.href,
      headers: credential?.kind === 'basic' ? { authorization: basicHeader(credential) } : {},
      limit: MAX_TOKEN_SIZE,
    });
  }
  if (answer.status === 401 || answer.status === 403) {
    if (credential?.kind === 'helper') throw helperError(reference.domain, credential.helper);
    throw new TreewrightError(
      'network/denied',
      `${url.origin} refuses a token for ${repositoryName(reference)} (status ${answer.status}); "docker login ${reference.domain}" stores a login`,
    );
  }
  const json = answer.status === 200 ? parseJson(answer.body) : {};
  const token = json['token'] ?? json['access_token'];
  if (typeof token !== 'string' || token === '') {
    throw new TreewrightError(
      'network/auth',
      `${url.origin} gave no token for ${repositoryName(reference)} (status ${answer.status})`,
    );
  }
  return `Bearer ${token}`;
}

interface Challenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** WWW-Authenticate (RFC 9110, 11.6.1): schemes, each with comma-separated parameters, several in one header. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  const token = /\s*,?\s*([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/y;
  for (let match = token.exec(header); match !== null; match = token.exec(header)) {
    const [, name = '', quoted, bare] = match;
    const value = quoted?.replace(/\\(.)/g, '$1') ?? bare;
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: new Map() });
    else challenges.at(-1)?.parameters.set(name.toLowerCase(), value);
  }
  return challenges;
}

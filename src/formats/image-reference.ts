/**
 * Names of container images: `domain/path:tag@sha256:…`, with the defaults Docker adds to short ones.
 * Grammar: the `reference` package of the distribution project.
 */
import { TreewrightError } from '../core/errors.ts';
import type { Digest } from './oci.ts';
import { isDigest } from './oci.ts';

export interface ImageReference {
  /** Registry as written in full names: `docker.io`, `ghcr.io`, `localhost:5000`. */
  readonly domain: string;
  /** Repository below the registry, such as `library/nginx`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const PATH = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const LABEL = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const DOMAIN = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?$`);
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/** True for one component of a repository path; an app's name is one, because registries carry apps too. */
export function isPathComponent(text: string): boolean {
  return new RegExp(`^${COMPONENT}$`).test(text);
}

/** Reads and completes an image name. Throws `input/bad-image-reference`. */
export function parseImageReference(text: string): ImageReference {
  const fail = (reason: string): TreewrightError =>
    new TreewrightError(
      'input/bad-image-reference',
      `${JSON.stringify(text.slice(0, 300))} is not an image name: ${reason}`,
    );
  const at = text.indexOf('@');
  const named = at < 0 ? text : text.slice(0, at);
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) {
    throw fail('after "@" it needs "sha256:" and 64 lower-case hexadecimal digits');
  }
  const colon = named.lastIndexOf(':');
  const hasTag = colon > named.lastIndexOf('/');
  const name = hasTag ? named.slice(0, colon) : named;
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !TAG.test(tag)) throw fail(`${JSON.stringify(tag)} is not a tag`);
  if (/^[0-9a-f]{64}$/.test(name))
    throw fail('64 hexadecimal digits are an image id, which no registry knows');

  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const isDomain = /[.:A-Z[]/.test(first) || first === 'localhost';
  const domain = !isDomain || first === 'index.docker.io' ? 'docker.io' : first;
  const rest = isDomain ? name.slice(slash + 1) : name;
  const path = domain === 'docker.io' && !rest.includes('/') ? `library/${rest}` : rest;
  if (!DOMAIN.test(domain)) throw fail(`${JSON.stringify(domain)} is not a registry host`);
  if (!PATH.test(path)) {
    throw fail(
      'a repository is lower-case letters and digits, with ".", "_", "-" inside and "/" between its parts',
    );
  }
  if (domain.length + path.length + 1 > 255) throw fail('it is longer than 255 characters');
  return { domain, path, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

/** `domain/path`. */
export function repositoryName(reference: ImageReference): string {
  return `${reference.domain}/${reference.path}`;
}

/** `domain/path@sha256:…`, the only form an app may hold. */
export function pinnedName(reference: ImageReference, digest: Digest): string {
  return `${repositoryName(reference)}@${digest}`;
}

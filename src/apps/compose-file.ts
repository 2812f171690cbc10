/**
 * What an app must and must not have in its Compose file, and the file as the device gets it: every image pinned,
 * every service labelled with the hash of its configuration.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { posix } from 'node:path';
import { utf8 } from '../core/bytes.ts';
import { checksumFromBytes } from '../core/checksum.ts';
import type { Checksum } from '../core/checksum.ts';
import { formatLocation } from '../core/diagnostics.ts';
import type { DiagnosticSink, Location } from '../core/diagnostics.ts';
import type { ErrorCode } from '../core/errors.ts';
import { TreewrightError } from '../core/errors.ts';
import type { YamlMap, YamlValue } from '../formats/yaml-text.ts';
import { encodeYaml, isYamlMap } from '../formats/yaml-text.ts';
import type { ComposeYaml, YamlPath } from './compose-yaml.ts';
import { parseComposeYaml } from './compose-yaml.ts';
import { variablesOf } from './interpolation.ts';

/** Where composeapp keeps and looks for a service's hash (composeapp app.go, AppServiceHashLabelKey). */
export const CONFIG_HASH_LABEL = 'io.compose-spec.config-hash';

/** composeapp refuses larger ones (app.go, AppComposeMaxSize), in bytes. */
export const MAX_COMPOSE_SIZE = 1024 * 1024;

export interface ComposeService {
  readonly name: string;
  /** As written, variables included. */
  readonly image: string;
  readonly where: Location;
}

export interface ComposeFile {
  readonly root: YamlMap;
  readonly services: readonly ComposeService[];
  /** Files below the app's folder that the Compose file names and the device will read. */
  readonly files: readonly { readonly path: string; readonly where: Location }[];
}

export function configError(code: ErrorCode, where: Location, message: string): TreewrightError {
  return new TreewrightError(code, `${formatLocation(where)}: ${message}`, {
    data: { where: formatLocation(where) },
  });
}

/** Reads a Compose file and checks that it can be an app. All errors carry file:line:column. */
export function readComposeFile(text: string, file: string, diagnostics: DiagnosticSink): ComposeFile {
  const yaml = parseComposeYaml(text, file);
  const { root } = yaml;
  if (root.has('include')) {
    throw configError(
      'config/compose-include',
      yaml.where(['include']),
      '"include" is not supported in an app: images of included files could not be pinned; put the services into this file',
    );
  }
  const services = root.get('services');
  if (!isYamlMap(services) || services.size === 0) {
    throw configError(
      'config/compose-services',
      yaml.where(['services']),
      'an app needs at least one entry under "services"',
    );
  }
  const found = [...services].map(([name, service]) => readService(name, service, yaml));
  const files = referencedFiles(root, services, yaml, diagnostics);
  warnAboutVariables(root, [], yaml, diagnostics);
  return { root, services: found, files };
}

function readService(name: string, service: YamlValue, yaml: ComposeYaml): ComposeService {
  const path: YamlPath = ['services', name];
  if (!isYamlMap(service))
    throw configError('config/compose-services', yaml.where(path), `service ${name} must be a mapping`);
  if (service.has('build')) {
    throw configError(
      'config/compose-build',
      yaml.where([...path, 'build']),
      `service ${name} has "build"; a device runs images from a registry. Build and push the image first, then name it with "image"`,
    );
  }
  if (service.has('extends')) {
    throw configError(
      'config/compose-extends',
      yaml.where([...path, 'extends']),
      `service ${name} has "extends", which is not supported in an app; write the service out (docker compose config does it)`,
    );
  }
  const image = service.get('image');
  if (typeof image !== 'string' || image === '') {
    throw configError(
      'config/compose-image',
      yaml.where([...path, 'image']),
      `service ${name} has no "image"`,
    );
  }
  return { name, image, where: yaml.where([...path, 'image']) };
}

/** `env_file`, `label_file`, and `file` of configs and secrets; relative bind mounts are only looked at. */
function referencedFiles(
  root: YamlMap,
  services: YamlMap,
  yaml: ComposeYaml,
  diagnostics: DiagnosticSink,
): ComposeFile['files'] {
  const files: { path: string; where: Location }[] = [];
  const add = (value: YamlValue | undefined, path: YamlPath, what: string): void => {
    if (typeof value !== 'string' || value.includes('$') || posix.isAbsolute(value)) return;
    const where = yaml.where(path);
    const inside = posix.normalize(value);
    if (inside === '..' || inside.startsWith('../')) {
      throw configError(
        'config/outside-app',
        where,
        `${what} ${value} lies outside the app's folder, so it does not reach the device`,
      );
    }
    files.push({ path: inside, where });
  };
  for (const [name, service] of services) {
    if (!isYamlMap(service)) continue;
    for (const key of ['env_file', 'label_file']) {
      for (const [entry, at] of entriesOf(service.get(key))) {
        const path: YamlPath = ['services', name, key, ...at];
        if (isYamlMap(entry) && entry.get('required') === false) continue;
        add(isYamlMap(entry) ? entry.get('path') : entry, path, key);
      }
    }
    if (service.has('env_file')) {
      diagnostics({
        severity: 'warning',
        code: 'config/env-file',
        message: `service ${name} has "env_file": composectl looks for it in the directory it was started from and refuses the app when it is not there; "environment" works everywhere`,
        where: yaml.where(['services', name, 'env_file']),
      });
    }
    for (const [volume, at] of entriesOf(service.get('volumes'))) {
      const source = isYamlMap(volume) ? volume.get('source') : volume;
      if (typeof source === 'string' && source.startsWith('..')) {
        diagnostics({
          severity: 'warning',
          code: 'config/outside-app',
          message: `service ${name} mounts ${source.split(':')[0] ?? ''}, which lies outside the app's folder: on the device that is another app's or the system's directory`,
          where: yaml.where(['services', name, 'volumes', ...at]),
        });
      }
    }
  }
  for (const section of ['configs', 'secrets']) {
    const entries = root.get(section);
    if (!isYamlMap(entries)) continue;
    for (const [name, entry] of entries) {
      if (isYamlMap(entry)) add(entry.get('file'), [section, name, 'file'], `the file of ${section}.${name}`);
    }
  }
  return files;
}

function entriesOf(value: YamlValue | undefined): [YamlValue, YamlPath][] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as YamlValue[]).map((entry, i) => [entry, [i]]) : [[value, []]];
}

/** composectl loads the file with an empty environment: `${X:?…}` anywhere makes it refuse the app. */
function warnAboutVariables(
  value: YamlValue,
  path: YamlPath,
  yaml: ComposeYaml,
  diagnostics: DiagnosticSink,
): void {
  if (isYamlMap(value)) {
    for (const [name, entry] of value) {
      const isImage = path.length === 2 && path[0] === 'services' && name === 'image';
      if (!isImage) warnAboutVariables(entry, [...path, name], yaml, diagnostics);
    }
  } else if (Array.isArray(value)) {
    (value as YamlValue[]).forEach((entry, i) => warnAboutVariables(entry, [...path, i], yaml, diagnostics));
  } else if (typeof value === 'string') {
    const required = variablesOf(value).find(({ operator }) => operator?.endsWith('?') === true);
    if (required === undefined) return;
    diagnostics({
      severity: 'warning',
      code: 'config/required-variable',
      message: `${required.name} is required here, but composectl reads the file without any variables and would refuse the app; give it a default`,
      where: yaml.where(path),
    });
  }
}

/** The Compose file for the device: `pinned` maps service names to `domain/path@sha256:…`. */
export function pinComposeFile(root: YamlMap, pinned: ReadonlyMap<string, string>): YamlMap {
  const services = root.get('services');
  const changed = new Map<string, YamlValue>();
  if (isYamlMap(services)) {
    for (const [name, service] of services) {
      const image = pinned.get(name);
      if (!isYamlMap(service) || image === undefined) {
        throw new TreewrightError('internal/unpinned', `service ${name} was not pinned`);
      }
      changed.set(name, labelService(new Map([...service, ['image', image]])));
    }
  }
  return new Map<string, YamlValue>([...root, ['services', changed]]);
}

function labelService(service: YamlMap): YamlMap {
  const labels = readLabels(service.get('labels'));
  labels.set(CONFIG_HASH_LABEL, serviceHash(service));
  return new Map<string, YamlValue>([...service, ['labels', labels]]);
}

/**
 * SHA-256 of the service's YAML without this label, as composeapp makes it (publish.go, pinServiceConfigs).
 * Labels count as a mapping of texts, because that is how they stand in the finished file: so a verifier can repeat
 * the sum. composeapp hashes them as they were written, which gives another hash for a list or for `a: 1`.
 */
export function serviceHash(service: YamlMap): Checksum {
  const labels = readLabels(service.get('labels'));
  labels.delete(CONFIG_HASH_LABEL);
  const hashed = new Map(service);
  hashed.delete('labels');
  if (labels.size > 0) hashed.set('labels', labels);
  return checksumFromBytes(sha256(utf8(encodeYaml(hashed))));
}

/** Labels as a mapping of texts, whichever of Compose's two forms they have. */
function readLabels(value: YamlValue | undefined): Map<string, string> {
  const labels = new Map<string, string>();
  if (isYamlMap(value)) {
    for (const [name, entry] of value) labels.set(name, labelText(entry));
  } else if (Array.isArray(value)) {
    for (const entry of value as YamlValue[]) {
      const text = labelText(entry);
      const equals = text.indexOf('=');
      labels.set(equals < 0 ? text : text.slice(0, equals), equals < 0 ? '' : text.slice(equals + 1));
    }
  }
  return labels;
}

function labelText(value: YamlValue): string {
  if (value === null) return '';
  if (typeof value === 'object')
    throw new TreewrightError('config/compose-labels', 'labels are texts, found a list or a mapping');
  return String(value);
}

/** Services of a finished file with their images, each checked by {@link serviceHash}; for the verifier. */
export function readPinnedServices(text: string, file: string): { name: string; image: string }[] {
  const { root } = parseComposeYaml(text, file);
  const services = root.get('services');
  if (!isYamlMap(services) || services.size === 0) {
    throw new TreewrightError('input/bad-app', `${file} has no services`);
  }
  return [...services].map(([name, service]) => {
    const image = isYamlMap(service) ? service.get('image') : undefined;
    if (!isYamlMap(service) || typeof image !== 'string') {
      throw new TreewrightError('input/bad-app', `${file}: service ${name} has no image`);
    }
    if (service.has('build') || service.has('extends')) {
      throw new TreewrightError('input/bad-app', `${file}: service ${name} has "build" or "extends"`);
    }
    const labels = service.get('labels');
    const found = isYamlMap(labels) ? labels.get(CONFIG_HASH_LABEL) : undefined;
    const expected = serviceHash(service);
    if (found !== expected) {
      throw new TreewrightError(
        'input/bad-app',
        `${file}: the label ${CONFIG_HASH_LABEL} of service ${name} must be ${expected}, found ${typeof found === 'string' ? found : 'none'}`,
      );
    }
    return { name, image };
  });
}

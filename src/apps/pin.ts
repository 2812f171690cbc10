/** Image names of a Compose file to names with digests. */
import { join } from 'node:path';
import { formatLocation } from '../core/diagnostics.ts';
import type { DiagnosticSink } from '../core/diagnostics.ts';
import { TreewrightError, isTreewrightError } from '../core/errors.ts';
import { noEvents } from '../core/events.ts';
import type { ImageReference } from '../formats/image-reference.ts';
import { parseImageReference, pinnedName, repositoryName } from '../formats/image-reference.ts';
import { MAX_TEXT_SIZE, readOptional } from './app-texts.ts';
import type { AppOptions, AppSpec } from './build.ts';
import type { ComposeService } from './compose-file.ts';
import { configError } from './compose-file.ts';
import { interpolate, parseDotEnv } from './interpolation.ts';
import type { RegistryClient } from './registry.ts';

export interface AppService {
  readonly name: string;
  /** `domain/path@sha256:…`. */
  readonly image: string;
  /** What the Compose file says, variables replaced. */
  readonly resolvedFrom: string;
}

/** Replaces variables and asks the registry for what carries no digest, each image once. */
export async function pinServices(
  services: readonly ComposeService[],
  folder: string,
  spec: AppSpec,
  { env = {}, registry, events = noEvents }: AppOptions,
  diagnostics: DiagnosticSink,
): Promise<AppService[]> {
  const outer = (name: string): string | undefined => env[name];
  const dotEnv = join(folder, '.env');
  const text = services.some(({ image }) => image.includes('$'))
    ? await readOptional(dotEnv, MAX_TEXT_SIZE)
    : undefined;
  let fromFile: ReadonlyMap<string, string> | undefined;
  const lookup = (name: string): string | undefined => {
    fromFile ??= text === undefined ? new Map() : readDotEnv(text, dotEnv, outer);
    return outer(name) ?? fromFile.get(name);
  };
  const known = new Map<string, string>();
  const pinned: AppService[] = [];
  for (const service of services) {
    const written = located(service, () => interpolate(service.image, lookup));
    const reference = located(service, () => parseImageReference(written));
    const image = known.get(written) ?? (await pinImage(reference, service, spec, registry, diagnostics));
    known.set(written, image);
    pinned.push({ name: service.name, image, resolvedFrom: written });
    events({
      type: 'progress',
      stage: 'apps',
      what: 'images',
      done: pinned.length,
      total: services.length,
      unit: 'items',
    });
  }
  return pinned;
}

function readDotEnv(
  text: string,
  file: string,
  outer: (name: string) => string | undefined,
): ReadonlyMap<string, string> {
  try {
    return parseDotEnv(text, outer);
  } catch (error) {
    if (isTreewrightError(error))
      throw new TreewrightError('config/bad-env-file', `${file}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Adds the place in the Compose file to what goes wrong with an image's name. */
function located<T>(service: ComposeService, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!isTreewrightError(error)) throw error;
    const code = error.code === 'input/bad-image-reference' ? 'config/bad-image-reference' : error.code;
    throw new TreewrightError(
      code,
      `${formatLocation(service.where)}: image of service ${service.name}: ${error.message}`,
      {
        cause: error,
        data: error.data,
      },
    );
  }
}

async function pinImage(
  reference: ImageReference,
  service: ComposeService,
  spec: AppSpec,
  registry: RegistryClient | undefined,
  diagnostics: DiagnosticSink,
): Promise<string> {
  // A digest says all; asking for it would only make offline builds fail.
  if (reference.digest !== undefined) return pinnedName(reference, reference.digest);
  if (registry === undefined) {
    throw configError(
      'config/unpinned-image',
      service.where,
      `image of service ${service.name} has no digest and no registry may be asked; write ${repositoryName(reference)}@sha256:…`,
    );
  }
  const { digest, platforms } = await registry.resolve(reference);
  if (spec.architecture !== undefined && platforms.length > 0) {
    const wanted = `linux/${spec.architecture}`;
    if (!platforms.some((platform) => platform === wanted || platform.startsWith(`${wanted}/`))) {
      diagnostics({
        severity: 'warning',
        code: 'input/no-image-platform',
        message: `image ${pinnedName(reference, digest)} of service ${service.name} has no ${wanted}, only ${platforms.join(', ')}`,
        where: service.where,
      });
    }
  }
  return pinnedName(reference, digest);
}

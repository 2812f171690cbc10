/** The apps of a release, packed into its OCI layout. */
import { join } from 'node:path';
import type { AppDescriptor } from '../apps/build.ts';
import { buildApp } from '../apps/build.ts';
import { createUserRegistry } from '../apps/user-registry.ts';
import { TreewrightError } from '../core/errors.ts';
import type { ManifestApp } from './manifest.ts';
import type { ReleaseSession } from './session.ts';

/** Go's names of processors, which container images carry, by those of `uname -m`. */
const GO_ARCHITECTURE: Readonly<Record<string, string>> = {
  aarch64: 'arm64',
  armv6l: 'arm',
  armv7l: 'arm',
  i686: '386',
  riscv64: 'riscv64',
  x86_64: 'amd64',
};

/** Where a release directory has its apps. */
export function appLayout(output: string): string {
  return join(output, 'apps');
}

/**
 * Packs every app of the configuration; none is listed yet. Registries are asked only for images without a digest.
 */
export async function buildApps(
  { config, events, output }: ReleaseSession,
  architecture: string | undefined,
): Promise<ManifestApp[]> {
  const registry = createUserRegistry(process.env);
  const goName = GO_ARCHITECTURE[architecture ?? ''];
  const fitKeys = config.boot.fit?.signing?.keys;
  const keepOut = [config.signing.keys, output, ...(fitKeys === undefined ? [] : [fitKeys])];
  const apps: ManifestApp[] = [];
  for (const { name, compose } of config.apps) {
    if (apps.some((app) => app.name === name)) {
      throw new TreewrightError(
        'config/duplicate-app',
        `two apps are named ${name}: give one of them another name`,
      );
    }
    const app = await buildApp(
      { name, compose, ...(goName === undefined ? {} : { architecture: goName }) },
      appLayout(output),
      { events, registry, env: process.env, keepOut },
    );
    apps.push(toManifest(app));
  }
  return apps;
}

function toManifest({ name, digest, manifestSize, bytes, services }: AppDescriptor): ManifestApp {
  return {
    name,
    digest,
    manifestSize,
    bytes,
    services: services.map((service) => ({ name: service.name, image: service.image })),
  };
}

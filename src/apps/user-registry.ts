/** The registry client a user expects: with the logins of `docker login`. */
import type { CredentialStore } from './docker-config.ts';
import { loadDockerCredentials } from './docker-config.ts';
import type { RegistryClient, RegistryOptions } from './registry.ts';
import { createRegistryClient } from './registry.ts';

/**
 * A client with the credentials `env` points to (`DOCKER_CONFIG`, `HOME`). They are read when the first image
 * without a digest needs them: a build of pinned images touches neither network nor logins.
 */
export function createUserRegistry(
  env: Readonly<Record<string, string | undefined>>,
  options: Omit<RegistryOptions, 'credentials'> = {},
): RegistryClient {
  let opening: Promise<RegistryClient> | undefined;
  const open = async (): Promise<RegistryClient> => {
    const credentials: CredentialStore = await loadDockerCredentials(env);
    return createRegistryClient({ ...options, credentials });
  };
  return { resolve: async (reference) => (await (opening ??= open())).resolve(reference) };
}

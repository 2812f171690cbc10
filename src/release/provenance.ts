/** Where a release comes from, in its manifest and in the metadata of its commit. */
import type { Checksum } from '../core/checksum.ts';
import { withoutCredentials } from '../core/uri.ts';
import type { BuildOutput, KernelSource, Layer } from '../sources/types.ts';
import type { ReleaseManifest } from './manifest.ts';

/** In a commit's metadata: the SHA-256 of its packages.json. */
export const PACKAGES_KEY = 'treewright.packages';

type Source = ReleaseManifest['source'];

/** The manifest's `source`. */
export function describeSource({ kind, kernel, facts }: BuildOutput): Source {
  const os = facts.osRelease['PRETTY_NAME'] ?? facts.osRelease['ID'];
  const { tool, kernelSource, layers } = facts;
  return {
    kind,
    ...(tool === undefined ? {} : { tool }),
    ...(facts.arch === undefined ? {} : { architecture: facts.arch }),
    init: facts.init,
    ...(os === undefined ? {} : { os }),
    ...(kernel === undefined ? {} : { kernel: kernel.release }),
    ...(kernelSource === undefined ? {} : { kernelSource: plainKernelSource(kernelSource) }),
    ...(layers.length === 0 ? {} : { layers: layers.map((layer): Layer => ({ ...layer })) }),
    ...(facts.libostree === undefined ? {} : { libostree: facts.libostree }),
    packages: facts.packages.length,
  };
}

/** A password that a mirror asks for is in the build's configuration and not for everybody's eyes. */
function plainKernelSource({ version, sources }: KernelSource): NonNullable<Source['kernelSource']> {
  return {
    ...(version === undefined ? {} : { version }),
    sources: sources.map(({ uri, ...rest }) => ({ uri: withoutCredentials(uri), ...rest })),
  };
}

/**
 * Text for the commit's metadata: `treewright.build`, `treewright.kernel-source` as `uri@revision`, `yocto.layers` as
 * `name:revision`, and the SHA-256 of packages.json as `treewright.packages`. At most a few kilobytes.
 */
export function provenanceStrings(source: Source, packages: Checksum | undefined): Record<string, string> {
  const kernel = (source.kernelSource?.sources ?? []).map(({ uri, revision }) =>
    revision === undefined ? uri : `${uri}@${revision}`,
  );
  const layers = (source.layers ?? []).map(({ name, revision }) => `${name}:${revision ?? 'unknown'}`);
  return {
    ...(source.tool === undefined ? {} : { 'treewright.build': source.tool }),
    ...(kernel.length === 0 ? {} : { 'treewright.kernel-source': kernel.join(' ') }),
    ...(layers.length === 0 ? {} : { 'yocto.layers': layers.join(' ') }),
    ...(packages === undefined ? {} : { [PACKAGES_KEY]: packages }),
  };
}

/** Where a Buildroot build has its kernel from, by .config. Source: Buildroot's linux/Config.in and linux/linux.mk. */
import type { Kconfig } from '../formats/kconfig.ts';
import type { KernelSource } from './types.ts';

const DEFAULT_MIRROR = 'https://cdn.kernel.org/pub';

/** Undefined when no kernel is built. */
export function buildrootKernelSource(config: Kconfig): KernelSource | undefined {
  if (!config.has('BR2_LINUX_KERNEL')) return undefined;
  const text = (symbol: string): string | undefined => {
    const value = config.get(symbol);
    return value === undefined || value === '' ? undefined : value;
  };
  if (config.has('BR2_LINUX_KERNEL_CUSTOM_TARBALL')) {
    const uri = text('BR2_LINUX_KERNEL_CUSTOM_TARBALL_LOCATION');
    return { sources: uri === undefined ? [] : [{ uri }] };
  }
  const repository = text('BR2_LINUX_KERNEL_CUSTOM_REPO_URL');
  if (repository !== undefined) {
    const revision = text('BR2_LINUX_KERNEL_CUSTOM_REPO_VERSION');
    return { sources: [{ uri: repository, ...(revision === undefined ? {} : { revision }) }] };
  }
  const version = text('BR2_LINUX_KERNEL_VERSION');
  if (version === undefined) return undefined;
  // Release candidates and CIP kernels come from elsewhere.
  if (!/^\d+\.\d+(\.\d+)?$/.test(version)) return { version, sources: [] };
  const mirror = text('BR2_KERNEL_MIRROR') ?? DEFAULT_MIRROR;
  const major = version.slice(0, version.indexOf('.'));
  return { version, sources: [{ uri: `${mirror}/linux/kernel/v${major}.x/linux-${version}.tar.xz` }] };
}

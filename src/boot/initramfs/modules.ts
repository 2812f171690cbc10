/** Which kernel modules an initramfs loads to reach the root, and their content. */
import { gunzipSync } from 'node:zlib';
import type { Diagnostic } from '../../core/diagnostics.ts';
import { loadOrder, moduleName, readModuleIndex } from '../../formats/kernel-modules.ts';
import { filterBytes } from '../../platform/processes.ts';
import type { TreeReader } from './closure.ts';

/** File systems and disks of the devices we know; those that are built in or absent are left out. */
const USUAL = [
  ...['ext4', 'virtio_pci', 'virtio_mmio', 'virtio_blk', 'virtio_scsi', 'sd_mod', 'mmc_block', 'nvme'],
  ...['ahci', 'ahci_platform', 'usb_storage', 'uas', 'xhci_pci', 'xhci_plat_hcd', 'dwc2', 'dwc3'],
];

/** Hosts of eMMC and SD cards: one driver for each family of processors, all small. */
const HOSTS = /^kernel\/drivers\/mmc\/host\//;

export interface LoadedModule {
  /** Below usr/lib/modules/<release>, without the suffix of a compression. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** Modules in the order to load them, uncompressed: insmod of busybox knows no compression. */
export async function gatherModules(
  reader: TreeReader,
  release: string,
  extra: readonly string[],
): Promise<{ readonly modules: LoadedModule[]; readonly diagnostics: Diagnostic[] }> {
  const directory = `usr/lib/modules/${release}`;
  const dep = await reader.readText(`${directory}/modules.dep`);
  const diagnostics: Diagnostic[] = [];
  if (dep === undefined) {
    // A kernel without modules has no such file, and needs none.
    if (extra.length > 0) diagnostics.push(unknown(extra, release, `there is no /${directory}/modules.dep`));
    return { modules: [], diagnostics };
  }
  const softdep = await reader.readText(`${directory}/modules.softdep`);
  const alias = await reader.readText(`${directory}/modules.alias`);
  const index = readModuleIndex({
    dep,
    ...(softdep === undefined ? {} : { softdep }),
    ...(alias === undefined ? {} : { alias }),
  });
  const builtin = new Set(
    ((await reader.readText(`${directory}/modules.builtin`)) ?? '').split('\n').map(moduleName),
  );
  const missing = extra.filter((name) => {
    const plain = name.replaceAll('-', '_');
    return !index.paths.has(plain) && !builtin.has(plain);
  });
  if (missing.length > 0) diagnostics.push(unknown(missing, release, 'the kernel has no such module'));
  const hosts = [...index.needs.keys()].filter((path) => HOSTS.test(path)).map(moduleName);
  const modules: LoadedModule[] = [];
  for (const path of loadOrder(index, [...USUAL, ...hosts, ...extra])) {
    const found = await reader.read(`${directory}/${path}`);
    if (found === undefined) continue;
    modules.push({
      path: path.replace(/\.(?:gz|xz|zst)$/, ''),
      bytes: await uncompressed(path, found.bytes),
    });
  }
  return { modules, diagnostics };
}

function unknown(names: readonly string[], release: string, why: string): Diagnostic {
  return {
    severity: 'warning',
    code: 'config/unknown-module',
    message: `boot.initramfs.modules: ${names.join(', ')}: ${why} (Linux ${release})`,
  };
}

async function uncompressed(path: string, bytes: Uint8Array): Promise<Uint8Array> {
  if (path.endsWith('.gz')) return gunzipSync(bytes);
  if (path.endsWith('.xz')) return filterBytes('xz', ['-d', '-c'], bytes);
  if (path.endsWith('.zst')) return filterBytes('zstd', ['-q', '-d', '-c'], bytes);
  return bytes;
}

/** What a tree tells about itself. */
import { decodeOsRelease } from '../formats/os-release.ts';
import type { OsRelease } from '../formats/os-release.ts';
import type { Directory, FileTree, InitSystem, RegularFile } from '../tree/types.ts';
import { lookup, resolve } from '../tree/walk.ts';
import type { FactsCollector } from './facts-collector.ts';
import { directoryAt, fileAt } from './tree-kernel.ts';
import type { PackageFact } from './types.ts';

/** /usr/lib/os-release first, as libostree reads it at deployment (ostree-sysroot-deploy.c). */
export function readOsRelease(tree: FileTree, facts: FactsCollector): OsRelease | undefined {
  for (const path of ['usr/lib/os-release', 'etc/os-release', 'usr/etc/os-release']) {
    const file = fileAt(tree, path);
    if (file?.content.kind !== 'stored') continue;
    const text = facts.text(file.content.checksum);
    if (text !== undefined) return decodeOsRelease(text);
  }
  return undefined;
}

/** Process 1 by the links and files that only one of the programs brings. */
export function detectInit(tree: FileTree): InitSystem {
  const init = resolve(tree, 'sbin/init') ?? resolve(tree, 'usr/sbin/init') ?? resolve(tree, 'init');
  const openrc = ['sbin/openrc', 'usr/sbin/openrc', 'sbin/openrc-init', 'usr/sbin/openrc-init'];
  const runlevels = directoryAt(tree, 'etc/runlevels') ?? directoryAt(tree, 'usr/etc/runlevels');
  if (init === undefined) return 'none';
  if (/(^|\/)systemd$/.test(init.path)) return 'systemd';
  if (runlevels !== undefined && openrc.some((path) => resolve(tree, path) !== undefined)) return 'openrc';
  if (/(^|\/)busybox[^/]*$/.test(init.path)) return 'busybox';
  if (/(^|\/)init\.sysvinit$/.test(init.path)) return 'sysvinit';
  const inittab = resolve(tree, 'etc/inittab') ?? resolve(tree, 'usr/etc/inittab');
  return inittab !== undefined ? 'sysvinit' : 'other';
}

/** True when /bin, /sbin and /lib are links into /usr, or are not there. */
export function isUsrMerged(tree: FileTree): boolean {
  return ['bin', 'sbin', 'lib'].every((name) => {
    const node = lookup(tree, name);
    return node === undefined || (node.kind === 'symlink' && /^\/?usr\//.test(node.target));
  });
}

const RUNTIMES = ['dockerd', 'containerd', 'podman', 'balena-engine-daemon', 'nerdctl', 'crio', 'lxc-start'];

export function containerRuntimes(tree: FileTree): string[] {
  return RUNTIMES.filter((name) =>
    ['bin', 'sbin', 'usr/bin', 'usr/sbin'].some((place) => fileAt(tree, `${place}/${name}`) !== undefined),
  );
}

/** Version of libostree, `unknown` when only its library tells that it is there. */
export function libostreeVersion(tree: FileTree, packages: readonly PackageFact[]): string | undefined {
  const named = packages.find(({ name }) => /^(lib)?ostree(-1-1|-1)?$/.test(name));
  if (named !== undefined && named.version !== '') return named.version;
  const holds = (directory: Directory | undefined): boolean =>
    directory?.entries.has('libostree-1.so.1') ?? false;
  const usrLib = directoryAt(tree, 'usr/lib');
  const multiarch = [...(usrLib?.entries.values() ?? [])].filter((node) => node.kind === 'directory');
  const present =
    ['usr/lib', 'usr/lib64', 'lib', 'lib64'].some((path) => holds(directoryAt(tree, path))) ||
    multiarch.some(holds);
  return present ? 'unknown' : undefined;
}

/** Number and size of regular files, hard links counted once. */
export function measure(tree: FileTree): { files: number; contentBytes: number } {
  const seen = new Set<RegularFile>();
  let contentBytes = 0;
  const descend = (directory: Directory): void => {
    for (const node of directory.entries.values()) {
      if (node.kind === 'directory') descend(node);
      if (node.kind !== 'file' || seen.has(node)) continue;
      seen.add(node);
      contentBytes += node.content.kind === 'stored' ? node.content.size : node.content.bytes.length;
    }
  };
  descend(tree.root);
  return { files: seen.size, contentBytes };
}

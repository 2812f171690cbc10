/**
 * What a device could not do with an image: where /boot is mounted, a physical root that is read-only, composefs.
 * Source: libostree ostree-prepare-root.c and ostree-sysroot.c of the versions named below.
 */
import type { Checksum } from '../../core/checksum.ts';
import type { Diagnostic } from '../../core/diagnostics.ts';
import { isTreewrightError } from '../../core/errors.ts';
import type { ByteStore } from '../../platform/store.ts';
import { lookupPath, readContentHeader } from '../../repo/read.ts';
import { readCommitText } from '../commit-files.ts';
import { kernelArgValue } from '../kernel-args.ts';
import { isLibostree } from '../libostree-version.ts';
import type { BootPlan } from '../plan.ts';

export interface SysrootCheck {
  /** `sysroot.readonly` of the image; the commit may ask for it as well. */
  readonly readonly: boolean;
  /** A directory of the root file system, or a file system of its own. */
  readonly boot: 'root' | 'ext4' | 'vfat';
  /** Version of libostree on the device; the newest one when absent. */
  readonly libostree?: string;
}

const SYSTEMD = ['usr/lib/systemd/systemd', 'lib/systemd/systemd'];
const PREPARE_ROOT = ['usr/lib/ostree/prepare-root.conf', 'usr/etc/ostree/prepare-root.conf'];
const BOOT_UNITS = ['usr/lib/systemd/system/boot.mount', 'usr/etc/systemd/system/boot.mount'];

/** What the checks know of a commit. */
interface Facts {
  readonly systemd: boolean;
  /** Where something is mounted at boot, as far as files tell. */
  readonly mounts: ReadonlySet<string>;
  /** `section.key` of prepare-root.conf. */
  readonly settings: ReadonlyMap<string, string>;
  /** Whether /boot is a directory. */
  readonly boot: boolean;
  /** Target of /tmp, when it is a symlink. */
  readonly tmp: string | undefined;
  /** Kernel arguments. */
  readonly options: readonly string[];
  readonly initramfs: boolean;
}

/**
 * Looks at the commit of a plan before an image is made of it. Errors are what would keep the device from booting or
 * from updating.
 */
export async function checkSysroot(
  store: ByteStore,
  plan: BootPlan,
  check: SysrootCheck,
): Promise<Diagnostic[]> {
  const facts = await factsOf(store, plan);
  return [...bootFindings(facts, check), ...composefsFindings(facts), ...readonlyFindings(facts, check)];
}

async function factsOf(store: ByteStore, { commit, deployments }: BootPlan): Promise<Facts> {
  const has = async (paths: readonly string[]): Promise<boolean> => {
    for (const path of paths) if ((await lookupPath(store, commit, path)) !== undefined) return true;
    return false;
  };
  const systemd = await has(SYSTEMD);
  const mounts = mountPoints(await textOf(store, commit, 'usr/etc/fstab'));
  if (systemd && (await has(BOOT_UNITS))) mounts.add('/boot');
  return {
    systemd,
    mounts,
    settings: await prepareRootSettings(store, commit),
    boot: (await lookupPath(store, commit, 'boot'))?.kind === 'directory',
    tmp: await linkTarget(store, commit, 'tmp'),
    options: deployments[0]?.options ?? [],
    initramfs: deployments[0]?.layout.initramfs !== undefined,
  };
}

function bootFindings({ boot, systemd, mounts }: Facts, check: SysrootCheck): Diagnostic[] {
  const found: Diagnostic[] = [];
  if (!boot) {
    found.push({
      severity: 'error',
      code: 'input/no-boot-directory',
      message:
        'the tree has no directory /boot, where libostree on the device looks for the boot loader files',
      where: { kind: 'path', path: '/boot' },
    });
  }
  if (check.boot === 'vfat') {
    found.push({
      severity: 'error',
      code: 'config/vfat-boot',
      message:
        'libostree cannot keep /boot on a FAT file system, which has no symlinks: boot/loader is one, and an update ' +
        'replaces it in one step (2025.3 and later refuse FAT by name); use ext4 for /boot, and FAT for firmware only',
    });
  } else if (check.boot === 'ext4' && !mounts.has('/boot')) {
    found.push({
      severity: 'error',
      code: 'input/boot-not-mounted',
      message:
        '/boot is a partition of its own, and nothing in the tree mounts it, so that no update could be deployed; ' +
        'let the build add "LABEL=boot /boot ext4 defaults 0 2" to /etc/fstab',
      where: { kind: 'path', path: '/etc/fstab' },
    });
  } else if (check.boot === 'root' && !systemd && isKnown(check) && isLibostree(check.libostree, 2026, 1)) {
    // The static ostree-prepare-root still does it, and an initramfs may.
    found.push({
      severity: 'warning',
      code: 'input/boot-not-mounted',
      message:
        `ostree-prepare-root of libostree ${check.libostree ?? ''} leaves /boot to systemd, which is not in the tree: ` +
        'unless the initramfs binds /sysroot/boot to /boot, no update can be deployed',
      where: { kind: 'path', path: '/boot' },
    });
  }
  return found;
}

function isKnown({ libostree }: SysrootCheck): boolean {
  return /^\d{4}\.\d/.test(libostree ?? '');
}

function composefsFindings({ options, settings }: Facts): Diagnostic[] {
  const enabled =
    kernelArgValue(options, 'ostree.prepare-root.composefs') ?? settings.get('composefs.enabled');
  if (enabled === undefined || ['no', 'false', '0', 'maybe'].includes(enabled)) return [];
  return [
    {
      severity: 'error',
      code: 'input/composefs',
      message:
        `composefs.enabled is ${JSON.stringify(enabled)}, and an image has no composefs file, so that the first boot ` +
        'would stop; set it to "maybe" or leave it out',
      where: { kind: 'path', path: '/usr/lib/ostree/prepare-root.conf' },
    },
  ];
}

function readonlyFindings(facts: Facts, check: SysrootCheck): Diagnostic[] {
  const { options, settings, tmp, systemd, mounts, initramfs } = facts;
  if (!check.readonly && !['true', '1'].includes(settings.get('sysroot.readonly') ?? '')) return [];
  const found: Diagnostic[] = [];
  const writable = options.findLast((word) => word === 'rw' || word === 'ro') === 'rw';
  if (!writable && !isLibostree(check.libostree, 2024, 9)) {
    found.push({
      severity: initramfs ? 'warning' : 'error',
      code: 'input/root-not-writable',
      message:
        'before 2024.9 ostree-prepare-root stops when sysroot.readonly is set and the root is not mounted writable; ' +
        `add the kernel argument rw${initramfs ? ', unless the initramfs mounts it so by itself' : ''}`,
    });
  }
  if (tmp !== undefined && /^\/?(?:\.\.\/)*sysroot\//.test(tmp) && (systemd || !mounts.has('/tmp'))) {
    found.push({
      severity: 'error',
      code: 'input/tmp-not-writable',
      message:
        `/tmp is a symlink to ${tmp}, which sysroot.readonly makes read-only` +
        (systemd
          ? ', and systemd mounts nothing over a symlink; make /tmp a directory'
          : '; make /tmp a directory, or let /etc/fstab mount a tmpfs on /tmp'),
      where: { kind: 'path', path: '/tmp' },
    });
  }
  return found;
}

/** Text of a file; undefined when there is none that can be read from outside the device. */
async function textOf(store: ByteStore, commit: Checksum, path: string): Promise<string | undefined> {
  try {
    return await readCommitText(store, commit, path);
  } catch (error) {
    if (isTreewrightError(error) && error.code.startsWith('input/')) return undefined;
    throw error;
  }
}

/** Mount points that fstab names. */
function mountPoints(fstab = ''): Set<string> {
  const points = new Set<string>();
  for (const line of fstab.split('\n')) {
    const [device = '', point] = line.trim().split(/\s+/);
    if (point !== undefined && !device.startsWith('#')) points.add(point.replace(/(.)\/+$/, '$1'));
  }
  return points;
}

/** `section.key` to value; the second file wins, as in otcore_load_config. */
async function prepareRootSettings(store: ByteStore, commit: Checksum): Promise<Map<string, string>> {
  const settings = new Map<string, string>();
  for (const path of PREPARE_ROOT) {
    let section = '';
    for (const line of ((await textOf(store, commit, path)) ?? '').split('\n')) {
      const header = /^\s*\[(.*)\]\s*$/.exec(line)?.[1];
      const pair = /^\s*([^#=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line);
      if (header !== undefined) section = header;
      else if (pair !== null) settings.set(`${section}.${pair[1] ?? ''}`, pair[2] ?? '');
    }
  }
  return settings;
}

async function linkTarget(store: ByteStore, commit: Checksum, path: string): Promise<string | undefined> {
  const entry = await lookupPath(store, commit, path);
  if (entry?.kind !== 'file') return undefined;
  const { symlinkTarget } = await readContentHeader(store, entry.checksum);
  return symlinkTarget === '' ? undefined : symlinkTarget;
}

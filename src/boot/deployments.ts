/**
 * What `ostree admin deploy` makes of a sysroot, as a value: the list of deployments, the versions of boot links
 * and loader directory, serial numbers, kernel arguments. Source: libostree ostree-sysroot-deploy.c
 * (ostree_sysroot_write_deployments_with_options and what it calls).
 */
import type { Checksum } from '../core/checksum.ts';
import type { BlsField } from '../formats/bls.ts';
import { replaceKernelArg } from './kernel-args.ts';
import type { KernelLayout } from './kernel-layout.ts';

/** Which of the two sets of boot links, or loader directories, is in use. */
export type BootVersion = 0 | 1;

/** What a commit brings into a deployment. */
export interface Bootable {
  readonly commit: Checksum;
  /** `version` of the commit's metadata. */
  readonly version?: string;
  /** PRETTY_NAME or ID of its os-release. */
  readonly title: string;
  readonly layout: KernelLayout;
  /** Content of usr/lib/ostree-boot/uEnv.txt. */
  readonly uEnv?: string;
  /** Content of overlays.txt beside its device trees. */
  readonly overlays?: string;
}

/** One deployment of a sysroot. */
export interface Deployment extends Bootable {
  /** Distinguishes deployments of the same commit: `ostree/deploy/<os>/deploy/<commit>.<deploySerial>`. */
  readonly deploySerial: number;
  /** Distinguishes deployments with the same boot checksum, in their order. */
  readonly bootSerial: number;
  /** Kernel arguments, with `ostree=` and, without an initramfs, `init=`. */
  readonly options: readonly string[];
}

/** The deployments of one stateroot, the default one first. */
export interface Sysroot {
  readonly osname: string;
  /** N of boot/loader.N and ostree/boot.N */
  readonly bootVersion: BootVersion;
  /** M of ostree/boot.N.M */
  readonly subBootVersion: BootVersion;
  readonly deployments: readonly Deployment[];
  /** The deployments that the boot loader's files were written for; older when only links were changed since. */
  readonly configured: readonly Deployment[];
}

/** How the libostree on the device writes boot entries; the releases differ. */
export interface EntryStyle {
  /** `ostree-<n>-<osname>.conf` instead of `ostree-<n>.conf` */
  readonly osnameInFileName: boolean;
  /** Android boot keys in every entry */
  readonly abootKeys: boolean;
}

/**
 * The style of a libostree version such as `2025.2`; the newest known one when it is not known.
 * Names lost the stateroot in 2024.5; `aboot` keys came unasked from 2023.1 until 2025.3 stopped it.
 */
export function entryStyle(libostree?: string): EntryStyle {
  const match = /^(\d{4})\.(\d+)/.exec(libostree ?? '');
  if (match === null) return { osnameInFileName: false, abootKeys: false };
  const release = Number(match[1]) * 1000 + Number(match[2]);
  return { osnameInFileName: release < 2024_005, abootKeys: release >= 2023_001 && release < 2025_003 };
}

/** A sysroot as `ostree admin init-fs` and `os-init` leave it. */
export function emptySysroot(osname: string, bootVersion: BootVersion = 0): Sysroot {
  return { osname, bootVersion, subBootVersion: 0, deployments: [], configured: [] };
}

/**
 * The sysroot after `ostree admin deploy`: the new deployment becomes the default and the one that was the default
 * stays as its fallback; others go. Without `kargs` the new one inherits the arguments of the old default, which is
 * what every update does.
 */
export function deploy(sysroot: Sysroot, bootable: Bootable, kargs?: readonly string[]): Sysroot {
  const [merge] = sysroot.deployments;
  const kept = merge === undefined ? [] : [merge];
  const sameCommit = sysroot.deployments.filter(({ commit }) => commit === bootable.commit);
  const added: Deployment = {
    ...bootable,
    deploySerial: Math.max(-1, ...sameCommit.map(({ deploySerial }) => deploySerial)) + 1,
    bootSerial: 0,
    options: kargs ?? merge?.options ?? [],
  };
  const list = withBootSerials([added, ...kept]);
  if (!needsNewBootVersion(sysroot.deployments, list)) {
    // Only the links change: ostree= stays the same and leads to the new deployment.
    return {
      ...sysroot,
      subBootVersion: other(sysroot.subBootVersion),
      deployments: list.map((deployment, i) => ({
        ...deployment,
        options: sysroot.deployments[i]?.options ?? deployment.options,
      })),
    };
  }
  const bootVersion = other(sysroot.bootVersion);
  const deployments = list.map((deployment) => ({
    ...deployment,
    options: bootOptions(sysroot.osname, bootVersion, deployment),
  }));
  // The links of the other version were removed when this one was written, which counts as 0: so this is 1.
  return { osname: sysroot.osname, bootVersion, subBootVersion: 1, deployments, configured: deployments };
}

function other(version: BootVersion): BootVersion {
  return version === 0 ? 1 : 0;
}

function withBootSerials(deployments: readonly Deployment[]): Deployment[] {
  const next = new Map<Checksum, number>();
  return deployments.map((deployment) => {
    const { bootcsum } = deployment.layout;
    const bootSerial = next.get(bootcsum) ?? 0;
    next.set(bootcsum, bootSerial + 1);
    return { ...deployment, bootSerial };
  });
}

/** libostree leaves the boot loader alone when each place of the list keeps its kernel, arguments and version. */
function needsNewBootVersion(before: readonly Deployment[], after: readonly Deployment[]): boolean {
  if (before.length !== after.length) return true;
  const ownArgs = (deployment: Deployment): string =>
    replaceKernelArg(deployment.options, 'ostree').join(' ');
  return after.some((deployment, i) => {
    const old = before[i];
    return (
      old === undefined ||
      old.layout.bootcsum !== deployment.layout.bootcsum ||
      old.version !== deployment.version ||
      ownArgs(old) !== ownArgs(deployment)
    );
  });
}

/** `ostree/boot.N/<os>/<bootcsum>/<serial>`, the link a deployment is booted through. */
export function bootLink(osname: string, bootVersion: BootVersion, deployment: Deployment): string {
  return `ostree/boot.${bootVersion}/${osname}/${deployment.layout.bootcsum}/${deployment.bootSerial}`;
}

function bootOptions(osname: string, bootVersion: BootVersion, deployment: Deployment): readonly string[] {
  const link = `/${bootLink(osname, bootVersion, deployment)}`;
  const base =
    deployment.layout.initramfs === undefined
      ? replaceKernelArg(deployment.options, `init=${link}/usr/lib/ostree/ostree-prepare-root`)
      : deployment.options;
  return replaceKernelArg(base, `ostree=${link}`);
}

/** `ostree/<os>-<bootcsum>`, relative to /boot. */
export function bootDirectory(osname: string, deployment: Bootable): string {
  return `ostree/${osname}-${deployment.layout.bootcsum}`;
}

/** `ostree/deploy/<os>/deploy/<commit>.<serial>`, relative to the physical root. */
export function deploymentDirectory(osname: string, deployment: Deployment): string {
  return `ostree/deploy/${osname}/deploy/${deployment.commit}.${deployment.deploySerial}`;
}

/** A boot loader entry: its file name in loader/entries, and its lines. */
export interface BootEntry {
  readonly fileName: string;
  readonly fields: readonly BlsField[];
}

/** The entries of all deployments, the default one first; it has the highest number, which boot loaders prefer. */
export function bootEntries(sysroot: Sysroot, style: EntryStyle): BootEntry[] {
  return sysroot.configured.map((deployment, index) => {
    const { layout, version, title } = deployment;
    const number = sysroot.configured.length - index;
    const inBoot = (name: string): string => `/${bootDirectory(sysroot.osname, deployment)}/${name}`;
    const aboot = `/${deploymentDirectory(sysroot.osname, deployment)}/usr/lib/ostree-boot/aboot`;
    const named = version !== undefined && version !== '' && !title.includes(version);
    const tree = layout.deviceTree;
    const fields: (BlsField | undefined)[] = [
      { key: 'title', value: `${title}${named ? ` ${version}` : ''} (ostree:${index})` },
      { key: 'version', value: String(number) },
      { key: 'options', value: deployment.options.join(' ') },
      tree?.kind === 'file' ? { key: 'devicetree', value: inBoot(tree.name) } : undefined,
      { key: 'linux', value: inBoot(layout.kernel) },
      layout.initramfs === undefined ? undefined : { key: 'initrd', value: inBoot(layout.initramfs) },
      tree?.kind === 'directory' ? { key: 'fdtdir', value: inBoot(tree.name) } : undefined,
      ...(style.abootKeys
        ? [
            { key: 'aboot', value: `${aboot}.img` },
            { key: 'abootcfg', value: `${aboot}.cfg` },
          ]
        : []),
    ];
    return {
      fileName: `ostree-${number}${style.osnameInFileName ? `-${sysroot.osname}` : ''}.conf`,
      fields: fields.filter((field) => field !== undefined),
    };
  });
}

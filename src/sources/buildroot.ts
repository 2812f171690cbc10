/**
 * A Buildroot output directory. Only images/ and .config are read: target/ has the builder's owners and no device
 * nodes, and says so itself (THIS_IS_NOT_YOUR_ROOT_FILESYSTEM). Source: Buildroot's manual and fs/, linux/linux.mk.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import fastGlob from 'fast-glob';
import { compareUtf8 } from '../core/bytes.ts';
import type { Diagnostic } from '../core/diagnostics.ts';
import { TreewrightError } from '../core/errors.ts';
import type { Kconfig } from '../formats/kconfig.ts';
import { buildrootVersion, decodeKconfig } from '../formats/kconfig.ts';
import type { DeviceTreeFile } from './boot-files.ts';
import type { BuildInputs } from './inputs.ts';
import { buildrootKernelSource } from './buildroot-kernel.ts';
import { buildrootPackages } from './buildroot-packages.ts';
import { readTextIfThere } from './text-file.ts';
import type { BuildrootSpec } from './types.ts';

/** In the order they are taken: the plain archive lies beside compressed ones and costs nothing to unpack. */
const ARCHIVES = ['', '.zst', '.gz', '.lz4', '.xz', '.bz2', '.lzma'].map((suffix) => `rootfs.tar${suffix}`);

/** Kernel image names by the symbol that chooses them (linux/Config.in, linux/linux.mk); `*` stands for a device tree's name. */
const KERNEL_NAMES: Readonly<Record<string, string>> = {
  UIMAGE: 'uImage',
  APPENDED_UIMAGE: 'uImage.*',
  BZIMAGE: 'bzImage',
  ZIMAGE: 'zImage',
  ZIMAGE_EPAPR: 'zImage.epapr',
  APPENDED_ZIMAGE: 'zImage.*',
  CUIMAGE: 'cuImage.*',
  SIMPLEIMAGE: 'simpleImage.*',
  IMAGE: 'Image',
  IMAGEGZ: 'Image.gz',
  LINUX_BIN: 'linux.bin',
  VMLINUX_BIN: 'vmlinux.bin',
  VMLINUX: 'vmlinux',
  VMLINUZ: 'vmlinuz',
  VMLINUZ_BIN: 'vmlinuz.bin',
};

/** When no .config tells which one. */
const USUAL_KERNELS = [
  'Image',
  'zImage',
  'bzImage',
  'uImage',
  'Image.gz',
  'vmlinuz',
  'fitImage',
  'image.itb',
];

/** Device trees of boot loaders and firmware are not the kernel's. */
const FOREIGN_DEVICE_TREES = ['**/u-boot*.dtb', 'rpi-firmware/**', 'efi-part/**', 'rootfs-oci/**'];

export async function buildrootInputs(
  spec: BuildrootSpec,
  env: Readonly<Record<string, string | undefined>>,
): Promise<BuildInputs> {
  const { output, images } = await directories(spec.output);
  const text = await readTextIfThere(join(output, '.config'));
  const config = decodeKconfig(text ?? '');
  const names = new Set(await readdir(images));
  const archive = ARCHIVES.find((name) => names.has(name));
  if (archive === undefined) {
    throw new TreewrightError(
      'input/no-rootfs-tar',
      `${images} has no rootfs.tar (found: ${[...names].sort(compareUtf8).slice(0, 8).join(', ') || 'nothing'}); ` +
        'set BR2_TARGET_ROOTFS_TAR=y and run make. target/ cannot be used, because its files have the wrong owners',
      { data: { path: images } },
    );
  }
  const kernel = kernelName(config, names);
  const initramfs = config.has('BR2_TARGET_ROOTFS_CPIO_DRACUT') ? dracutImage(names) : undefined;
  const version = env['BR2_VERSION_FULL'] ?? env['BR2_VERSION'] ?? buildrootVersion(text ?? '');
  const arch = architecture(config);
  const machine = machineOf(config);
  const kernelVersion = config.get('BR2_LINUX_KERNEL_VERSION');
  const kernelSource = buildrootKernelSource(config);
  const { diagnostics: packageFindings, ...packages } = await buildrootPackages(output);
  return {
    kind: 'buildroot',
    rootfs: join(images, archive),
    boot: {
      searched: `in ${images}`,
      ...(kernel === undefined ? {} : { kernel: join(images, kernel), kernelName: kernel }),
      ...(initramfs === undefined ? {} : { initramfs: join(images, initramfs) }),
      ...(kernelVersion === undefined ? {} : { fallbackRelease: kernelVersion }),
      deviceTrees: await deviceTrees(images),
    },
    ...packages,
    ...(machine === undefined ? {} : { machine }),
    ...(arch === undefined ? {} : { arch }),
    ...(version === undefined ? {} : { version }),
    tool: version === undefined ? 'Buildroot' : `Buildroot ${version}`,
    ...(kernelSource === undefined ? {} : { kernelSource }),
    diagnostics: [
      ...(text === undefined
        ? [
            {
              severity: 'warning' as const,
              code: 'input/no-dot-config' as const,
              message: `${join(output, '.config')} is not there, so kernel image and architecture are guessed`,
            },
          ]
        : []),
      ...(config.has('BR2_TARGET_ROOTFS_INITRAMFS')
        ? [
            {
              severity: 'warning' as const,
              code: 'input/rootfs-in-kernel' as const,
              message:
                'BR2_TARGET_ROOTFS_INITRAMFS is set: the kernel has a whole root filesystem inside and will boot that ' +
                'one instead of the deployment; unset it',
            },
          ]
        : []),
      ...passwordFindings(config),
      ...packageFindings,
    ],
  };
}

/**
 * The root password as a text is hashed with a new salt by every `make` (skeleton-init-common.mk): /etc/shadow changes,
 * and with it the commit, though nothing else did.
 */
function passwordFindings(config: Kconfig): Diagnostic[] {
  const password = config.get('BR2_TARGET_GENERIC_ROOT_PASSWD') ?? '';
  const hashed = /^\$\$?[156]\$/.test(password);
  if (!config.has('BR2_TARGET_ENABLE_ROOT_LOGIN') || password === '' || hashed) return [];
  return [
    {
      severity: 'warning',
      code: 'input/plain-root-password',
      message:
        'BR2_TARGET_GENERIC_ROOT_PASSWD is a password as a text: every make hashes it anew, so that /etc/shadow and the ' +
        'commit change without need, and .config tells it to everybody. Set what `mkpasswd -m sha-512` prints, with $$ for $',
    },
  ];
}

/** The output directory and its images/; the images directory itself may be given. */
async function directories(path: string): Promise<{ output: string; images: string }> {
  const inside = join(path, 'images');
  if (await isDirectory(inside)) return { output: path, images: inside };
  if (await isDirectory(path)) return { output: dirname(path), images: path };
  throw new TreewrightError(
    'input/unreadable',
    `${path} is not a Buildroot output directory: it cannot be read`,
    {
      data: { path },
    },
  );
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

function kernelName(config: Kconfig, names: ReadonlySet<string>): string | undefined {
  const custom =
    config.get('BR2_LINUX_KERNEL_IMAGE_NAME') ?? config.get('BR2_LINUX_KERNEL_IMAGE_TARGET_NAME') ?? '';
  const chosen = Object.entries(KERNEL_NAMES).find(
    ([symbol]) => config.get(`BR2_LINUX_KERNEL_${symbol}`) === 'y',
  );
  const wanted = custom !== '' ? basename(custom) : chosen?.[1];
  if (wanted?.endsWith('.*') === true) {
    const prefix = wanted.slice(0, -1);
    return [...names].filter((name) => name.startsWith(prefix)).sort(compareUtf8)[0];
  }
  if (wanted !== undefined && names.has(wanted)) return wanted;
  return USUAL_KERNELS.find((name) => names.has(name));
}

/** With dracut, images/rootfs.cpio is an initramfs; otherwise it is the whole system and must not be taken for one. */
function dracutImage(names: ReadonlySet<string>): string | undefined {
  return ['.gz', '.zst', '.xz', '.lz4', '.bz2', '.lzma', '']
    .map((suffix) => `rootfs.cpio${suffix}`)
    .find((name) => names.has(name));
}

async function deviceTrees(images: string): Promise<DeviceTreeFile[]> {
  const found = await fastGlob.glob('**/*.{dtb,dtbo}', {
    cwd: images,
    ignore: FOREIGN_DEVICE_TREES,
    onlyFiles: true,
    followSymbolicLinks: false,
  });
  return found.sort(compareUtf8).map((name) => ({ name, path: join(images, name) }));
}

function architecture(config: Kconfig): string | undefined {
  const arch = config.get('BR2_ARCH');
  if (arch === 'arm')
    return config.has('BR2_ARM_CPU_ARMV6')
      ? 'armv6l'
      : config.has('BR2_ARM_CPU_ARMV5')
        ? 'armv5tel'
        : 'armv7l';
  return arch === 'riscv' ? (config.has('BR2_ARCH_IS_64') ? 'riscv64' : 'riscv32') : arch;
}

/** The defconfig's name: Buildroot knows no machine. */
function machineOf(config: Kconfig): string | undefined {
  const match = /^(.+)_defconfig$/.exec(basename(config.get('BR2_DEFCONFIG') ?? ''));
  return match?.[1];
}

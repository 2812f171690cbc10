/**
 * What a board's U-Boot needs to be told, as data: where files are loaded from and to, which command starts the kernel,
 * which device tree it gets, and where the environment that counts boot attempts is kept.
 * Values are U-Boot shell words, so `${kernel_addr_r}` is filled in on the device.
 */
import { TreewrightError } from '../core/errors.ts';
import type { UbootArch } from '../formats/uboot-image.ts';
import type { KernelFormat } from './kernel-format.ts';
import type { RollbackProfile } from './profiles.ts';

export type BoardArch = Extract<UbootArch, 'arm' | 'arm64' | 'riscv' | 'x86_64'>;

/**
 * `booti`: Image; `bootz`: zImage; `bootm`: legacy image with a separate initramfs and device tree;
 * `fit`: `bootm` of an image that has everything inside; `zboot`: bzImage.
 */
export type BootCommand = 'booti' | 'bootz' | 'bootm' | 'fit' | 'zboot';

/** A copy of the environment as Linux sees it: one line of fw_env.config. */
export interface EnvironmentLocation {
  /** Device node, or file for an environment in a file. */
  readonly device: string;
  /** Bytes from the start of the device, or a negative number from its end. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** Where boot attempts and the rollback flag survive a reset. */
export type EnvironmentStore =
  /** U-Boot's own environment: loaded before the script runs, written with `saveenv`. Two locations are redundant copies. */
  | { readonly kind: 'u-boot'; readonly locations?: readonly EnvironmentLocation[] }
  /** Blocks of a disk that the script itself reads and writes, for a U-Boot whose own environment cannot be saved. */
  | {
      readonly kind: 'raw';
      /** U-Boot's block command, such as `mmc` or `virtio`. */
      readonly command: string;
      readonly location: EnvironmentLocation;
      /** The second copy of a redundant one, of the same size: a power cut while one is written leaves the other. */
      readonly redundant?: EnvironmentLocation;
    }
  /** A file that the script itself reads and writes, on a FAT partition. */
  | {
      readonly kind: 'fat-file';
      /** U-Boot's interface and device:partition, such as `mmc 0:1`. */
      readonly partition: string;
      readonly file: string;
      /** The file as Linux sees it; its size is that of the environment. */
      readonly location: EnvironmentLocation;
    }
  /** Nothing can be saved: no attempts are counted. */
  | { readonly kind: 'none' };

export interface Board {
  readonly name: string;
  readonly arch: BoardArch;
  /** Arguments of `load`: interface, `device:partition`. */
  readonly device: string;
  /** Arguments of `load` for the root file system, when /boot is a partition of its own. */
  readonly rootDevice?: string;
  /** Directory of uEnv.txt on that partition. */
  readonly loaderDirectory: string;
  readonly addresses: {
    readonly kernel: string;
    readonly ramdisk: string;
    readonly fdt: string;
    /** Room for uEnv.txt and a raw environment, not overlapping the others while they are loaded. */
    readonly scratch: string;
    /** Where an overlay is loaded to before it is applied; the place of the initramfs, which comes later, when absent. */
    readonly overlay?: string;
    /**
     * Where a FIT image is loaded. When absent: the place of the kernel for 32-bit arm, whose zImage unpacks itself,
     * else that of the initramfs, since U-Boot moves the kernel to where it belongs.
     */
    readonly fit?: string;
  };
  /** Bytes that fit at these addresses, where that is known. */
  readonly limits?: { readonly kernel?: number; readonly ramdisk?: number; readonly fdt?: number };
  readonly bootCommand: BootCommand;
  readonly deviceTree: {
    /** File below `fdtdir`, when the deployment brings a directory of device trees. */
    readonly name: string;
    /** Address of the one U-Boot or the firmware has, when the deployment brings none. */
    readonly builtin: string;
  };
  /** Configuration inside a FIT image, such as `conf-1`; else the one that is named after the device tree. */
  readonly fitConfiguration?: string;
  readonly environment: EnvironmentStore;
  /** Lines run first, such as starting a watchdog. */
  readonly prepare?: readonly string[];
}

/** Who counts boot attempts of a new deployment, and how many there are before the previous one is started. */
export interface RollbackScheme {
  /** `script`: boot.scr; `u-boot`: CONFIG_BOOTCOUNT_LIMIT with altbootcmd, which sets `rollback`; `none`: nobody. */
  readonly counting: 'script' | 'u-boot' | 'none';
  /** 1 to 9. */
  readonly attempts: number;
  /** Whose variables they are; `ostree` when absent. */
  readonly profile?: RollbackProfile;
}

const COMMAND_OF_ARCH: Readonly<Record<BoardArch, BootCommand>> = {
  arm: 'bootz',
  arm64: 'booti',
  riscv: 'booti',
  x86_64: 'zboot',
};

/** The command that starts a kernel of that format; what is not known is taken for the architecture's usual one. */
export function bootCommandFor(format: KernelFormat, arch: BoardArch): BootCommand {
  switch (format) {
    case 'fit':
      return 'fit';
    case 'uimage':
      return 'bootm';
    case 'arm64-image':
    case 'riscv-image':
      return 'booti';
    case 'arm-zimage':
      return 'bootz';
    case 'x86-bzimage':
      return 'zboot';
    case 'gzip':
    case 'efi-zboot':
    case 'unknown':
      return COMMAND_OF_ARCH[arch];
  }
}

/**
 * Any board with U-Boot's standard boot (distro_bootcmd or bootflow): these variables are set where a script is found
 * and run. Source: U-Boot doc/develop/distro.rst.
 */
export function distroBoard(arch: BoardArch, bootCommand: BootCommand = COMMAND_OF_ARCH[arch]): Board {
  return {
    name: `generic ${arch} board with standard boot`,
    arch,
    device: '${devtype} ${devnum}:${distro_bootpart}',
    loaderDirectory: '/boot/loader',
    addresses: {
      kernel: '${kernel_addr_r}',
      ramdisk: '${ramdisk_addr_r}',
      fdt: '${fdt_addr_r}',
      // uEnv.txt is used up before the initramfs goes to the same place.
      scratch: '${ramdisk_addr_r}',
    },
    bootCommand,
    deviceTree: { name: '${fdtfile}', builtin: '${fdtcontroladdr}' },
    environment: { kind: 'u-boot' },
  };
}

/** Where a FIT image is loaded. */
export function fitAddress({ addresses, arch }: Board): string {
  return addresses.fit ?? (arch === 'arm' ? addresses.kernel : addresses.ramdisk);
}

/** Board architecture for a name as `uname -m`, Debian, Yocto or U-Boot have it; undefined when it is none of ours. */
export function boardArch(name: string): BoardArch | undefined {
  if (/^(aarch64|arm64)$/.test(name)) return 'arm64';
  if (/^(arm|armhf|armel|armv[5-8].*)$/.test(name)) return 'arm';
  if (/^riscv(64)?$/.test(name)) return 'riscv';
  if (/^(x86[-_]64|amd64)$/.test(name)) return 'x86_64';
  return undefined;
}

/** Throws `config/bad-board` or `config/bad-rollback` for values that would make a wrong script. */
export function checkBoard(board: Board, rollback: RollbackScheme): void {
  const bad = (reason: string, message: string): never => {
    throw new TreewrightError(`config/${reason}`, message, { data: { board: board.name } });
  };
  if (!Number.isInteger(rollback.attempts) || rollback.attempts < 1 || rollback.attempts > 9) {
    // Digits that U-Boot's commands, some of which compute in base 16, and update clients, which do not, agree on.
    bad('bad-rollback', `rollback attempts must be 1 to 9, found ${rollback.attempts}`);
  }
  if (rollback.counting !== 'none' && board.environment.kind === 'none') {
    bad('bad-rollback', `boot attempts cannot be counted on "${board.name}": it has nowhere to save them`);
  }
  if (rollback.counting === 'u-boot' && board.environment.kind !== 'u-boot') {
    bad(
      'bad-rollback',
      `U-Boot counts boot attempts in its own environment, but the board "${board.name}" keeps them elsewhere (${board.environment.kind}): use counting: script, or environment: { kind: u-boot }`,
    );
  }
  const { addresses, deviceTree, device, rootDevice, loaderDirectory, bootCommand, environment } = board;
  const stored = environment.kind === 'fat-file' ? [environment.partition, environment.file] : [];
  const words = [
    ...stored,
    ...Object.values(addresses),
    ...Object.values(deviceTree),
    device,
    ...(rootDevice === undefined ? [] : [rootDevice]),
    loaderDirectory,
  ];
  const odd = words.find((word) => !/^[\w./:@+,${} -]+$/.test(word));
  if (odd !== undefined) bad('bad-board', `${JSON.stringify(odd)} is not a plain U-Boot word or variable`);
  if (bootCommand === 'zboot' && board.arch !== 'x86_64') bad('bad-board', 'zboot starts x86 kernels only');
  for (const location of environmentLocations(board.environment)) {
    const fromEnd = board.environment.kind === 'u-boot';
    if (!(location.size > 0) || (location.offset < 0 && !fromEnd) || !/^\/\S+$/.test(location.device)) {
      bad('bad-board', `the environment at ${location.device} needs a path, an offset from 0 and a size`);
    }
    if (board.environment.kind === 'raw' && (location.offset % 512 !== 0 || location.size % 512 !== 0)) {
      bad('bad-board', `the environment at ${location.device} must start and end at a multiple of 512 bytes`);
    }
  }
  const [first, second] = environmentLocations(board.environment);
  if (first !== undefined && second !== undefined) {
    if (first.size !== second.size) bad('bad-board', 'the two copies of the environment differ in size');
    if (first.device === second.device && Math.abs(first.offset - second.offset) < first.size) {
      bad('bad-board', `the two copies of the environment at ${first.device} overlap`);
    }
  }
}

/** The places of the environment that are known, none to two. */
export function environmentLocations(store: EnvironmentStore): readonly EnvironmentLocation[] {
  switch (store.kind) {
    case 'u-boot':
      return store.locations ?? [];
    case 'raw':
      return store.redundant === undefined ? [store.location] : [store.location, store.redundant];
    case 'fat-file':
      return [store.location];
    case 'none':
      return [];
  }
}

/** fw_env.config of libubootenv and U-Boot's fw_printenv; undefined when the places are not known. */
export function renderFwEnvConfig(store: EnvironmentStore): string | undefined {
  const locations = environmentLocations(store);
  if (locations.length === 0) return undefined;
  const hex = (value: number): string => `${value < 0 ? '-' : ''}0x${Math.abs(value).toString(16)}`;
  return [
    '# device offset size',
    ...locations.map(({ device, offset, size }) => `${device} ${hex(offset)} ${hex(size)}`),
    '',
  ].join('\n');
}

/** What the rest of the program sees of treewright.yaml: every default filled in, every path absolute. */

import type { BoardConfig } from './board.ts';

/** How the root filesystem is laid out before it is committed. */
export type LayoutName = 'ostree' | 'meta-updater' | 'none';

/** Boot files that go before those the build is found to hold. */
interface BootFilesConfig {
  readonly kernel?: string;
  readonly kernelRelease?: string;
  readonly initramfs?: string;
  /** Files, directories or globs. */
  readonly deviceTrees?: readonly string[];
}

/** Where the build output is. The fields are those of the source readers. */
export type SourceConfig = BootFilesConfig &
  (
    | { readonly kind: 'buildroot'; readonly output: string }
    | {
        readonly kind: 'yocto';
        readonly deploy: string;
        readonly image?: string;
        readonly pkgdata?: string;
        readonly buildInfo?: string;
      }
    | {
        readonly kind: 'rootfs';
        readonly rootfs: string;
        /** Whose files those of a directory are. */
        readonly owner?: 'as-is' | 'root';
      }
  );

export interface OstreeConfig {
  /** The ref that devices follow, such as `gateway/stable`. */
  readonly branch: string;
  /** The stateroot: the directory under /ostree/deploy. */
  readonly osname: string;
  readonly layout: LayoutName;
  /** Text in the metadata of each commit. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Path of a repository whose branch the first release continues. */
  readonly continues?: string;
}

export type RollbackProfile = 'ostree' | 'aktualizr' | 'aktualizr-lite' | 'torizon';

export interface BootConfig {
  readonly loader: 'u-boot' | 'extlinux' | 'none';
  /** Absent: any board with U-Boot's standard boot. */
  readonly board?: BoardConfig;
  /** Kernel arguments of the first deployment, one an element: the board's, `root=` and the configured ones. */
  readonly kargs: readonly string[];
  /** Kernel arguments that the commit brings along, one an element. */
  readonly commitKargs: readonly string[];
  /** Overlays by their names among the device trees. */
  readonly overlays: readonly string[];
  readonly initramfs: InitramfsConfig;
  /** Present: kernel, initramfs and device trees are one FIT image. */
  readonly fit?: FitConfig;
  readonly rollback: {
    /** Boots that may fail before the boot loader returns to the previous deployment. */
    readonly attempts: number;
    readonly profile: RollbackProfile;
    /** Absent: as the board says. */
    readonly counting?: 'script' | 'u-boot' | 'none';
  };
}

export interface InitramfsConfig {
  /** `when-needed`: when the build brings none and ostree-prepare-root cannot start by itself. */
  readonly make: 'when-needed' | 'always' | 'never';
  readonly compression: 'none' | 'gzip' | 'xz' | 'zstd';
  /** Kernel modules by name, besides those found to be needed. */
  readonly modules: readonly string[];
}

export interface FitConfig {
  /** Absent: the image has hashes and no signatures. */
  readonly signing?: {
    /** Directory of `<key>.key`. */
    readonly keys: string;
    readonly key: string;
    /** Such as `sha256,rsa2048`. */
    readonly algorithm: string;
  };
  readonly compression: 'none' | 'gzip';
  /** Address of the kernel; absent: where U-Boot finds room. */
  readonly load?: number;
  /** Name of a device tree. */
  readonly default?: string;
}

export interface DeviceConfig {
  /** Whether the update scripts are put into the tree. */
  readonly scripts: boolean;
  readonly watchdog?: {
    readonly device: string;
    /** Seconds. */
    readonly timeout: number;
  };
}

export interface ImageConfig {
  /** Label of the root filesystem. */
  readonly label: string;
  /** Bytes of the root filesystem; absent: as much as is needed, and the margin. */
  readonly size?: number;
  /** Free space for updates: bytes, or a share of the content. */
  readonly margin: { readonly bytes: number } | { readonly ratio: number };
  /** Bytes of an ext4 partition for /boot. */
  readonly bootPartition?: number;
  readonly remote?: { readonly name: string; readonly url: string; readonly verify: boolean };
  readonly sysrootReadonly: boolean;
  readonly seedVar: boolean;
}

export interface DeltasConfig {
  readonly from: {
    /** How many earlier releases of the branch get a delta to the new one. */
    readonly last: number;
    /** Versions that get one besides. */
    readonly versions: readonly string[];
    /** A file that counts the devices of each version. */
    readonly fleet?: string;
  };
  /** Whether a delta from nothing is made, for devices that have no release of this branch. */
  readonly fromNothing: boolean;
  /** A delta larger than this share of what it replaces is dropped. */
  readonly maxRatio: number;
  /** Bytes for all deltas of a release together. */
  readonly budget?: number;
  /** How many newest releases of the branch keep the deltas that lead to them, the new one included. */
  readonly keep: number;
  /** Bytes of memory that applying one part may need. */
  readonly maxDeviceMemory?: number;
}

/** What an update may cost; bytes, but for the requests. */
export interface LimitsConfig {
  readonly download?: number;
  readonly requests?: number;
  readonly deviceWrites?: number;
  readonly boot?: number;
}

export interface AppConfig {
  readonly name: string;
  /** The docker-compose file. */
  readonly compose: string;
}

/** How long each TUF role's metadata is valid, in seconds from the release. */
export interface ExpiryConfig {
  readonly root: number;
  readonly targets: number;
  readonly snapshot: number;
  readonly timestamp: number;
}

export interface SigningConfig {
  /** Directory of the keys. */
  readonly keys: string;
  readonly expires: ExpiryConfig;
}

/** A whole treewright.yaml. */
export interface Config {
  /** The file it was read from. */
  readonly file: string;
  readonly product: string;
  /** The TUF hardware id. */
  readonly machine: string;
  readonly source: SourceConfig;
  /** `from-source` takes what the build says; anything else is the version itself. */
  readonly version: { readonly kind: 'from-source' } | { readonly kind: 'literal'; readonly version: string };
  readonly ostree: OstreeConfig;
  readonly boot: BootConfig;
  readonly device: DeviceConfig;
  readonly image: ImageConfig;
  readonly deltas: DeltasConfig;
  readonly limits: LimitsConfig;
  readonly apps: readonly AppConfig[];
  /** Files about the build that become part of the release. */
  readonly documents: readonly string[];
  readonly signing: SigningConfig;
  readonly output: string;
}

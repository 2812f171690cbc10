/** What the rest of the program sees of treewright.yaml: every default filled in, every path absolute. */

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
    | { readonly kind: 'yocto'; readonly deploy: string; readonly image?: string }
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
}

export interface BootConfig {
  readonly loader: 'u-boot' | 'none';
  /** Kernel arguments, one an element, in their order. */
  readonly kargs: readonly string[];
  readonly rollback: {
    /** Boots that may fail before the boot loader returns to the previous deployment. */
    readonly attempts: number;
  };
}

export interface DeltasConfig {
  readonly from: {
    /** How many earlier releases of the branch get a delta to the new one. */
    readonly last: number;
  };
  /** Whether a delta from nothing is made, for devices that have no release of this branch. */
  readonly fromNothing: boolean;
  /** A delta larger than this share of what it replaces is dropped. */
  readonly maxRatio: number;
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
  readonly deltas: DeltasConfig;
  readonly apps: readonly AppConfig[];
  readonly signing: SigningConfig;
  readonly output: string;
}

/** What a source is and what reading one gives. */
import type { Diagnostic } from '../core/diagnostics.ts';
import type { EventSink } from '../core/events.ts';
import type { OsRelease } from '../formats/os-release.ts';
import type { FileTree, InitSystem, KernelFiles, RegularFile } from '../tree/types.ts';
import type { LayoutName } from '../tree/layout.ts';

/** Boot files that the user names; they go before whatever is found. */
export interface BootFileNames {
  /** Path of the kernel image. */
  readonly kernel?: string;
  /** Directory name below lib/modules. */
  readonly kernelRelease?: string;
  /** Path of the initramfs. */
  readonly initramfs?: string;
  /** Files, directories (their layout is kept) or globs. */
  readonly deviceTrees?: readonly string[];
}

/** A finished Buildroot build: its output directory, or the images directory inside. */
export interface BuildrootSpec extends BootFileNames {
  readonly kind: 'buildroot';
  readonly output: string;
}

/** A Yocto deploy directory of one machine, `tmp/deploy/images/<machine>`. */
export interface YoctoSpec extends BootFileNames {
  readonly kind: 'yocto';
  readonly deploy: string;
  /** Image recipe such as `core-image-minimal`; needed when the directory holds several. */
  readonly image?: string;
  /** BitBake's PKGDATA_DIR; by default `tmp/pkgdata/<machine>`, where the deploy directory lies in `tmp/deploy/images`. */
  readonly pkgdata?: string;
  /** build-info.json as meta-treewright writes it. */
  readonly buildInfo?: string;
}

/** A root filesystem by itself: a tar archive or a directory. */
export interface RootfsSpec extends BootFileNames {
  readonly kind: 'rootfs';
  readonly rootfs: string;
}

export type SourceSpec = BuildrootSpec | YoctoSpec | RootfsSpec;

/** Whose files those of a directory shall be: as the file system has them, or all root's. */
export type OwnerPolicy = 'as-is' | 'root';

export interface ReadOptions {
  readonly events: EventSink;
  /** Default `ostree`. `none` keeps what other layouts drop while reading, such as the content of /dev. */
  readonly layout?: LayoutName;
  /** For a directory only. Default `as-is`. */
  readonly owner?: OwnerPolicy;
  /** Environment variables; BR2_VERSION is read. Default: none. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** A package the build installed. `version` is empty when the build does not tell. */
export interface PackageFact {
  readonly name: string;
  readonly version: string;
  readonly arch?: string;
  /** As the build system writes it, such as `GPL-2.0+, MIT`. */
  readonly licenses?: string;
  /** Common Platform Enumeration, by which vulnerabilities are listed. */
  readonly cpe?: string;
  /** Names of its licence files, relative to its sources. */
  readonly licenseFiles?: readonly string[];
  /** Name of the archive of its sources. */
  readonly sourceArchive?: string;
  /** URL that the archive or the checkout comes from. */
  readonly sourceSite?: string;
}

/** A file of a package, at the path that the package has for it; links of the tree may lead elsewhere. */
export interface PackageFile {
  readonly package: string;
  readonly path: string;
}

/** Where the sources of the kernel came from, as far as the build tells. */
export interface KernelSource {
  readonly version?: string;
  readonly sources: readonly {
    readonly uri: string;
    /** A commit, tag or branch, where the address is that of a repository. */
    readonly revision?: string;
  }[];
}

/** A layer of a Yocto build. */
export interface Layer {
  readonly name: string;
  readonly branch?: string;
  readonly revision?: string;
  /** True when it had changes that are in no commit. */
  readonly modified?: boolean;
}

/** What a build says about itself, for reports and metadata. */
export interface BuildFacts {
  readonly machine?: string;
  /** As `uname -m` prints it: aarch64, armv7l, x86_64, riscv64, ... */
  readonly arch?: string;
  readonly version?: string;
  readonly osRelease: OsRelease;
  readonly init: InitSystem;
  readonly usrMerged: boolean;
  readonly packages: readonly PackageFact[];
  /** Size of all regular files, hard links counted once. */
  readonly contentBytes: number;
  /** Regular files, hard links counted once. */
  readonly files: number;
  /** What made it, such as `Buildroot 2025.02.16`. */
  readonly tool?: string;
  readonly kernelSource?: KernelSource;
  /** Empty but for Yocto builds that tell them. */
  readonly layers: readonly Layer[];
  /** Version of libostree in the tree, or `unknown`; absent when it is not there. */
  readonly libostree?: string;
  /** Programs that run containers, such as `dockerd`. */
  readonly containerRuntimes: readonly string[];
}

export interface BuildOutput {
  readonly kind: 'buildroot' | 'yocto' | 'archive' | 'directory';
  readonly tree: FileTree;
  /** Absent when there is no kernel, or its release is not known; an error in `diagnostics` says why. */
  readonly kernel?: KernelFiles;
  readonly facts: BuildFacts;
  /** Which package each file of the tree is from; files that no package has are not in it. */
  readonly owners: ReadonlyMap<RegularFile, string>;
  /** Paths of files about the build, such as its SBOM. */
  readonly documents: readonly string[];
  readonly diagnostics: readonly Diagnostic[];
}

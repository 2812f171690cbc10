import type { Diagnostic } from '../core/diagnostics.ts';
import type { BootFiles } from './kernel.ts';
import type { KernelSource, Layer, PackageFact, PackageFile } from './types.ts';

/** What a kind of build gives to the common reader: where things lie, and what the build says about them. */
export interface BuildInputs {
  readonly kind: 'buildroot' | 'yocto' | 'archive' | 'directory';
  /** A tar archive or a directory. */
  readonly rootfs: string;
  readonly boot: BootFiles;
  readonly packages: readonly PackageFact[];
  /** Of two packages that name one file the last has it, as in Buildroot's support/scripts/size-stats. */
  readonly packageFiles?: readonly PackageFile[];
  readonly machine?: string;
  readonly arch?: string;
  readonly version?: string;
  readonly tool?: string;
  readonly kernelSource?: KernelSource;
  readonly layers?: readonly Layer[];
  /** Paths of files about the build, such as its SBOM. */
  readonly documents?: readonly string[];
  readonly diagnostics: readonly Diagnostic[];
}

import type { Diagnostic } from '../core/diagnostics.ts';
import type { BootFiles } from './kernel.ts';
import type { PackageFact } from './types.ts';

/** What a kind of build gives to the common reader: where things lie, and what the build says about them. */
export interface BuildInputs {
  readonly kind: 'buildroot' | 'yocto' | 'archive' | 'directory';
  /** A tar archive or a directory. */
  readonly rootfs: string;
  readonly boot: BootFiles;
  readonly packages: readonly PackageFact[];
  readonly machine?: string;
  readonly arch?: string;
  readonly version?: string;
  readonly tool?: string;
  /** Paths of files about the build, such as its SBOM. */
  readonly documents?: readonly string[];
  readonly diagnostics: readonly Diagnostic[];
}

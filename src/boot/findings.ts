/** What a boot plan tells about trouble a device would have with it. */
import type { Diagnostic } from '../core/diagnostics.ts';
import type { Board } from './board.ts';
import { bootCommandFor } from './board.ts';
import { commitVariables } from './commit-variables.ts';
import type { Sysroot } from './deployments.ts';
import { kernelArgValue } from './kernel-args.ts';
import { kernelArch } from './kernel-format.ts';
import { sizeFindings } from './size-findings.ts';

export function planDiagnostics(facts: {
  readonly sysroot: Sysroot;
  readonly board: Board;
  readonly archKnown: boolean;
}): Diagnostic[] {
  const { sysroot, board, archKnown } = facts;
  const found: Diagnostic[] = [];
  const warn = (reason: string, message: string, path?: string): void => {
    found.push({
      severity: 'warning',
      code: `input/${reason}`,
      message,
      ...(path === undefined ? {} : { where: { kind: 'path', path } }),
    });
  };
  if (!archKnown) {
    warn(
      'unknown-arch',
      `neither the configuration nor the commit nor the kernel says which architecture this is; boot.scr is made for ${board.arch}`,
    );
  }
  const [current, previous] = sysroot.deployments;
  if (current === undefined) return found;
  const { layout, uEnv, options } = current;
  const kernelPath = `/usr/lib/modules/${layout.release}/vmlinuz`;
  const built = kernelArch(layout.format);
  if (layout.format === 'efi-zboot') {
    warn(
      'kernel-format',
      `the kernel is an EFI zboot image, which "${board.bootCommand}" cannot start; build it without CONFIG_EFI_ZBOOT`,
      kernelPath,
    );
  } else if (built !== undefined && built !== board.arch) {
    warn('kernel-arch', `the kernel is for ${built}, the board is ${board.arch}`, kernelPath);
  } else if (layout.format === 'gzip' && board.arch !== 'x86_64') {
    warn(
      'kernel-format',
      'the kernel is compressed with gzip: U-Boot needs kernel_comp_addr_r and kernel_comp_size to start it, ' +
        'and every update to it is as large as the kernel; an uncompressed one avoids both',
      kernelPath,
    );
  } else if (layout.format !== 'unknown' && bootCommandFor(layout.format, board.arch) !== board.bootCommand) {
    warn(
      'kernel-format',
      `the kernel is ${layout.format}, which "${board.bootCommand}" does not start`,
      kernelPath,
    );
  }
  if (previous !== undefined && previous.layout.format !== layout.format) {
    warn(
      'kernel-format-changed',
      `the kernel was ${previous.layout.format} and is now ${layout.format}: the boot.scr on the device was made for the former`,
      kernelPath,
    );
  }
  if (
    layout.initramfs !== undefined &&
    kernelArgValue(options, 'init')?.includes('/ostree-prepare-root') === true
  ) {
    warn(
      'stale-init',
      'an earlier deployment had no initramfs, so its init= argument is inherited although this one has an initramfs; ' +
        'remove it on the device with `ostree admin instutil set-kargs` or keep booting without an initramfs',
    );
  }
  found.push(...sizeFindings(current, board));
  if (commitVariables(current).bootargs.includes("'")) {
    warn(
      'karg-quote',
      "U-Boot's shell loses a single quote in a kernel argument when it rolls back; use double quotes",
    );
  }
  if (uEnv?.includes('\r') === true) {
    warn(
      'carriage-return',
      'lines end in CR LF, and U-Boot takes the CR as part of each value; use LF',
      '/usr/lib/ostree-boot/uEnv.txt',
    );
  }
  return found;
}

/** What does not fit: files at U-Boot's addresses, and kernel arguments into the kernel's own buffer. */
import type { Diagnostic } from '../core/diagnostics.ts';
import type { Board, BoardArch } from './board.ts';
import { fitAddress } from './board.ts';
import { commitVariables } from './commit-variables.ts';
import type { Deployment } from './deployments.ts';

/** COMMAND_LINE_SIZE, the final NUL included: Linux arch/<arch>/include/uapi/asm/setup.h. */
const COMMAND_LINE_SIZE: Readonly<Record<BoardArch, number>> = {
  arm: 1024,
  arm64: 2048,
  riscv: 1024,
  x86_64: 2048,
};

/** Errors: the default deployment of a plan could not start. */
export function sizeFindings({ layout, options, uEnv }: Deployment, board: Board): Diagnostic[] {
  const { limits = {}, arch, name } = board;
  const found: Diagnostic[] = [];
  const check = (what: string, key: keyof typeof limits, size: number, path: string): void => {
    const limit = limits[key];
    if (limit === undefined || size <= limit) return;
    found.push({
      severity: 'error',
      code: 'input/too-large-to-load',
      message:
        `${what} takes ${size} bytes of memory, and the board ${name} has ${limit} from its address to what is loaded next: ` +
        `make it smaller, or give a board file with other addresses and limits.${key}`,
      where: { kind: 'path', path },
    });
  };
  const sizeOf = (path: string): number => {
    const file = layout.files.find((each) => each.path === path);
    return file?.kind === 'file' ? file.size : 0;
  };
  const directory = `/usr/lib/modules/${layout.release}`;
  const kernel = Math.max(layout.memory, sizeOf(layout.kernel));
  if (board.bootCommand === 'fit') {
    const place = fitAddress(board) === board.addresses.ramdisk ? 'ramdisk' : 'kernel';
    check('the FIT image', place, kernel, `${directory}/vmlinuz`);
  } else {
    check('the kernel', 'kernel', kernel, `${directory}/vmlinuz`);
  }
  if (layout.initramfs !== undefined) {
    check('the initramfs', 'ramdisk', sizeOf(layout.initramfs), `${directory}/initramfs.img`);
  }
  for (const file of layout.files) {
    if (file.kind === 'file' && /^devicetree-|^dtb\/.*\.dtb$/.test(file.path)) {
      check('the device tree', 'fdt', file.size, `/${file.source}`);
    }
  }
  const bootargs = commitVariables({ options, ...(uEnv === undefined ? {} : { uEnv }) }).bootargs;
  const most = COMMAND_LINE_SIZE[arch];
  if (bootargs.length >= most) {
    found.push({
      severity: 'error',
      code: 'input/kernel-arguments-too-long',
      message:
        `the kernel arguments have ${bootargs.length} characters, and a kernel for ${board.arch} takes ${most - 1}: ` +
        'it would cut off the end, and with it ostree=; shorten boot.kargs and boot.commit-kargs',
    });
  }
  return found;
}

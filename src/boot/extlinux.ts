/**
 * boot/loader/syslinux.cfg as libostree's syslinux back end writes it (ostree-bootloader-syslinux.c), to which
 * boot/extlinux/extlinux.conf leads, and what U-Boot's parser of extlinux.conf makes of it (U-Boot boot/pxe_utils.c).
 */
import type { Diagnostic } from '../core/diagnostics.ts';
import { TreewrightError } from '../core/errors.ts';
import { blsValue } from '../formats/bls.ts';
import type { RollbackScheme } from './board.ts';
import type { BootEntry, Sysroot } from './deployments.ts';

/** Whose configuration libostree keeps: uEnv.txt for boot.scr, or extlinux.conf. */
export type BootLoader = 'u-boot' | 'extlinux';

/**
 * Links below the physical root. libostree chooses this back end, before that for uEnv.txt, when the first one is
 * there, and writes through neither: both lead to the file of whichever loader directory is in use.
 */
export const EXTLINUX_LINKS: readonly { readonly path: string; readonly target: string }[] = [
  { path: 'boot/syslinux/syslinux.cfg', target: '../loader/syslinux.cfg' },
  { path: 'boot/extlinux/extlinux.conf', target: '../loader/syslinux.cfg' },
];

const LINES: readonly (readonly [keyword: string, key: string])[] = [
  ['KERNEL', 'linux'],
  ['INITRD', 'initrd'],
  ['DEVICETREE', 'devicetree'],
];

/** One label a deployment, the default one first. libostree writes neither FDTDIR nor FDTOVERLAYS. */
export function renderExtlinux(entries: readonly BootEntry[]): string {
  const lines = entries.flatMap(({ fields }, index) => {
    const title = blsValue(fields, 'title') ?? '';
    return [
      ...(index === 0 ? [`DEFAULT ${title}`] : []),
      `LABEL ${title}`,
      ...LINES.flatMap(([keyword, key]) => {
        const path = blsValue(fields, key);
        return path === undefined ? [] : [`\t${keyword} /boot${path}`];
      }),
      `\tAPPEND ${blsValue(fields, 'options') ?? ''}`,
    ];
  });
  return lines.map((line) => `${line}\n`).join('');
}

/** Throws `config/bad-rollback`: there is no script that could count. */
export function checkExtlinux(rollback: RollbackScheme): void {
  if (rollback.counting !== 'script') return;
  throw new TreewrightError(
    'config/bad-rollback',
    'boot.loader: extlinux starts no script that could count boot attempts: ' +
      'set boot.rollback.counting to u-boot where U-Boot has CONFIG_BOOTCOUNT_LIMIT, else to none',
  );
}

/** CONFIG_SYS_CBSIZE of i.MX 5 to 7 and x86; most others have 1024 (U-Boot common/Kconfig). */
const SHORTEST_BUFFER = 512;

/** What an extlinux.conf cannot do for this deployment. `chosen`: somebody has said who counts attempts, or that nobody does. */
export function extlinuxDiagnostics(
  { deployments }: Sysroot,
  rollback: RollbackScheme,
  chosen: boolean,
): Diagnostic[] {
  const found: Diagnostic[] = [];
  const tell = (
    severity: 'warning' | 'note',
    code: Diagnostic['code'],
    message: string,
    path?: string,
  ): void => {
    found.push({
      severity,
      code,
      message,
      ...(path === undefined ? {} : { where: { kind: 'path', path } }),
    });
  };
  tell(
    chosen ? 'note' : 'warning',
    'config/extlinux-rollback',
    'extlinux.conf brings the previous deployment back by itself only when U-Boot cannot load the new one or its ' +
      'start command refuses it; a panic or a hang later on ' +
      (rollback.counting === 'none'
        ? 'starts the new one again, without end. Where U-Boot has CONFIG_BOOTCOUNT_LIMIT, set boot.rollback.counting: ' +
          'u-boot, and altbootcmd as docs/boot.md has it'
        : "counts only with U-Boot's CONFIG_BOOTCOUNT_LIMIT and an altbootcmd that chooses the label, as docs/boot.md has it"),
  );
  const [current] = deployments;
  if (current === undefined) return found;
  const { layout, options, uEnv } = current;
  const modules = `/usr/lib/modules/${layout.release}`;
  if (layout.deviceTree?.kind === 'directory') {
    tell(
      'warning',
      'input/extlinux-device-trees',
      'libostree writes no FDTDIR, so U-Boot passes on its own device tree instead of one of this directory; ' +
        'for one of the build, name that one alone in source.device-trees',
      `${modules}/dtb`,
    );
  }
  if (layout.format === 'fit') {
    tell(
      'warning',
      'input/kernel-format',
      'the kernel is a FIT image: extlinux.conf names the empty initramfs beside it, which U-Boot takes instead of ' +
        'the one inside; use a plain kernel with an initramfs of its own',
      `${modules}/vmlinuz`,
    );
  }
  if (uEnv !== undefined) {
    tell(
      'warning',
      'input/extlinux-uenv',
      'nothing reads it with boot.loader: extlinux',
      '/usr/lib/ostree-boot/uEnv.txt',
    );
  }
  const length = options.join(' ').length;
  if (length >= SHORTEST_BUFFER) {
    tell(
      'warning',
      'input/karg-length',
      `the kernel arguments are ${length} bytes long, and U-Boot takes fewer than CONFIG_SYS_CBSIZE from extlinux.conf: ` +
        '512 by default on i.MX 5 to 7 and x86, 1024 on most others',
    );
  }
  const changed = options.find((word) => /['\\]|\$[({]/.test(word));
  if (changed !== undefined) {
    tell(
      'warning',
      'input/karg-quote',
      `U-Boot takes single quotes and backslashes out of APPEND and replaces variables: ${changed}`,
    );
  }
  return found;
}

/** Findings of a plan that are about boot.scr. */
const ABOUT_SCRIPT: ReadonlySet<string> = new Set([
  'input/kernel-format-changed',
  'input/karg-quote',
  'input/carriage-return',
]);

export function isAboutScript({ code }: Diagnostic): boolean {
  return ABOUT_SCRIPT.has(code);
}

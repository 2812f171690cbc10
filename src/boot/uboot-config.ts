/** boot/loader/uEnv.txt as libostree's U-Boot backend writes it (ostree-bootloader-uboot.c). */
import { blsValue } from '../formats/bls.ts';
import type { BootEntry } from './deployments.ts';

/** Variable of uEnv.txt for each key of a boot entry, in the order in which they are written. */
const VARIABLES: readonly (readonly [variable: string, key: string])[] = [
  ['kernel_image', 'linux'],
  ['ramdisk_image', 'initrd'],
  ['fdt_file', 'devicetree'],
  ['fdtdir', 'fdtdir'],
];

/**
 * One set of variables a deployment: plain names for the default one, then the same with 2, 3, ... behind.
 * `appended` is usr/lib/ostree-boot/uEnv.txt of the default deployment; libostree ends it with one more line end.
 */
export function renderUbootConfig(entries: readonly BootEntry[], appended: string | undefined): string {
  const lines: string[] = [];
  for (const [i, { fields }] of entries.entries()) {
    const suffix = i === 0 ? '' : String(i + 1);
    for (const [variable, key] of VARIABLES) {
      const value = blsValue(fields, key);
      if (value !== undefined) lines.push(`${variable}${suffix}=/boot${value}`);
    }
    lines.push(`bootargs${suffix}=${blsValue(fields, 'options') ?? ''}`);
    if (i === 0 && appended !== undefined) lines.push(appended);
  }
  return lines.map((line) => `${line}\n`).join('');
}

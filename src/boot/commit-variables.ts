/** What the boot script imports from the chosen commit, and what becomes of the kernel arguments. */
import { applyChanges, parseEnvironmentText } from '../formats/uboot-env.ts';
import type { Deployment } from './deployments.ts';

export interface CommitVariables {
  /** As Linux finds them in /proc/cmdline, unless U-Boot or the kernel adds to them. */
  readonly bootargs: string;
  /** What the commit adds to those of the device. */
  readonly extra?: string;
  /** Overlays in the order in which they are applied. */
  readonly overlays: readonly string[];
}

/** usr/lib/ostree-boot/uEnv.txt first, then overlays.txt beside the device trees, which wins. */
export function commitVariables({
  options,
  uEnv = '',
  overlays = '',
}: Pick<Deployment, 'options' | 'uEnv' | 'overlays'>): CommitVariables {
  const variables = applyChanges(parseEnvironmentText(uEnv));
  const listed = applyChanges(parseEnvironmentText(overlays)).get('fdt_overlays');
  const base = variables.get('bootargs') ?? options.join(' ');
  const extra = variables.get('bootargs_extra');
  return {
    bootargs: extra === undefined ? base : `${base} ${extra}`,
    ...(extra === undefined ? {} : { extra }),
    overlays: (listed ?? variables.get('fdt_overlays') ?? '').split(' ').filter((name) => name !== ''),
  };
}

/**
 * What a commit tells U-Boot of itself, so that it changes with every update and returns with a rollback: kernel
 * arguments in usr/lib/ostree-boot/uEnv.txt, which libostree appends to uEnv.txt of the default deployment
 * (ostree-bootloader-uboot.c), and overlays in overlays.txt beside the device trees, as Torizon has them.
 */
import type { DiagnosticSink } from '../core/diagnostics.ts';
import { formatEnvironmentText, parseEnvironmentText } from '../formats/uboot-env.ts';
import type { Directory, FileTree } from './types.ts';
import { ensureDirectory, lookup, textFile, walk } from './walk.ts';

export const COMMIT_VARIABLES = 'usr/lib/ostree-boot/uEnv.txt';

/** Appended to `bootargs` by the boot script. */
const EXTRA_ARGUMENTS = 'bootargs_extra';
/** Names of overlays, a blank between them; Torizon's U-Boot scripts read the same variable. */
const OVERLAYS = 'fdt_overlays';
/** The boot script's name of the device tree; without one it takes the tree that U-Boot or the firmware brings. */
const DEVICE_TREE = 'ostree_fdt';
const OVERLAYS_FILE = 'overlays.txt';

export interface BootVariables {
  /** Kernel arguments, one an element. */
  readonly kargs: readonly string[];
  /** Overlays by their names among the device trees, in the order in which they are applied. */
  readonly overlays: readonly string[];
}

/**
 * Writes them into a tree that is laid out. `existing` is the text of COMMIT_VARIABLES that the build brought; what it
 * says stays, and what it says twice is an error. Without a directory of device trees, as with a FIT image, overlays are
 * variables like the others: there each is a configuration of the image.
 */
export function addBootVariables(
  tree: FileTree,
  kernelRelease: string,
  { kargs, overlays }: BootVariables,
  existing: string | undefined,
  diagnostics: DiagnosticSink,
): void {
  const variables = new Map<string, string>();
  if (kargs.length > 0) variables.set(EXTRA_ARGUMENTS, kargs.join(' '));
  const trees = lookup(tree, `usr/lib/modules/${kernelRelease}/dtb`);
  if (trees?.kind === 'directory') addOverlays(trees, overlays, diagnostics);
  else if (overlays.length > 0) variables.set(OVERLAYS, overlays.join(' '));
  if (variables.size === 0) return;
  const set = new Set(parseEnvironmentText(existing ?? '').map(({ name }) => name));
  for (const name of variables.keys()) {
    if (!set.has(name)) continue;
    diagnostics({
      severity: 'error',
      code: 'input/boot-variables',
      message: `/${COMMIT_VARIABLES} of the build sets ${name}, and so does the configuration (${name === OVERLAYS ? 'boot.overlays' : 'boot.commit-kargs'}): keep one of the two`,
      where: { kind: 'path', path: `/${COMMIT_VARIABLES}` },
    });
    return;
  }
  const lines = existing === undefined || existing.endsWith('\n') ? (existing ?? '') : `${existing}\n`;
  ensureDirectory(tree, 'usr/lib/ostree-boot').entries.set(
    'uEnv.txt',
    textFile(lines + formatEnvironmentText(variables)),
  );
}

function addOverlays(trees: Directory, overlays: readonly string[], diagnostics: DiagnosticSink): void {
  const has = (path: string): boolean => lookup({ root: trees }, path)?.kind === 'file';
  const missing = overlays.filter((name) => !has(name) && !has(`overlays/${name}`));
  if (missing.length > 0) {
    diagnostics({
      severity: 'error',
      code: 'input/no-overlay',
      message:
        `boot.overlays names ${missing.join(', ')}, which the build has not among its device trees; ` +
        'let the build make them (source.device-trees adds files to those that are found)',
    });
    return;
  }
  const lines = overlays.length === 0 ? '' : `${OVERLAYS}=${overlays.join(' ')}\n`;
  const text = lines + (hasDeviceTree(trees) ? '' : `${DEVICE_TREE}=\n`);
  if (text === '') return;
  if (trees.entries.has(OVERLAYS_FILE)) {
    if (overlays.length === 0) return;
    diagnostics({
      severity: 'error',
      code: 'input/boot-variables',
      message: `the build has ${OVERLAYS_FILE} among its device trees, and the configuration has boot.overlays: keep one of the two`,
    });
    return;
  }
  trees.entries.set(OVERLAYS_FILE, textFile(text));
}

function hasDeviceTree(trees: Directory): boolean {
  let found = false;
  walk({ root: trees }, (path, node) => {
    if (node.kind === 'file' && path.endsWith('.dtb')) found = true;
  });
  return found;
}

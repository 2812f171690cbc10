/** What U-Boot does with a deployed release, step by step: a boot plan told as the boot script will run it. */
import type { Checksum } from '../core/checksum.ts';
import type { Board, RollbackScheme } from './board.ts';
import { fitAddress } from './board.ts';
import { commitVariables } from './commit-variables.ts';
import type { BootPlan, PlannedDeployment } from './plan.ts';
import { ALTBOOTCMD, countsEveryBoot, initialState } from './profiles.ts';

/** The three boots of a device that matter. */
export type BootCase = 'first' | 'updated' | 'rolled-back';

/** A file that U-Boot loads. */
export interface LoadedFile {
  readonly what: 'kernel' | 'initramfs' | 'device tree' | 'overlay';
  readonly path: string;
  /** Bytes; absent where the boot loader decides which file it is. */
  readonly size?: number;
  /** U-Boot's word for the address. */
  readonly address: string;
}

export interface ExplainedBoot {
  readonly case: BootCase;
  /** The variables shared with the update client, before and after the script has saved them. */
  readonly before: Readonly<Record<string, string>>;
  readonly after: Readonly<Record<string, string>>;
  readonly commit: Checksum;
  readonly version?: string;
  /** Where the deployment is, below the physical root. */
  readonly directory: string;
  readonly loads: readonly LoadedFile[];
  /** As Linux finds it in /proc/cmdline, unless U-Boot or the kernel adds to it. */
  readonly bootargs: string;
  /** The command that starts the kernel, in U-Boot's words. */
  readonly command: string;
  /** Sentences, in the order in which things happen. */
  readonly steps: readonly string[];
}

/** Where U-Boot's parser of extlinux.conf loads to (boot/pxe_utils.c). */
const STANDARD_ADDRESSES: Board['addresses'] = {
  kernel: '${kernel_addr_r}',
  ramdisk: '${ramdisk_addr_r}',
  fdt: '${fdt_addr_r}',
  scratch: '${pxefile_addr_r}',
};

/** `plan` is a first installation for `first`, and that of an update for the other two. */
export function explainBoot(plan: BootPlan, which: BootCase): ExplainedBoot {
  if (plan.loader === 'extlinux') return explainExtlinux(plan, which);
  const { board, rollback } = plan;
  const before = stateBefore(rollback, which);
  const counted = countBoot(board, rollback, before);
  const saved = which === 'first' && rollback.counting !== 'none' && board.environment.kind === 'u-boot';
  const previous = counted.after['rollback'] === '1' && plan.deployments.length > 1;
  const deployment = plan.deployments[previous ? 1 : 0];
  if (deployment === undefined) throw new Error('a boot plan has at least one deployment');
  const { bootargs, extra, overlays } = commitVariables(deployment);
  const loads = loadedFiles(board, deployment, overlays);
  const { version, commit, directory } = deployment;
  return {
    case: which,
    before,
    after: counted.after,
    commit,
    ...(version === undefined ? {} : { version }),
    directory,
    loads,
    bootargs,
    command: startCommand(board, loads, overlays),
    steps: [
      ...stateSteps(board),
      ...(saved ? ['save the environment once, since fw_setenv cannot change one that was never saved'] : []),
      ...counted.steps,
      `import ${board.loaderDirectory}/uEnv.txt from ${board.device}`,
      previous
        ? 'rollback=1 and there is a second deployment: start that one'
        : counted.after['rollback'] === '1'
          ? 'rollback=1, but there is only one deployment: start it'
          : 'start the default deployment',
      ...(extra === undefined ? [] : [`add the kernel arguments of the commit: ${extra}`]),
      ...loads.map(({ what, path, address }) => `load the ${what} ${baseName(path)} to ${address}`),
      ...(loads.some(({ what }) => what === 'device tree') || !needsDeviceTree(board)
        ? []
        : [`use the device tree at ${board.deviceTree.builtin}, which U-Boot or the firmware brings`]),
      ...(board.bootCommand === 'fit' && board.fitConfiguration === undefined
        ? ['where the image has no configuration of that device tree: take its default one']
        : []),
      startCommand(board, loads, overlays),
      'if any of this fails: reset, which is one more attempt while an update is on trial',
    ],
  };
}

/** U-Boot's own parser of extlinux.conf, which counts nothing; with CONFIG_BOOTCOUNT_LIMIT altbootcmd names the label. */
function explainExtlinux(plan: BootPlan, which: BootCase): ExplainedBoot {
  const { rollback } = plan;
  const board = { ...plan.board, addresses: STANDARD_ADDRESSES };
  const before = stateBefore(rollback, which);
  const { after, steps } = countBoot(board, rollback, before);
  const failed = which === 'rolled-back';
  const previous = failed && rollback.counting === 'u-boot' && plan.deployments.length > 1;
  const deployment = plan.deployments[previous ? 1 : 0];
  if (deployment === undefined) throw new Error('a boot plan has at least one deployment');
  const { version, commit, directory, layout, options } = deployment;
  // libostree writes no FDTDIR.
  const { deviceTree, ...plain } = layout;
  const loads = loadedFiles(
    board,
    { ...deployment, layout: deviceTree?.kind === 'file' ? layout : plain },
    [],
  );
  return {
    case: which,
    before,
    after,
    commit,
    ...(version === undefined ? {} : { version }),
    directory,
    loads,
    bootargs: options.join(' '),
    command: startCommand(board, loads, []),
    steps: [
      ...steps,
      'read extlinux/extlinux.conf, which is boot/loader/syslinux.cfg',
      previous
        ? 'start the label of the previous deployment (pxe_label_override)'
        : 'start the default label, which is the newest deployment',
      ...loads.map(({ what, path, address }) => `load the ${what} ${baseName(path)} to ${address}`),
      startCommand(board, loads, []),
      'if a file cannot be loaded or the command refuses the kernel: try the next label',
    ],
  };
}

function stateBefore(
  { profile = 'ostree', attempts, counting }: RollbackScheme,
  which: BootCase,
): Record<string, string> {
  const state = Object.fromEntries(initialState(profile, attempts));
  if (which === 'first' || counting === 'none') return state;
  if (!countsEveryBoot(profile)) state['upgrade_available'] = '1';
  if (which === 'rolled-back') state['bootcount'] = String(attempts);
  return state;
}

function countBoot(
  board: Board,
  { counting, profile = 'ostree', attempts }: RollbackScheme,
  before: Readonly<Record<string, string>>,
): { readonly after: Record<string, string>; readonly steps: string[] } {
  const after = { ...before };
  if (counting === 'none')
    return { after, steps: ['boots are not counted on this board: it never rolls back by itself'] };
  const onTrial = countsEveryBoot(profile) || before['upgrade_available'] === '1';
  if (!onTrial) return { after, steps: ['upgrade_available is not 1: nothing is counted'] };
  const count = Number(before['bootcount']) + 1;
  const failed = count > attempts;
  after['bootcount'] = failed ? '0' : String(count);
  if (failed) {
    after['rollback'] = '1';
    if (before['upgrade_available'] !== undefined) after['upgrade_available'] = '0';
  }
  const who = counting === 'u-boot' ? 'U-Boot itself counts' : 'count';
  const limit = failed
    ? counting === 'u-boot'
      ? `above bootlimit=${attempts}: U-Boot runs altbootcmd (${ALTBOOTCMD}), and the script ends the trial`
      : `above bootlimit=${attempts}: set rollback=1 and end the trial`
    : `at most bootlimit=${attempts}: go on`;
  return {
    after,
    steps: [`${who} this attempt: bootcount=${count}, ${limit}`, `save ${describe(after)} ${placeOf(board)}`],
  };
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

const hex = (value: number): string => `0x${value.toString(16)}`;

function describe(state: Readonly<Record<string, string>>): string {
  return Object.entries(state)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

function placeOf({ environment: store }: Board): string {
  switch (store.kind) {
    case 'u-boot':
      return "in U-Boot's environment (saveenv)";
    case 'raw':
      return `on ${store.location.device} at ${hex(store.location.offset)} (${store.command} write)${store.redundant === undefined ? '' : ', into the copy that was not read'}`;
    case 'fat-file':
      return `in ${store.file} on ${store.partition} (fatwrite)`;
    case 'none':
      return 'nowhere';
  }
}

function stateSteps(board: Board): string[] {
  const { environment: store, prepare = [] } = board;
  const prepared = prepare.map((line) => `run the board's own line: ${line}`);
  switch (store.kind) {
    case 'u-boot':
      return [...prepared, 'the boot state is in the environment that U-Boot has loaded'];
    case 'raw':
      return [
        ...prepared,
        `read the boot state from ${store.location.device} at ${hex(store.location.offset)}${store.redundant === undefined ? '' : ` and ${hex(store.redundant.offset)}, of which the newer valid copy counts`}`,
      ];
    case 'fat-file':
      return [...prepared, `read the boot state from ${store.file} on ${store.partition}`];
    case 'none':
      return prepared;
  }
}

function needsDeviceTree({ bootCommand }: Board): boolean {
  return bootCommand !== 'zboot' && bootCommand !== 'fit';
}

function loadedFiles(
  board: Board,
  { layout, bootDirectory }: PlannedDeployment,
  overlays: readonly string[],
): LoadedFile[] {
  const { addresses, deviceTree: choice } = board;
  const sizes = new Map(
    layout.files.map((file) => [file.path, file.kind === 'file' ? file.size : undefined]),
  );
  const loaded = (what: LoadedFile['what'], name: string, address: string): LoadedFile => {
    const size = sizes.get(name);
    return { what, path: `/${bootDirectory}/${name}`, ...(size === undefined ? {} : { size }), address };
  };
  const files: LoadedFile[] = [];
  const { initramfs, deviceTree } = layout;
  if (needsDeviceTree(board)) {
    if (deviceTree?.kind === 'file') files.push(loaded('device tree', deviceTree.name, addresses.fdt));
    else if (deviceTree?.kind === 'directory') {
      if (layout.files.some(({ path }) => path.endsWith('.dtb'))) {
        files.push(loaded('device tree', `${deviceTree.name}/${choice.name}`, addresses.fdt));
      }
      for (const name of overlays) {
        const inFolder = `${deviceTree.name}/overlays/${name}`;
        const path = sizes.has(inFolder) ? inFolder : `${deviceTree.name}/${name}`;
        files.push(loaded('overlay', path, addresses.overlay ?? addresses.ramdisk));
      }
    }
  }
  // An empty one only keeps libostree from adding init=.
  if (initramfs !== undefined && board.bootCommand !== 'fit' && sizes.get(initramfs) !== 0) {
    files.push(loaded('initramfs', initramfs, addresses.ramdisk));
  }
  const address = board.bootCommand === 'fit' ? fitAddress(board) : addresses.kernel;
  files.push(loaded('kernel', layout.kernel, address));
  return files;
}

/** Of a FIT image: that of the device tree, where U-Boot names one, and those of overlays. */
function configurations({ deviceTree, fitConfiguration }: Board, overlays: readonly string[]): string {
  const first = fitConfiguration ?? `conf-${deviceTree.name}`;
  return [first, ...overlays.map((name) => `conf-${name}`)].join('#');
}

function startCommand(board: Board, loads: readonly LoadedFile[], overlays: readonly string[]): string {
  const { addresses, bootCommand, deviceTree } = board;
  const initramfs = loads.find(({ what }) => what === 'initramfs');
  if (bootCommand === 'fit') return `bootm ${fitAddress(board)}#${configurations(board, overlays)}`;
  const size = initramfs?.size?.toString(16) ?? '';
  if (bootCommand === 'zboot') {
    return `zboot ${addresses.kernel} 0 ${initramfs === undefined ? '0 0' : `${addresses.ramdisk} ${size}`}`;
  }
  // With overlays U-Boot's own tree is moved there first.
  const moved = loads.some(({ what }) => what === 'device tree' || what === 'overlay');
  const tree = moved ? addresses.fdt : deviceTree.builtin;
  return `${bootCommand} ${addresses.kernel} ${initramfs === undefined ? '-' : `${addresses.ramdisk}:${size}`} ${tree}`;
}

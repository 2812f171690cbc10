/**
 * boot.cmd: the script U-Boot runs on an OSTree device. It counts boot attempts where U-Boot does not, imports
 * uEnv.txt, chooses between the default deployment and the previous one, adds what the chosen commit itself says
 * (kernel arguments, device tree overlays), and starts it.
 *
 * Variables shared with the update client are those of the profile (profiles.ts). Only these are in the environment
 * when it is saved: what uEnv.txt and the commit set comes later.
 */
import type { Board, RollbackScheme } from './board.ts';
import { checkBoard, fitAddress } from './board.ts';
import { countAttempt, loadState, obeyCounter } from './script-state.ts';

/** Set by uEnv.txt; cleared first so that none of them is left over from the saved environment. */
const DEPLOYMENT_VARIABLES = ['kernel_image', 'ramdisk_image', 'fdt_file', 'fdtdir', 'bootargs'] as const;

/** What a commit may set for its own deployment. */
const COMMIT_VARIABLES = ['bootargs_extra', 'fdt_overlays'] as const;

/** File of a deployment whose variables hold for that deployment; libostree appends the default one's to uEnv.txt. */
const COMMIT_FILE = 'usr/lib/ostree-boot/uEnv.txt';

/** Free bytes given to a device tree before overlays are applied to it. */
const OVERLAY_ROOM = '0x20000';

export interface ScriptOptions {
  /**
   * The script and the kernels are signed: of the files that are not, which anybody who can write to the disk can
   * change, only those variables are taken that the script expects. `verify=no` would end all checks of signatures.
   */
  readonly signed?: boolean;
}

/**
 * The text of boot.cmd. Needs hush, `load`, `test -e` and `env import` in U-Boot; `setexpr` with patterns (CONFIG_REGEX)
 * for what a commit brings, two raw copies of the boot state, and FIT images; `fdt` for overlays and FIT images.
 */
export function renderBootScript(
  board: Board,
  rollback: RollbackScheme,
  { signed = false }: ScriptOptions = {},
): string {
  checkBoard(board, rollback);
  return [
    `# OSTree boot script for: ${board.name}`,
    ...(board.prepare ?? []),
    ...loadState(board, rollback),
    ...(rollback.counting === 'script' ? countAttempt(board, rollback) : []),
    ...(rollback.counting === 'u-boot' ? obeyCounter(board, rollback) : []),
    ...importDeployments(board),
    ...(rollback.counting === 'none' ? [] : choosePrevious(rollback)),
    ...importCommit(board, signed),
    'echo "ostree: upgrade_available=${upgrade_available} bootcount=${bootcount} rollback=${rollback}"',
    'echo "ostree: ${kernel_image} ${bootargs}"',
    ...start(board),
    // Reached only when the deployment could not be started. A reset makes it a counted attempt.
    'echo "ostree: the deployment cannot be started"',
    'reset',
    '',
  ].join('\n');
}

/**
 * Only the variables of the deployments are taken: what libostree appends is the default deployment's and would hold
 * for the previous one too. Imported in two steps, since a command of an older U-Boot takes 16 words.
 */
function importDeployments(board: Board): string[] {
  const { addresses, device, loaderDirectory, deviceTree } = board;
  const take = (suffix: string): string =>
    `  env import -t ${addresses.scratch} \${filesize} ${DEPLOYMENT_VARIABLES.map((name) => `${name}${suffix}`).join(' ')}`;
  return [
    // The name may come from a variable that is cleared below: some boards keep theirs in fdt_file.
    `setenv ostree_fdt "${deviceTree.name}"`,
    ...DEPLOYMENT_VARIABLES.flatMap((name) => [`setenv ${name}`, `setenv ${name}2`]),
    ...COMMIT_VARIABLES.map((name) => `setenv ${name}`),
    `if load ${device} ${addresses.scratch} ${loaderDirectory}/uEnv.txt; then`,
    take(''),
    take('2'),
    'else',
    `  echo "ostree: cannot read ${loaderDirectory}/uEnv.txt"`,
    'fi',
  ];
}

/** Without a second deployment the first is the one to boot: the bad one was removed, and only the flag is left. */
function choosePrevious(rollback: RollbackScheme): string[] {
  return [
    'setenv ostree_previous 0',
    'if test "${rollback}" = 1 && test -n "${kernel_image2}"; then',
    '  echo "ostree: starting the previous deployment"',
    '  setenv ostree_previous 1',
    // Quoted, so that hush passes the value on as one word with its own quotes and semicolons.
    ...DEPLOYMENT_VARIABLES.map((name) => `  setenv ${name} "\${${name}2}"`),
    // The device tree that U-Boot chose when the script began; a commit may name another for itself.
    ...(rollback.profile === 'torizon' ? ['  test -z "${fdtfile2}" || setenv ostree_fdt "${fdtfile2}"'] : []),
    'fi',
  ];
}

/**
 * The variables of the chosen commit, found through its `ostree=` argument. Where that file cannot be seen (U-Boot
 * without setexpr's patterns, a root U-Boot cannot read), what libostree appended to uEnv.txt is right for the default
 * deployment. Device tree overlays are listed in the deployment's own directory of device trees.
 */
function importCommit(board: Board, signed: boolean): string[] {
  const { addresses, device, loaderDirectory } = board;
  const root = board.rootDevice ?? device;
  const { scratch } = addresses;
  const importText = `env import -t ${scratch} \${filesize}`;
  const importAll = signed ? `${importText} ${COMMIT_VARIABLES.join(' ')}` : importText;
  return [
    'setenv ostree_path',
    'if setexpr ostree_path sub "^.* ostree=" "" " ${bootargs}"; then',
    '  setexpr ostree_path sub " .*" "" "${ostree_path} "',
    'fi',
    `if test -n "\${ostree_path}" && test -e ${root} \${ostree_path}/${COMMIT_FILE}; then`,
    `  load ${root} ${scratch} \${ostree_path}/${COMMIT_FILE} && ${importAll}`,
    'elif test "${ostree_previous}" != 1; then',
    `  load ${device} ${scratch} ${loaderDirectory}/uEnv.txt && ${importAll}`,
    'fi',
    'if test -n "${bootargs_extra}"; then',
    '  setenv bootargs "${bootargs} ${bootargs_extra}"',
    'fi',
    `if test -n "\${fdtdir}" && test -e ${device} \${fdtdir}/overlays.txt; then`,
    `  load ${device} ${scratch} \${fdtdir}/overlays.txt && ${importAll}`,
    'fi',
  ];
}

function start(board: Board): string[] {
  const { addresses, device, bootCommand } = board;
  if (bootCommand === 'fit') return startFit(board);
  return [
    'setenv ostree_ready 1',
    ...(bootCommand === 'zboot' ? [] : [...loadDeviceTree(board), ...applyOverlays(board)]),
    ...loadRamdisk(board),
    `load ${device} ${addresses.kernel} \${kernel_image} || setenv ostree_ready 0`,
    'if test "${ostree_ready}" = 1; then',
    bootCommand === 'zboot'
      ? `  zboot ${addresses.kernel} 0 \${ostree_ramdisk} \${ostree_ramdisk_size}`
      : `  ${bootCommand} ${addresses.kernel} \${ostree_ramdisk} \${ostree_fdt_addr}`,
    'fi',
  ];
}

/**
 * The configuration that is named after the device tree, with or without its directory, else the default one. Overlays
 * are further configurations, named after their files. Slashes are underscores in these names.
 *
 * Without a device tree in the configuration U-Boot's own is used, and bootm then wants to be told of the initramfs.
 */
function startFit(board: Board): string[] {
  const { device, deviceTree, fitConfiguration } = board;
  const fit = fitAddress(board);
  const has = (part: string): string => `fdt get value ostree_part /configurations/\${ostree_conf} ${part}`;
  const named = (name: string): string => `setexpr ostree_conf gsub / _ "conf-${name}"`;
  return [
    'setenv ostree_conf',
    `if load ${device} ${fit} \${kernel_image} && fdt addr ${fit}; then`,
    ...(fitConfiguration === undefined
      ? [
          '  if test -n "${ostree_fdt}"; then',
          `    ${named('${ostree_fdt}')}`,
          `    ${has('kernel')} || setexpr ostree_conf sub "^.*/" "conf-" "/\${ostree_fdt}"`,
          `    ${has('kernel')} || setenv ostree_conf`,
          '  fi',
          '  test -n "${ostree_conf}" || fdt get value ostree_conf /configurations default',
        ]
      : [`  setenv ostree_conf "${fitConfiguration}"`]),
    `  if ${has('fdt')}; then`,
    '    for ostree_overlay in ${fdt_overlays}; do',
    '      setexpr ostree_part gsub / _ "conf-${ostree_overlay}"',
    '      setenv ostree_conf "${ostree_conf}#${ostree_part}"',
    '    done',
    `    bootm ${fit}#\${ostree_conf}`,
    '  else',
    '    setenv ostree_ramdisk -',
    `    ${has('ramdisk')} && setenv ostree_ramdisk "${fit}#\${ostree_conf}"`,
    `    bootm ${fit}#\${ostree_conf} \${ostree_ramdisk} ${deviceTree.builtin}`,
    '  fi',
    'fi',
  ];
}

/** An initramfs that cannot be read fails the attempt; an empty one stands for a kernel that has its own. */
function loadRamdisk(board: Board): string[] {
  const { addresses, device, bootCommand } = board;
  const zboot = bootCommand === 'zboot';
  return [
    ...(zboot ? ['setenv ostree_ramdisk 0', 'setenv ostree_ramdisk_size 0'] : ['setenv ostree_ramdisk -']),
    'if test -n "${ramdisk_image}"; then',
    `  if load ${device} ${addresses.ramdisk} \${ramdisk_image}; then`,
    '    if test "${filesize}" != 0; then',
    ...(zboot
      ? [`      setenv ostree_ramdisk ${addresses.ramdisk}`, '      setenv ostree_ramdisk_size ${filesize}']
      : [`      setenv ostree_ramdisk ${addresses.ramdisk}:\${filesize}`]),
    '    fi',
    '  else',
    '    setenv ostree_ready 0',
    '  fi',
    'fi',
  ];
}

/** The deployment's own device tree; one of its directory, where the board says which; or the one U-Boot has. */
function loadDeviceTree(board: Board): string[] {
  const { addresses, device, deviceTree } = board;
  const load = (path: string): string[] => [
    `  setenv ostree_fdt_addr ${addresses.fdt}`,
    `  load ${device} ${addresses.fdt} ${path} || setenv ostree_ready 0`,
  ];
  return [
    `setenv ostree_fdt_addr ${deviceTree.builtin}`,
    'if test -n "${fdt_file}"; then',
    ...load('${fdt_file}'),
    'elif test -n "${fdtdir}" && test -n "${ostree_fdt}"; then',
    ...load('${fdtdir}/${ostree_fdt}'),
    'fi',
  ];
}

/**
 * Overlays lie in `overlays/` of the deployment's device trees, or beside them. One that is missing or does not fit
 * fails the attempt: half of the hardware description is no basis for a boot that counts as good.
 */
function applyOverlays(board: Board): string[] {
  const { addresses, device, deviceTree } = board;
  const overlay = addresses.overlay ?? addresses.ramdisk;
  const load = (directory: string): string =>
    `load ${device} ${overlay} \${fdtdir}${directory}/\${ostree_overlay}`;
  return [
    'if test -n "${fdt_overlays}" && test "${ostree_ready}" = 1; then',
    // U-Boot's own tree is not changed in place: U-Boot goes on using it.
    `  if test "\${ostree_fdt_addr}" = "${deviceTree.builtin}"; then`,
    `    fdt addr ${deviceTree.builtin} && fdt move ${deviceTree.builtin} ${addresses.fdt} 0x100000`,
    `    setenv ostree_fdt_addr ${addresses.fdt}`,
    '  fi',
    `  fdt addr \${ostree_fdt_addr} && fdt resize ${OVERLAY_ROOM}`,
    '  for ostree_overlay in ${fdt_overlays}; do',
    `    if ${load('/overlays')} || ${load('')}; then`,
    '      echo "ostree: overlay ${ostree_overlay}"',
    `      fdt apply ${overlay} || setenv ostree_ready 0`,
    '    else',
    '      setenv ostree_ready 0',
    '    fi',
    '  done',
    'fi',
  ];
}

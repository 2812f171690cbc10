/**
 * boot.cmd: the script U-Boot runs on an OSTree device. It counts boot attempts where U-Boot does not, imports
 * uEnv.txt, chooses between the default deployment and the previous one, and starts it.
 *
 * Variables, shared with the update client through fw_setenv: `upgrade_available` (1 while a new deployment is on
 * trial), `bootcount`, `bootlimit`, `rollback` (1 once the previous deployment was chosen). Only these are in the
 * environment when it is saved: what uEnv.txt sets comes later.
 */
import type { Board, RollbackScheme } from './board.ts';
import { checkBoard } from './board.ts';

/** Bytes of a block of U-Boot's block devices. */
const BLOCK = 512;

/** Set by uEnv.txt; cleared first so that none of them is left over from the saved environment. */
const DEPLOYMENT_VARIABLES = ['kernel_image', 'ramdisk_image', 'fdt_file', 'fdtdir', 'bootargs'] as const;

const COUNTERS = 'bootcount bootlimit upgrade_available rollback';

/** The text of boot.cmd. Needs hush, `load`, `env import`, `setexpr` and `itest` in U-Boot. */
export function renderBootScript(board: Board, rollback: RollbackScheme): string {
  checkBoard(board, rollback);
  return [
    `# OSTree boot script for: ${board.name}`,
    ...(board.prepare ?? []),
    ...loadCounters(board),
    ...(rollback.counting === 'script' ? countAttempt(board, rollback) : []),
    ...importDeployments(board),
    ...(rollback.counting === 'none' ? [] : choosePrevious()),
    'echo "ostree: upgrade_available=${upgrade_available} bootcount=${bootcount} rollback=${rollback}"',
    'echo "ostree: ${kernel_image} ${bootargs}"',
    ...start(board),
    // Reached only when the deployment could not be started. A reset makes it a counted attempt.
    'echo "ostree: the deployment cannot be started"',
    'reset',
    '',
  ].join('\n');
}

function blocks(offset: number, size: number): string {
  return `0x${(offset / BLOCK).toString(16)} 0x${(size / BLOCK).toString(16)}`;
}

/** What reads the saved variables into the scratch buffer and writes them from there; U-Boot's own needs neither. */
function storage(
  board: Board,
): { readonly read: string; readonly write: string; readonly size: string } | undefined {
  const { environment: store, addresses } = board;
  const buffer = addresses.scratch;
  switch (store.kind) {
    case 'raw': {
      const { offset, size } = store.location;
      const place = `${buffer} ${blocks(offset, size)}`;
      return {
        read: `${store.command} read ${place}`,
        write: `${store.command} write ${place}`,
        size: hex(size),
      };
    }
    case 'fat-file': {
      const size = hex(store.location.size);
      return {
        read: `fatload ${store.partition} ${buffer} ${store.file}`,
        write: `fatwrite ${store.partition} ${buffer} ${store.file} ${size}`,
        size,
      };
    }
    case 'u-boot':
    case 'none':
      return undefined;
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function loadCounters(board: Board): string[] {
  const stored = storage(board);
  if (stored === undefined) return [];
  const { scratch } = board.addresses;
  return [
    `if ${stored.read} && env import -c ${scratch} ${stored.size} ${COUNTERS}; then`,
    '  echo "ostree: boot state loaded"',
    'else',
    '  echo "ostree: no saved boot state, starting from defaults"',
    'fi',
  ];
}

function saveCounters(board: Board): string {
  const stored = storage(board);
  if (stored === undefined) return 'saveenv';
  return `env export -c -s ${stored.size} ${board.addresses.scratch} ${COUNTERS} && ${stored.write}`;
}

function countAttempt(board: Board, rollback: RollbackScheme): string[] {
  return [
    'test -n "${bootcount}" || setenv bootcount 0',
    `test -n "\${bootlimit}" || setenv bootlimit ${rollback.attempts}`,
    'test -n "${upgrade_available}" || setenv upgrade_available 0',
    'test -n "${rollback}" || setenv rollback 0',
    'if test "${upgrade_available}" = 1; then',
    '  setexpr bootcount ${bootcount} + 1',
    '  if itest ${bootcount} -gt ${bootlimit}; then',
    '    echo "ostree: ${bootlimit} attempts failed, rolling back"',
    '    setenv rollback 1',
    '    setenv upgrade_available 0',
    '    setenv bootcount 0',
    '  fi',
    `  ${saveCounters(board)} || echo "ostree: cannot save the boot state, attempts are not counted"`,
    'fi',
  ];
}

function importDeployments(board: Board): string[] {
  const { addresses, device, loaderDirectory, deviceTree } = board;
  return [
    // The name may come from a variable that is cleared below: some boards keep theirs in fdt_file.
    `setenv ostree_fdt "${deviceTree.name}"`,
    ...DEPLOYMENT_VARIABLES.flatMap((name) => [`setenv ${name}`, `setenv ${name}2`]),
    `if load ${device} ${addresses.scratch} ${loaderDirectory}/uEnv.txt; then`,
    `  env import -t ${addresses.scratch} \${filesize}`,
    'else',
    `  echo "ostree: cannot read ${loaderDirectory}/uEnv.txt"`,
    'fi',
  ];
}

/** Without a second deployment the first is the one to boot: the bad one was removed, and only the flag is left. */
function choosePrevious(): string[] {
  return [
    'if test "${rollback}" = 1 && test -n "${kernel_image2}"; then',
    '  echo "ostree: starting the previous deployment"',
    // Quoted, so that hush passes the value on as one word with its own quotes and semicolons.
    ...DEPLOYMENT_VARIABLES.map((name) => `  setenv ${name} "\${${name}2}"`),
    'fi',
  ];
}

function start(board: Board): string[] {
  const { addresses, device, bootCommand } = board;
  if (bootCommand === 'fit') {
    const configuration = board.fitConfiguration === undefined ? '' : `#${board.fitConfiguration}`;
    return [
      `if load ${device} ${addresses.kernel} \${kernel_image}; then`,
      `  bootm ${addresses.kernel}${configuration}`,
      'fi',
    ];
  }
  return [
    'setenv ostree_ready 1',
    ...loadRamdisk(board),
    ...(bootCommand === 'zboot' ? [] : loadDeviceTree(board)),
    `load ${device} ${addresses.kernel} \${kernel_image} || setenv ostree_ready 0`,
    'if test "${ostree_ready}" = 1; then',
    bootCommand === 'zboot'
      ? `  zboot ${addresses.kernel} 0 \${ostree_ramdisk} \${ostree_ramdisk_size}`
      : `  ${bootCommand} ${addresses.kernel} \${ostree_ramdisk} \${ostree_fdt_addr}`,
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
    '    if itest ${filesize} -gt 0; then',
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

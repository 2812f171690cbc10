/** The lines of the boot script that load, count and save the attempts of a deployment. */
import type { Board, EnvironmentStore, RollbackScheme } from './board.ts';
import { ALTBOOTCMD, countingCondition, countsEveryBoot, savedVariables } from './profiles.ts';

/** Bytes of a block of U-Boot's block devices. */
const BLOCK = 512;

/** Checksum and flag before the data of a redundant copy. */
const HEADER = 5;

type RawStore = Extract<EnvironmentStore, { kind: 'raw' }>;

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function blocks({ offset, size }: RawStore['location']): string {
  return `${hex(offset / BLOCK)} ${hex(size / BLOCK)}`;
}

function profileOf(rollback: RollbackScheme): NonNullable<RollbackScheme['profile']> {
  return rollback.profile ?? 'ostree';
}

/** Reads the saved state where U-Boot has not done so itself. */
export function loadState(board: Board, rollback: RollbackScheme): string[] {
  const { environment: store, addresses } = board;
  const names = savedVariables(profileOf(rollback)).join(' ');
  if (store.kind === 'u-boot' || store.kind === 'none') return [];
  if (store.kind === 'raw' && store.redundant !== undefined) {
    return loadRedundant(store, store.redundant, addresses.scratch, names);
  }
  const { read } = single(store, addresses.scratch);
  return [
    `if ${read} && env import -c ${addresses.scratch} ${hex(store.location.size)} ${names}; then`,
    '  echo "ostree: boot state loaded"',
    'else',
    '  echo "ostree: no saved boot state, starting from defaults"',
    'fi',
  ];
}

/** Counts a boot of what is on trial, and decides when there were too many. */
export function countAttempt(board: Board, rollback: RollbackScheme): string[] {
  const profile = profileOf(rollback);
  const warn = '|| echo "ostree: cannot save the boot state, attempts are not counted"';
  return [
    ...firstStart(board, rollback, warn),
    'test -n "${bootcount}" || setenv bootcount 0',
    'test -n "${rollback}" || setenv rollback 0',
    ...(countsEveryBoot(profile) ? [] : ['test -n "${upgrade_available}" || setenv upgrade_available 0']),
    `if ${countingCondition(profile)}; then`,
    // Counted on without setexpr, which not every U-Boot has: Debian's for x86-64 is built without.
    '  setenv ostree_next',
    '  setenv ostree_count ${bootcount}',
    '  for ostree_i in 0 1 2 3 4 5 6 7 8 9 10; do',
    '    if test -n "${ostree_next}"; then',
    '      setenv bootcount ${ostree_i}',
    '      setenv ostree_next',
    '    fi',
    '    if test "${ostree_count}" = ${ostree_i}; then',
    '      setenv ostree_next 1',
    '    fi',
    '  done',
    '  if test ${bootcount} -gt ${bootlimit}; then',
    '    echo "ostree: ${bootlimit} attempts failed, rolling back"',
    '    setenv rollback 1',
    // Left out of the environment by uboot_generic of aktualizr, which would no longer be counted with a 0 in it.
    '    if test -n "${upgrade_available}"; then',
    '      setenv upgrade_available 0',
    '    fi',
    '    setenv bootcount 0',
    '  fi',
    ...saveState(board, rollback, warn).map((line) => `  ${line}`),
    'fi',
  ];
}

/**
 * Where U-Boot counts (CONFIG_BOOTCOUNT_LIMIT), altbootcmd has set `rollback` for this boot only: here it becomes
 * permanent, and the trial ends, so that the counter stops.
 */
export function obeyCounter(board: Board, rollback: RollbackScheme): string[] {
  const warn = '|| echo "ostree: cannot save the boot state"';
  return [
    ...firstStart(board, rollback, warn),
    'if test "${rollback}" = 1 && test "${upgrade_available}" = 1; then',
    '  echo "ostree: ${bootlimit} attempts failed, rolling back"',
    '  setenv upgrade_available 0',
    '  setenv bootcount 0',
    ...saveState(board, rollback, warn).map((line) => `  ${line}`),
    'fi',
  ];
}

/**
 * U-Boot's own environment may never have been saved, and Linux cannot set a variable in one that is not there. With
 * altbootcmd it also must be saved before the first update, because U-Boot looks for it before any script runs.
 */
function firstStart(board: Board, rollback: RollbackScheme, warn: string): string[] {
  const limit = `setenv bootlimit ${rollback.attempts}`;
  if (board.environment.kind !== 'u-boot') return [`test -n "\${bootlimit}" || ${limit}`];
  const counted = rollback.counting === 'u-boot';
  return [
    counted
      ? 'if test -z "${bootlimit}" || test -z "${altbootcmd}"; then'
      : 'if test -z "${bootlimit}"; then',
    `  test -n "\${bootlimit}" || ${limit}`,
    ...(counted ? [`  test -n "\${altbootcmd}" || setenv altbootcmd '${ALTBOOTCMD}'`] : []),
    `  saveenv ${warn}`,
    'fi',
  ];
}

function saveState(board: Board, rollback: RollbackScheme, warn: string): string[] {
  const { environment: store, addresses } = board;
  const names = savedVariables(profileOf(rollback)).join(' ');
  if (store.kind === 'u-boot' || store.kind === 'none') return [`saveenv ${warn}`];
  if (store.kind === 'raw' && store.redundant !== undefined) {
    return saveRedundant(store, store.redundant, names, warn);
  }
  const { write } = single(store, addresses.scratch);
  return [`env export -c -s ${hex(store.location.size)} ${addresses.scratch} ${names} && ${write} ${warn}`];
}

function single(
  store: Exclude<EnvironmentStore, { kind: 'u-boot' } | { kind: 'none' }>,
  buffer: string,
): { readonly read: string; readonly write: string } {
  if (store.kind === 'raw') {
    const place = `${buffer} ${blocks(store.location)}`;
    return { read: `${store.command} read ${place}`, write: `${store.command} write ${place}` };
  }
  const { partition, file, location } = store;
  return {
    read: `fatload ${partition} ${buffer} ${file}`,
    write: `fatwrite ${partition} ${buffer} ${file} ${hex(location.size)}`,
  };
}

/**
 * Two copies, each a checksum, a flag and the data (env/common.c, env_check_redund): of those with a right checksum
 * the one with the higher flag holds, 0 being above 255. `env import -c` is of no use, because the length of its
 * header depends on how U-Boot was built; so the checksum is computed apart. `crc32` stores it with the highest byte
 * first, the header has the order of the machine, which is little-endian on all of ours.
 */
function loadRedundant(
  store: RawStore,
  second: RawStore['location'],
  buffer: string,
  names: string,
): string[] {
  const { size } = store.location;
  const length = hex(size - HEADER);
  const copy = (number: 1 | 2, location: RawStore['location']): string[] => [
    `setexpr ostree_at ${buffer} + ${hex(number === 1 ? 0 : size)}`,
    `if ${store.command} read \${ostree_at} ${blocks(location)} && run ostree_sum && cmp.b \${ostree_at} \${ostree_crc} 4; then`,
    `  setenv ostree_copy${number} \${ostree_at}`,
    '  setexpr ostree_data ${ostree_at} + 4',
    `  setexpr.b ostree_flag${number} *\${ostree_data}`,
    'fi',
  ];
  return [
    `setexpr ostree_temp ${buffer} + ${hex(2 * size)}`,
    `setenv ostree_sum 'setexpr ostree_data \${ostree_at} + 5; crc32 \${ostree_data} ${length} \${ostree_temp}; setexpr ostree_crc \${ostree_temp} + 7; for ostree_i in 0 1 2 3; do setexpr ostree_byte \${ostree_temp} + \${ostree_i}; setexpr.b ostree_byte *\${ostree_byte}; mw.b \${ostree_crc} \${ostree_byte}; setexpr ostree_crc \${ostree_crc} - 1; done; setexpr ostree_crc \${ostree_temp} + 4'`,
    ...['ostree_copy1', 'ostree_copy2', 'ostree_use'].map((name) => `setenv ${name}`),
    ...copy(1, store.location),
    ...copy(2, second),
    'if test -n "${ostree_copy1}"; then',
    '  setenv ostree_use 1',
    'fi',
    'if test -n "${ostree_copy2}"; then',
    '  if test "${ostree_use}" = 1; then',
    '    if test "${ostree_flag1}" = ff && test "${ostree_flag2}" = 0; then',
    '      setenv ostree_use 2',
    '    elif test "${ostree_flag1}" = 0 && test "${ostree_flag2}" = ff; then',
    '      setenv ostree_use 1',
    '    elif itest ${ostree_flag2} -gt ${ostree_flag1}; then',
    '      setenv ostree_use 2',
    '    fi',
    '  else',
    '    setenv ostree_use 2',
    '  fi',
    'fi',
    'setenv ostree_flag 0',
    'if test "${ostree_use}" = 1; then',
    '  setenv ostree_flag ${ostree_flag1}',
    '  setexpr ostree_data ${ostree_copy1} + 5',
    'elif test "${ostree_use}" = 2; then',
    '  setenv ostree_flag ${ostree_flag2}',
    '  setexpr ostree_data ${ostree_copy2} + 5',
    'fi',
    `if test -n "\${ostree_use}" && env import -b \${ostree_data} ${length} ${names}; then`,
    '  echo "ostree: boot state loaded from copy ${ostree_use}"',
    'else',
    '  echo "ostree: no saved boot state, starting from defaults"',
    'fi',
    // Where the other copy is written from: data that export clears reaches further than what it fills.
    `setexpr ostree_at ${buffer} + 0`,
  ];
}

/** Writes the copy that was not used; a power cut then leaves the other. */
function saveRedundant(store: RawStore, second: RawStore['location'], names: string, warn: string): string[] {
  const length = hex(store.location.size - HEADER);
  const write = (location: RawStore['location']): string =>
    `  ${store.command} write \${ostree_at} ${blocks(location)} ${warn}`;
  return [
    'setexpr ostree_data ${ostree_at} + 5',
    `env export -b -s ${length} \${ostree_data} ${names}`,
    'run ostree_sum',
    'cp.b ${ostree_crc} ${ostree_at} 4',
    'setexpr ostree_data ${ostree_at} + 4',
    'setexpr ostree_flag ${ostree_flag} + 1',
    'mw.b ${ostree_data} ${ostree_flag}',
    'if test "${ostree_use}" = 1; then',
    write(second),
    'else',
    write(store.location),
    'fi',
  ];
}

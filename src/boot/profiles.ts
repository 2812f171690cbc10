/**
 * The U-Boot variables that update clients share with the boot script. Sources: aktualizr bootloader.cc (rollback
 * modes uboot_generic and uboot_masked), aktualizr-lite bootloaderlite.cc, meta-toradex-torizon u-boot-distro-boot.
 *
 * | profile | set by an update | set when a boot was good |
 * |---|---|---|
 * | ostree | bootcount=0, rollback=0, upgrade_available=1 | upgrade_available=0, bootcount=0, rollback=0 |
 * | aktualizr, uboot_generic | bootcount=0, rollback=0 | bootcount=0 |
 * | aktualizr, uboot_masked | bootcount=0, upgrade_available=1, rollback=0 | bootcount=0, upgrade_available=0 |
 * | aktualizr-lite | as uboot_masked, and bootupgrade_available=1 for new boot firmware | as uboot_masked |
 * | torizon | as uboot_masked | as uboot_masked |
 */

export type RollbackProfile = 'ostree' | 'aktualizr' | 'aktualizr-lite' | 'torizon';

/** What every client reads and writes. */
const COMMON = ['bootcount', 'bootlimit', 'upgrade_available', 'rollback'] as const;

/** Variables that a store of the script's own keeps; anything else a client saves there is lost at the next save. */
export function savedVariables(profile: RollbackProfile): readonly string[] {
  return profile === 'aktualizr-lite'
    ? [...COMMON, 'bootupgrade_available', 'bootfirmware_version', 'rollback_protection']
    : COMMON;
}

/** Whether every boot counts, and not only those of a deployment on trial. */
export function countsEveryBoot(profile: RollbackProfile): boolean {
  return profile === 'aktualizr';
}

/**
 * U-Boot shell condition under which the script counts a boot. aktualizr's uboot_generic never sets
 * upgrade_available: where that is not in the environment every boot counts, and the client sets bootcount back.
 */
export function countingCondition(profile: RollbackProfile): string {
  return countsEveryBoot(profile)
    ? 'test "${upgrade_available}" != 0 && test "${rollback}" != 1'
    : 'test "${upgrade_available}" = 1';
}

/** The command U-Boot runs instead of bootcmd once bootcount is above bootlimit. */
export const ALTBOOTCMD = 'setenv rollback 1; run bootcmd';

/** What the environment of a new device says: nothing on trial, nothing to roll back to. In the order of names. */
export function initialState(profile: RollbackProfile, attempts: number): ReadonlyMap<string, string> {
  const values: [string, string][] = [
    ['bootcount', '0'],
    ['bootlimit', String(attempts)],
    ...(profile === 'aktualizr-lite' ? [['bootupgrade_available', '0'] as [string, string]] : []),
    ['rollback', '0'],
    // aktualizr's uboot_masked sets it with the first update; uboot_generic never does, and must not find a 0.
    ...(countsEveryBoot(profile) ? [] : [['upgrade_available', '0'] as [string, string]]),
  ];
  return new Map(values);
}

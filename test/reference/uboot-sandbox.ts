/**
 * U-Boot's sandbox: U-Boot as a Linux program, with the configuration of a board that keeps its environment on an MMC
 * and counts boots in it. Debian has no such program, so it is built from Debian's source package, patches included.
 * Twice: with one copy of the environment, and with two.
 */
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { RootContext } from './roots.ts';
import { BUILD_ESSENTIALS, buildFromSource } from './source-build.ts';

const BUILD_PACKAGES = ['flex', 'bc', 'patch', 'gzip', 'perl-base', 'libssl-dev'];

const words = (list: string): string[] => list.trim().split(/\s+/);

/** What a boot script never sees; a third of the files remain. */
const WITHOUT = `
  UNIT_TEST EFI_LOADER LTO LOG BOOTSTAGE TOOLS_MKEFICAPSULE DISTRO_DEFAULTS BOOTSTD CMD_SYSBOOT
  VIDEO SOUND USB USB_GADGET NET SCSI DM_SCSI CMD_SCSI NVME_PCI CMD_IDE MTD SPI_FLASH_SANDBOX DM_SPI_FLASH CMD_SF
  VIRTIO_MMIO VIRTIO_PCI VIRTIO_SANDBOX VIRTIO_BLK VIRTIO_NET PHY PHYLIB DM_MDIO DM_DSA P2SB CROS_EC_LPC CROS_EC_KEYB
  I8042_KEYB BUTTON_ADC ADC REMOTEPROC_SANDBOX DM_PMIC CMD_PMIC DM_REGULATOR CMD_REGULATOR DM_PWM W1 CLK_K210 IOMMU
  DM_THERMAL SPMI I2C_EEPROM MULTIPLEXER OSD CMD_OSD QFW CMD_QFW CMD_PSTORE TPM CMD_TPM TEE SCP03 CMD_SCP03 LIBAVB
  AVB_VERIFY CMD_AVB ANDROID_AB CMD_AB_SELECT FS_BTRFS CMD_BTRFS FS_CBFS CMD_CBFS FS_CRAMFS CMD_CRAMFS FS_EROFS
  CMD_EROFS FS_SQUASHFS CMD_SQUASHFS ZSTD
`;

/** What it must have; the commands are those that U-Boot's standard boot brings to every board. */
const WITH = `
  HUSH_PARSER LEGACY_IMAGE_FORMAT FIT FIT_SIGNATURE RSA OF_LIBFDT_OVERLAY REGEX FS_FAT FAT_WRITE FS_EXT4 CMD_BOOTZ
  CMD_BOOTCOUNT CMD_CRC32 CMD_ENV_EXISTS CMD_EXPORTENV CMD_EXT4 CMD_FAT CMD_FDT CMD_FS_GENERIC CMD_IMPORTENV CMD_ITEST
  CMD_MEMORY CMD_MMC CMD_PART CMD_SETEXPR CMD_SETEXPR_FMT CMD_SOURCE
`;

/**
 * Size and kind of the environment are those of most boards in configs/boards; its place on the disk comes from the
 * device tree (u-boot,mmc-env-offset).
 */
const CONFIGURATION = `
CONFIG_ENV_IS_IN_MMC=y
CONFIG_ENV_OFFSET=0x100000
CONFIG_ENV_SIZE=0x2000
# CONFIG_ENV_IS_NOWHERE is not set
# CONFIG_ENV_IS_IN_EXT4 is not set
CONFIG_SANDBOX_RAM_SIZE_MB=192
CONFIG_BOOTCOUNT_LIMIT=y
CONFIG_BOOTCOUNT_ENV=y
# CONFIG_DM_BOOTCOUNT is not set
# CONFIG_AUTOBOOT_KEYED is not set
${words(WITH)
  .map((name) => `CONFIG_${name}=y\n`)
  .join('')}${words(WITHOUT)
  .map((name) => `# CONFIG_${name} is not set\n`)
  .join('')}`;

/**
 * The source is changed in three places: binman, for which Python would be needed; the list of places for the
 * environment, in which sandbox has no MMC; and the addresses of `mmc read` and `mmc write`, which are not those of the
 * sandbox's memory in this version. Static, so that the `reset` command, which starts the program again by its
 * name, finds it.
 */
const BUILD_SCRIPT = `set -e
export PATH=/usr/sbin:/usr/bin HOME=/build LC_ALL=C.UTF-8 TZ=UTC SOURCE_DATE_EPOCH=1700000000
cd /build
tar -x --no-same-owner -f source.tar.xz
tar -x --no-same-owner -f debian.tar.xz
cd u-boot-*
while read -r name; do patch -s -p1 < ../debian/patches/$name; done < ../debian/patches/series
sed -i '/imply BINMAN$/d' arch/Kconfig
sed -i 's/^\\tENVL_NOWHERE,/\\tENVL_MMC,/' board/sandbox/sandbox.c
sed -i 's/= (void \\*)hextoul(argv\\[1\\], NULL);/= map_sysmem(hextoul(argv[1], NULL), 0);/
s/^#include <mmc.h>/#include <mapmem.h>\\n&/' cmd/mmc.c
set -- NO_SDL=1 PLATFORM_LIBS='-lrt -static'
make -s "$@" sandbox_defconfig
cat >> .config <<'FRAGMENT'${CONFIGURATION}FRAGMENT
make -s "$@" olddefconfig
make -s -j"$JOBS" "$@" u-boot
cp u-boot ../u-boot-one
cat >> .config <<'FRAGMENT'
CONFIG_SYS_REDUNDAND_ENVIRONMENT=y
CONFIG_ENV_OFFSET_REDUND=0x102000
FRAGMENT
make -s "$@" olddefconfig
make -s -j"$JOBS" "$@" u-boot
cp u-boot ../u-boot-two
strip ../u-boot-one ../u-boot-two
`;

/** Rises when the build changes. */
export const SANDBOX_BUILD = `1 ${[...BUILD_ESSENTIALS, ...BUILD_PACKAGES].join(' ')} ${BUILD_SCRIPT}`;

/** Builds the two programs into usr/bin of `root`. */
export async function buildSandbox(root: string, context: RootContext): Promise<void> {
  const build = await buildFromSource(context, {
    name: 'sandbox',
    suite: 'bookworm',
    source: 'u-boot',
    packages: BUILD_PACKAGES,
    script: BUILD_SCRIPT,
  });
  await mkdir(join(root, 'usr/bin'), { recursive: true });
  await copyFile(join(build, 'build/u-boot-one'), join(root, 'usr/bin/u-boot-sandbox'));
  await copyFile(join(build, 'build/u-boot-two'), join(root, 'usr/bin/u-boot-sandbox-redundant'));
}

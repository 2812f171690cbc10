################################################################################
#
# treewright-device
#
################################################################################

# The folder layers/ is kept whole: treewright itself puts in the same files.
TREEWRIGHT_DEVICE_VERSION = 0.1.0
TREEWRIGHT_DEVICE_SITE = $(BR2_EXTERNAL_TREEWRIGHT_PATH)/../device
TREEWRIGHT_DEVICE_SITE_METHOD = local
TREEWRIGHT_DEVICE_LICENSE = MIT
TREEWRIGHT_DEVICE_LICENSE_FILES = LICENSE

TREEWRIGHT_DEVICE_WATCHDOG = $(call qstrip,$(BR2_PACKAGE_TREEWRIGHT_DEVICE_WATCHDOG))
TREEWRIGHT_DEVICE_FW_ENV_CONFIG = $(call qstrip,$(BR2_PACKAGE_TREEWRIGHT_DEVICE_FW_ENV_CONFIG))

# What linux.fragment says, which is there for kernels that Buildroot does not configure. Not KCONFIG_ENABLE_OPT, which
# leaves what a defconfig has as a module, such as overlayfs in that of arm64, which no initramfs loads.
TREEWRIGHT_DEVICE_KERNEL_OPTIONS = $(shell sed -n 's/^\(CONFIG_[A-Z0-9_]*\)=y$$/\1/p' \
	$(BR2_EXTERNAL_TREEWRIGHT_PATH)/board/treewright/linux.fragment)
define TREEWRIGHT_DEVICE_LINUX_CONFIG_FIXUPS
	$(foreach option,$(TREEWRIGHT_DEVICE_KERNEL_OPTIONS),$(call KCONFIG_SET_OPT,$(option),y)$(sep))
endef

# Buildroot 2022.11 does not know these; there, busybox.fragment is for BR2_PACKAGE_BUSYBOX_CONFIG_FRAGMENT_FILES.
TREEWRIGHT_DEVICE_BUSYBOX_OPTIONS = $(shell sed -n 's/^\(CONFIG_[A-Z0-9_]*\)=y$$/\1/p' \
	$(BR2_EXTERNAL_TREEWRIGHT_PATH)/board/treewright/busybox.fragment)
define TREEWRIGHT_DEVICE_BUSYBOX_CONFIG_FIXUPS
	$(foreach option,$(TREEWRIGHT_DEVICE_BUSYBOX_OPTIONS),$(call KCONFIG_ENABLE_OPT,$(option))$(sep))
endef

define TREEWRIGHT_DEVICE_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/treewright-update $(TARGET_DIR)/usr/bin/treewright-update
	$(INSTALL) -D -m 0755 $(@D)/mark-good $(TARGET_DIR)/usr/lib/treewright/mark-good
	$(INSTALL) -D -m 0755 $(@D)/extlinux-label $(TARGET_DIR)/usr/lib/treewright/extlinux-label
	$(INSTALL) -d -m 0755 $(TARGET_DIR)/usr/lib/treewright/health.d $(TARGET_DIR)/etc/treewright/health.d
	printf '%s\n' \
		'# Settings of treewright-update, mark-good and the watchdog, as shell variables.' \
		$(if $(BR2_PACKAGE_TREEWRIGHT_DEVICE_COUNTING),,COUNTING=none) \
		$(if $(TREEWRIGHT_DEVICE_WATCHDOG),WATCHDOG=$(TREEWRIGHT_DEVICE_WATCHDOG) \
			WATCHDOG_TIMEOUT=$(BR2_PACKAGE_TREEWRIGHT_DEVICE_WATCHDOG_TIMEOUT)) \
		> $(TARGET_DIR)/etc/treewright/update.conf
	$(if $(TREEWRIGHT_DEVICE_FW_ENV_CONFIG),\
		$(INSTALL) -D -m 0644 $(TREEWRIGHT_DEVICE_FW_ENV_CONFIG) $(TARGET_DIR)/etc/fw_env.config)
endef

define TREEWRIGHT_DEVICE_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(@D)/mark-good.init $(TARGET_DIR)/etc/init.d/S99treewright-mark-good
	$(if $(TREEWRIGHT_DEVICE_WATCHDOG),\
		$(INSTALL) -D -m 0755 $(@D)/watchdog.init $(TARGET_DIR)/etc/init.d/S01treewright-watchdog)
endef

TREEWRIGHT_DEVICE_UNITS = $(TARGET_DIR)/usr/lib/systemd/system
define TREEWRIGHT_DEVICE_INSTALL_INIT_SYSTEMD
	for unit in treewright-mark-good.service treewright-update.service treewright-update.timer; do \
		$(INSTALL) -D -m 0644 $(@D)/$$unit $(TREEWRIGHT_DEVICE_UNITS)/$$unit || exit 1; \
	done
	$(INSTALL) -d $(TARGET_DIR)/usr/lib/systemd/system-preset
	echo '$(if $(BR2_PACKAGE_TREEWRIGHT_DEVICE_TIMER),enable,disable) treewright-update.timer' \
		> $(TARGET_DIR)/usr/lib/systemd/system-preset/50-treewright.preset
	$(if $(TREEWRIGHT_DEVICE_WATCHDOG),\
		$(INSTALL) -d $(TARGET_DIR)/usr/lib/systemd/system.conf.d $(TREEWRIGHT_DEVICE_UNITS)/multi-user.target.d
		printf '[Manager]\nRuntimeWatchdogSec=%s\nWatchdogDevice=%s\n' \
			$(BR2_PACKAGE_TREEWRIGHT_DEVICE_WATCHDOG_TIMEOUT) $(TREEWRIGHT_DEVICE_WATCHDOG) \
			> $(TARGET_DIR)/usr/lib/systemd/system.conf.d/50-treewright-watchdog.conf
		printf '[Unit]\nJobTimeoutSec=10min\nJobTimeoutAction=reboot-force\n' \
			> $(TREEWRIGHT_DEVICE_UNITS)/multi-user.target.d/50-treewright-boot-limit.conf)
endef

$(eval $(generic-package))

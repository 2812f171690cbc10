# Packages first: what follows uses none of their variables when it is read.
include $(sort $(wildcard $(BR2_EXTERNAL_TREEWRIGHT_PATH)/package/*/*.mk))

ifeq ($(BR2_TREEWRIGHT),y)

TREEWRIGHT_HOOK = $(BR2_EXTERNAL_TREEWRIGHT_PATH)/board/treewright/post-image.sh

# After the scripts of the board, which may make the kernel image or device trees that are released. Whoever lists the
# hook himself decides about its place.
ifeq ($(filter %/board/treewright/post-image.sh,$(call qstrip,$(BR2_ROOTFS_POST_IMAGE_SCRIPT))),)
BR2_ROOTFS_POST_IMAGE_SCRIPT := $(strip $(call qstrip,$(BR2_ROOTFS_POST_IMAGE_SCRIPT)) $(TREEWRIGHT_HOOK))
endif

# The release again from the images that are there, after a failure or a change of treewright.yaml.
.PHONY: treewright-release
treewright-release: host-treewright
	@$(call MESSAGE,"Making a release of $(BINARIES_DIR)")
	$(Q)$(EXTRA_ENV) $(TREEWRIGHT_HOOK) $(BINARIES_DIR) \
		$(call qstrip,$(BR2_ROOTFS_POST_SCRIPT_ARGS)) \
		$(call qstrip,$(BR2_ROOTFS_POST_IMAGE_SCRIPT_ARGS))

endif

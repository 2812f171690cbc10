################################################################################
#
# treewright
#
################################################################################

HOST_TREEWRIGHT_MODULE = $(or $(call qstrip,$(BR2_PACKAGE_HOST_TREEWRIGHT_MODULE)),$(firstword $(wildcard \
	$(BR2_EXTERNAL_TREEWRIGHT_PATH)/package/treewright/treewright.mjs \
	$(BR2_EXTERNAL_TREEWRIGHT_PATH)/../../dist/treewright.mjs)))

# The checksum is the version, so that another file is installed without being asked for.
ifeq ($(BR2_PACKAGE_HOST_TREEWRIGHT),y)
HOST_TREEWRIGHT_VERSION := $(or $(shell cut -c1-12 $(HOST_TREEWRIGHT_MODULE).sha256 </dev/null 2>/dev/null),none)
endif
HOST_TREEWRIGHT_SOURCE =
HOST_TREEWRIGHT_LICENSE = MIT

ifeq ($(BR2_PACKAGE_HOST_TREEWRIGHT_NODEJS),y)
HOST_TREEWRIGHT_DEPENDENCIES += host-nodejs
endif

define HOST_TREEWRIGHT_FAIL
	{ echo "treewright: $(strip $(1))" >&2; exit 1; }
endef

define HOST_TREEWRIGHT_EXTRACT_CMDS
	test -n "$(HOST_TREEWRIGHT_MODULE)" || \
		$(call HOST_TREEWRIGHT_FAIL,there is no treewright.mjs: set BR2_PACKAGE_HOST_TREEWRIGHT_MODULE or run npm run bundle)
	test -r "$(HOST_TREEWRIGHT_MODULE)" && test -r "$(HOST_TREEWRIGHT_MODULE).sha256" || \
		$(call HOST_TREEWRIGHT_FAIL,cannot read $(HOST_TREEWRIGHT_MODULE) and $(HOST_TREEWRIGHT_MODULE).sha256)
	cp "$(HOST_TREEWRIGHT_MODULE)" $(@D)/treewright.mjs
	echo "$$(cut -c1-64 "$(HOST_TREEWRIGHT_MODULE).sha256")  $(@D)/treewright.mjs" | sha256sum -c --status - || \
		$(call HOST_TREEWRIGHT_FAIL,$(HOST_TREEWRIGHT_MODULE) is not the file that its .sha256 is of)
endef

define HOST_TREEWRIGHT_INSTALL_CMDS
	$(INSTALL) -D -m 0644 $(@D)/treewright.mjs $(HOST_DIR)/lib/treewright/treewright.mjs
	$(INSTALL) -D -m 0755 $(HOST_TREEWRIGHT_PKGDIR)/treewright.sh $(HOST_DIR)/bin/treewright
endef

$(eval $(host-generic-package))

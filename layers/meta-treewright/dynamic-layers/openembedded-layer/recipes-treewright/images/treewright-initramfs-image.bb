SUMMARY = "An initramfs that boots OSTree deployments, for INITRAMFS_IMAGE"
LICENSE = "MIT"

PACKAGE_INSTALL = "treewright-initrd ${VIRTUAL-RUNTIME_base-utils} ${ROOTFS_BOOTSTRAP_INSTALL}"
IMAGE_FSTYPES = "${INITRAMFS_FSTYPES}"
IMAGE_FEATURES = ""
IMAGE_LINGUAS = ""
IMAGE_NAME_SUFFIX = ""
IMAGE_ROOTFS_SIZE = "8192"
IMAGE_ROOTFS_EXTRA_SPACE = "0"
# It would wait for the kernel, which waits for it.
EXTRA_IMAGEDEPENDS = ""
PACKAGE_EXCLUDE = "kernel-image-*"

inherit core-image nopackages

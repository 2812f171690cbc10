# SPDX-License-Identifier: MIT
"""Names of the variables: this layer's own, and meta-updater's with what becomes of them."""

# Each of these changes what is made, so that its change runs the task again.
OWN = """
    TREEWRIGHT_BUNDLE_SHA256 TREEWRIGHT_NODE TREEWRIGHT_CONFIG TREEWRIGHT_PRODUCT TREEWRIGHT_MACHINE TREEWRIGHT_VERSION
    TREEWRIGHT_BRANCH TREEWRIGHT_OSNAME TREEWRIGHT_LAYOUT TREEWRIGHT_CONTINUES TREEWRIGHT_BOOTLOADER TREEWRIGHT_BOARD
    TREEWRIGHT_ROOT TREEWRIGHT_KARGS TREEWRIGHT_COMMIT_KARGS TREEWRIGHT_OVERLAYS TREEWRIGHT_DEVICETREES
    TREEWRIGHT_KERNEL TREEWRIGHT_INITRAMFS TREEWRIGHT_ROLLBACK_ATTEMPTS TREEWRIGHT_ROLLBACK_PROFILE
    TREEWRIGHT_DEVICE_SCRIPTS TREEWRIGHT_WATCHDOG TREEWRIGHT_REMOTE_URL TREEWRIGHT_SYSROOT_READONLY TREEWRIGHT_APPS
    TREEWRIGHT_DELTAS_LAST TREEWRIGHT_MAX_DOWNLOAD TREEWRIGHT_EXPIRES TREEWRIGHT_IMAGES TREEWRIGHT_STRICT
    TREEWRIGHT_TIMESTAMP TREEWRIGHT_FSTYPE TREEWRIGHT_WKS
""".split()

# meta-updater's variables that mean something here; settings.py says what.
UNDERSTOOD = """
    OSTREE_BRANCHNAME OSTREE_OSNAME OSTREE_REPO OSTREE_BOOTLOADER OSTREE_KERNEL OSTREE_KERNEL_ARGS
    OSTREE_DEPLOY_DEVICETREE OSTREE_DEVICETREE OSTREE_SYSROOT_READONLY OSTREE_COMMIT_VERSION SOTA_HARDWARE_ID
    GARAGE_TARGET_NAME GARAGE_TARGET_VERSION GARAGE_TARGET_EXPIRE_AFTER
""".split()

_OWN_METADATA = "targets are made and signed here, without garage-sign"
_NO_PUSH = "nothing is pushed to a server: publish TREEWRIGHT_OUTPUT as it is"
_IMAGE = "images are made by TREEWRIGHT_IMAGES"

# meta-updater's variables that mean nothing here, and why.
MEANINGLESS = {
    "SOTA_PACKED_CREDENTIALS": _NO_PUSH,
    "SOTA_DEPLOY_CREDENTIALS": _NO_PUSH,
    "SOTA_CLIENT_PROV": "install the client and its provisioning with IMAGE_INSTALL",
    "GARAGE_SIGN_REPO": _OWN_METADATA,
    "GARAGE_SIGN_KEYNAME": _OWN_METADATA,
    "GARAGE_SIGN_TOOL": _OWN_METADATA,
    "GARAGE_TARGET_URL": "a release is one directory, wherever it is served",
    "GARAGE_TARGET_EXPIRES": "give a duration with TREEWRIGHT_EXPIRES or GARAGE_TARGET_EXPIRE_AFTER",
    "GARAGE_CUSTOMIZE_TARGET": _OWN_METADATA,
    "GARAGE_PUSH_RETRIES": _NO_PUSH,
    "GARAGE_PUSH_RETRIES_SLEEP": _NO_PUSH,
    "OSTREE_COMMIT_SUBJECT": "the subject is the product and its version",
    "OSTREE_COMMIT_BODY": "the commit has no body",
    "EXTRA_OSTREE_COMMIT": "no ostree program is run",
    "OSTREE_REPO_CONFIG": "the repository's configuration is fixed",
    "OSTREE_OTA_REPO_CONFIG": "the device's repository is configured by image: in treewright.yaml",
    "OSTREE_UPDATE_SUMMARY": "the summary is always written and signed",
    "OSTREE_BOOT_PARTITION": "use image.boot-partition in treewright.yaml",
    "OSTREE_EFI_SIZE": _IMAGE,
    "OSTREE_MULTI_DEVICETREE_SUPPORT": "U-Boot takes the device tree by its name",
    "BUILD_OSTREE_TARBALL": _IMAGE,
    "BUILD_OSTREE_REPO_TARBALL": "the repository is in TREEWRIGHT_OUTPUT/ostree",
    "BUILD_OTA_TARBALL": _IMAGE,
}

# What meta-updater's names may be set to without anybody asking for something: its defaults and "off".
OFF = ("", "0")

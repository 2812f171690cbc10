# Makes a signed over-the-air release of an image, after the image and its SBOM are complete:
#
#   IMAGE_CLASSES += "treewright"
#
# docs/yocto.md describes each variable. meta-updater's OSTREE_*, SOTA_* and GARAGE_* variables are understood where they
# mean something here (docs/migration.md); the task warns of those that do not.

TREEWRIGHT_MODULES := "${@treewright.settings.mark_modules(d)}"

# 1: this image becomes a release. An initramfs does not, nor does an image that is only a part of another one.
TREEWRIGHT ??= "${@treewright.settings.is_product(d)}"

# The tool: one file that Node runs, accepted by its checksum only.
TREEWRIGHT_BUNDLE ??= "${TREEWRIGHT_LAYERDIR}/../../dist/treewright.mjs"
# Default: what the file TREEWRIGHT_BUNDLE.sha256 says.
TREEWRIGHT_BUNDLE_SHA256 ??= ""
# host: node of the build machine; native: nodejs-native, built by BitBake.
TREEWRIGHT_NODE ??= "host"

# Where releases and keys are. Outside of TMPDIR: they must outlive a clean build.
TREEWRIGHT_DIR ??= "${TOPDIR}/treewright"
TREEWRIGHT_OUTPUT ??= "${TREEWRIGHT_DIR}/${IMAGE_BASENAME}-${MACHINE}${@treewright.settings.multiconfig_suffix(d)}"
TREEWRIGHT_KEYS ??= "${TREEWRIGHT_DIR}/keys"
# 1: make keys when TREEWRIGHT_KEYS is not there.
TREEWRIGHT_MAKE_KEYS ??= "1"
# A file with the passphrase of encrypted keys. Never the passphrase itself: variables end up in testdata.json.
TREEWRIGHT_KEY_PASSPHRASE_FILE ??= ""

# A treewright.yaml of your own. What it says goes before the defaults below; a variable that is set goes before it.
TREEWRIGHT_CONFIG ??= ""
TREEWRIGHT_PRODUCT ??= ""
TREEWRIGHT_MACHINE ??= ""
TREEWRIGHT_VERSION ??= "${@treewright.settings.default_version(d)}"
TREEWRIGHT_BRANCH ??= ""
TREEWRIGHT_OSNAME ??= ""
TREEWRIGHT_LAYOUT ??= ""
# An OSTree repository whose branch the first release continues, such as that of meta-updater.
TREEWRIGHT_CONTINUES ??= ""
TREEWRIGHT_BOOTLOADER ??= ""
TREEWRIGHT_BOARD ??= ""
TREEWRIGHT_ROOT ??= ""
TREEWRIGHT_KARGS ??= ""
TREEWRIGHT_COMMIT_KARGS ??= ""
TREEWRIGHT_OVERLAYS ??= ""
TREEWRIGHT_DEVICETREES ??= ""
TREEWRIGHT_KERNEL ??= ""
TREEWRIGHT_INITRAMFS ??= ""
TREEWRIGHT_ROLLBACK_ATTEMPTS ??= ""
TREEWRIGHT_ROLLBACK_PROFILE ??= ""
TREEWRIGHT_DEVICE_SCRIPTS ??= ""
TREEWRIGHT_WATCHDOG ??= ""
TREEWRIGHT_REMOTE_URL ??= ""
TREEWRIGHT_SYSROOT_READONLY ??= ""
# Compose files, or folders that hold a docker-compose.yml; NAME:PATH gives the app another name than its folder's.
TREEWRIGHT_APPS ??= ""
TREEWRIGHT_DELTAS_LAST ??= ""
TREEWRIGHT_MAX_DOWNLOAD ??= ""
TREEWRIGHT_EXPIRES ??= ""

# Formats of `treewright image` to make besides: tar, ext4, disk, genimage, wic.
TREEWRIGHT_IMAGES ??= ""
# A kickstart file: wic makes a disk image around the ext4 of the release, as treewright-root.wks.in of this layer does.
TREEWRIGHT_WKS ??= ""
# 1: a warning fails the task, and nothing is published.
TREEWRIGHT_STRICT ??= "0"
# 1: the task has a network, for apps whose images are looked up in a registry.
TREEWRIGHT_NETWORK ??= "0"
# Seconds since 1970 as the time of the commit; default: now. SOURCE_DATE_EPOCH of an image recipe is a constant.
TREEWRIGHT_TIMESTAMP ??= ""
# Further files and folders whose change makes a new release, such as those that TREEWRIGHT_CONFIG names.
TREEWRIGHT_WATCH ??= ""

# The archive that the release is made of: owners, modes and xattrs come from it and from nowhere else.
TREEWRIGHT_FSTYPE ??= "tar.zst"
IMAGE_FSTYPES += "${@d.getVar('TREEWRIGHT_FSTYPE') if oe.types.boolean(d.getVar('TREEWRIGHT') or '0') else ''}"
# Without these options, tar leaves out capabilities and every other extended attribute.
IMAGE_CMD_TAR = "tar --xattrs --xattrs-include=*"

python do_treewright() {
    treewright.task.run(d)
}
do_treewright[dirs] = "${WORKDIR}/treewright"
do_treewright[cleandirs] = "${WORKDIR}/treewright"
do_treewright[vardeps] += "${@' '.join(treewright.variables.OWN + treewright.variables.UNDERSTOOD)}"
# The place of the build is no part of what is built; the time that IMAGE_VERSION_SUFFIX stands for is left out by OE.
do_treewright[vardepsexclude] += "TOPDIR TREEWRIGHT_DIR TREEWRIGHT_OUTPUT TREEWRIGHT_KEYS TREEWRIGHT_BUNDLE TREEWRIGHT_LAYERDIR BB_NUMBER_THREADS DATETIME"
do_treewright[file-checksums] += "${@treewright.settings.file_checksums(d)}"
do_treewright[depends] += "${@treewright.settings.task_depends(d)}"
do_treewright[network] = "${TREEWRIGHT_NETWORK}"
# Images and configurations that share a release directory take turns.
do_treewright[lockfiles] += "${TREEWRIGHT_OUTPUT}.lock"

# The SBOM of SPDX 3.0 is deployed by a task of its own, after do_image_complete; where there is none this is ignored.
addtask do_treewright after do_image_complete do_create_image_sbom_spdx before do_build

# do_image_wic comes before the image is complete, and so before there is a release. wic's own variables (WICVARS,
# WKS_FILE_DEPENDS, WIC_CREATE_EXTRA_ARGS) mean here what they mean there.
python do_treewright_wic() {
    treewright.wic.run(d)
}
do_treewright_wic[dirs] = "${WORKDIR}/treewright-wic"
do_treewright_wic[cleandirs] = "${WORKDIR}/treewright-wic"
do_treewright_wic[vardeps] += "TREEWRIGHT_WKS TREEWRIGHT_WKS_TEXT WIC_CREATE_EXTRA_ARGS"
do_treewright_wic[vardepsexclude] += "TOPDIR TREEWRIGHT_OUTPUT"
do_treewright_wic[depends] += "${@d.getVarFlag('do_image_wic', 'depends') if d.getVar('TREEWRIGHT_WKS') else ''}"
do_treewright_wic[recrdeptask] += "do_deploy"
do_treewright_wic[lockfiles] += "${TREEWRIGHT_OUTPUT}.lock"
DEPENDS += "${@d.getVar('WKS_FILE_DEPENDS') if d.getVar('TREEWRIGHT_WKS') and oe.types.boolean(d.getVar('TREEWRIGHT') or '0') else ''}"
# Before wrynose, OE looks into `wic` of each layer.
WKS_SEARCH_PATH:append = ":${TREEWRIGHT_LAYERDIR}/files/wic"

python () {
    if not oe.types.boolean(d.getVar('TREEWRIGHT') or '0'):
        d.setVarFlag('do_treewright', 'noexec', '1')
    elif (d.getVar('TREEWRIGHT_WKS') or '').strip():
        treewright.wic.add(d)
}

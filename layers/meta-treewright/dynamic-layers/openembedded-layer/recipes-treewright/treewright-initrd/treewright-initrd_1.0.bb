SUMMARY = "/init of an initramfs that boots OSTree deployments"
DESCRIPTION = "The script that treewright puts into the initramfs it makes itself, for images of INITRAMFS_IMAGE."
SECTION = "base"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${TREEWRIGHT_LAYERDIR}/COPYING;md5=b4e907318a928f4bdf4ed1517a3867b4"

SRC_URI = "file://init"

SOURCES = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
S = "${SOURCES}"

inherit allarch

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${sysconfdir} ${D}/proc ${D}/sys ${D}/dev ${D}/run ${D}/sysroot
    install -m 0755 ${SOURCES}/init ${D}/init
    # The script is written for one directory with all programs in it.
    sed -i -e 's,^export PATH=.*,export PATH=${base_sbindir}:${base_bindir}:${sbindir}:${bindir},' ${D}/init
    touch ${D}${sysconfdir}/initrd-release
    # Modules to load, one path a line.
    touch ${D}${sysconfdir}/modules.list
}

FILES:${PN} = "/init ${sysconfdir} /proc /sys /dev /run /sysroot"
RDEPENDS:${PN} = "ostree-switchroot ${VIRTUAL-RUNTIME_base-utils}"

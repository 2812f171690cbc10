SUMMARY = "Update, mark-good and watchdog scripts for a device that treewright's releases update"
DESCRIPTION = "treewright-update fetches and deploys with libostree; mark-good ends the trial of a new deployment."
SECTION = "base"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${TREEWRIGHT_LAYERDIR}/COPYING;md5=b4e907318a928f4bdf4ed1517a3867b4"

# The scripts lie beside this layer, because treewright itself can install them, too.
FILESEXTRAPATHS:prepend := "${TREEWRIGHT_LAYERDIR}/../device:"
SRC_URI = " \
    file://treewright-update \
    file://mark-good \
    file://extlinux-label \
    file://mark-good.init \
    file://watchdog.init \
    file://treewright-mark-good.service \
    file://treewright-update.service \
    file://treewright-update.timer \
"

# There is no UNPACKDIR in scarthgap, and S may not be WORKDIR from styhead on.
SOURCES = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}"
S = "${SOURCES}"

inherit allarch update-rc.d systemd

PACKAGE_BEFORE_PN = "${PN}-watchdog ${PN}-timer"

# Settings of /etc/treewright/update.conf. Nothing counts boot attempts: none.
TREEWRIGHT_COUNTING ??= ""
TREEWRIGHT_HEALTH_TIMEOUT ??= "60"
TREEWRIGHT_WATCHDOG ??= ""
TREEWRIGHT_WATCHDOG_TIMEOUT ??= "30"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -d ${D}${bindir} ${D}${nonarch_libdir}/treewright/health.d ${D}${sysconfdir}/treewright/health.d
    install -m 0755 ${SOURCES}/treewright-update ${D}${bindir}/treewright-update
    install -m 0755 ${SOURCES}/mark-good ${SOURCES}/extlinux-label ${D}${nonarch_libdir}/treewright/
    settings=${D}${sysconfdir}/treewright/update.conf
    echo "HEALTH_TIMEOUT=${TREEWRIGHT_HEALTH_TIMEOUT}" > $settings
    if [ -n "${TREEWRIGHT_COUNTING}" ]; then
        echo "COUNTING=${TREEWRIGHT_COUNTING}" >> $settings
    fi
    if [ -n "${TREEWRIGHT_WATCHDOG}" ]; then
        echo "WATCHDOG=${TREEWRIGHT_WATCHDOG}" >> $settings
    fi
    echo "WATCHDOG_TIMEOUT=${TREEWRIGHT_WATCHDOG_TIMEOUT}" >> $settings
    if ${@bb.utils.contains('DISTRO_FEATURES', 'systemd', 'true', 'false', d)}; then
        install -d ${D}${systemd_system_unitdir}
        install -m 0644 ${SOURCES}/treewright-mark-good.service ${SOURCES}/treewright-update.service \
            ${SOURCES}/treewright-update.timer ${D}${systemd_system_unitdir}/
    fi
    if ${@bb.utils.contains('DISTRO_FEATURES', 'sysvinit', 'true', 'false', d)}; then
        install -d ${D}${sysconfdir}/init.d
        install -m 0755 ${SOURCES}/mark-good.init ${D}${sysconfdir}/init.d/treewright-mark-good
        install -m 0755 ${SOURCES}/watchdog.init ${D}${sysconfdir}/init.d/treewright-watchdog
    fi
}

INITSCRIPT_PACKAGES = "${PN} ${PN}-watchdog"
INITSCRIPT_NAME:${PN} = "treewright-mark-good"
# After everything else, since it says that everything works.
INITSCRIPT_PARAMS:${PN} = "start 99 2 3 4 5 ."
INITSCRIPT_NAME:${PN}-watchdog = "treewright-watchdog"
INITSCRIPT_PARAMS:${PN}-watchdog = "start 01 S ."

SYSTEMD_PACKAGES = "${PN} ${PN}-timer"
SYSTEMD_SERVICE:${PN} = "treewright-mark-good.service"
SYSTEMD_SERVICE:${PN}-timer = "treewright-update.timer"

FILES:${PN} += "${nonarch_libdir}/treewright ${systemd_system_unitdir}/treewright-update.service"
FILES:${PN}-watchdog = "${sysconfdir}/init.d/treewright-watchdog"
FILES:${PN}-timer = "${systemd_system_unitdir}/treewright-update.timer"
# With systemd the watchdog is RuntimeWatchdogSec, and the package is empty.
ALLOW_EMPTY:${PN}-watchdog = "1"
ALLOW_EMPTY:${PN}-timer = "1"
CONFFILES:${PN} = "${sysconfdir}/treewright/update.conf"

RDEPENDS:${PN}-timer = "${PN}"
RDEPENDS:${PN}-watchdog = "${PN}"
# fw_setenv. BitBake refuses what is recommended and has no recipe, and libostree is in meta-oe.
RRECOMMENDS:${PN} = "libubootenv-bin ${@bb.utils.contains('BBFILE_COLLECTIONS', 'openembedded-layer', 'ostree', '', d)}"

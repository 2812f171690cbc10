FILESEXTRAPATHS:prepend := "${THISDIR}/linux-treewright:"
SRC_URI:append = "${@bb.utils.contains('DISTRO_FEATURES', 'treewright', ' file://treewright.cfg', '', d)}"

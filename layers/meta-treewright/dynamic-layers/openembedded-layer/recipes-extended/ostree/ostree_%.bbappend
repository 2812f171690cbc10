# ed25519 signatures, by which a device trusts a commit; libsodium is in meta-oe.
PACKAGECONFIG:append:class-target = "${@bb.utils.contains('DISTRO_FEATURES', 'treewright', ' ed25519-libsodium', '', d)}"

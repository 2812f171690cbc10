# With meta-updater: aktualizr keeps its client, and counts attempts in U-Boot's environment.
PACKAGECONFIG:append:class-target = "${@bb.utils.contains('DISTRO_FEATURES', 'treewright', ' ubootenv', '', d)}"

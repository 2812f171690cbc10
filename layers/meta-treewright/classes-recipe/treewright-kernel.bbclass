# Has the kernel deploy a note about its sources. layer.conf adds this class to every kernel where releases are made;
# kernels of other names (KERNEL_PACKAGE_NAME) deploy into a directory of their own, and are not what a release boots.

do_deploy:append() {
    cat > $deployDir/treewright-kernel-source.json <<'END'
${@treewright.kernel.source(d)}
END
}
do_deploy[vardeps] += "SRC_URI SRCREV PV"

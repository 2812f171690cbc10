#!/bin/sh
# Builds the system with Buildroot, and packs what a release is made of into build.tar. No release is made here and no
# key is needed: a build runs the code of some hundred packages.
set -eu
export BR2_DL_DIR="$PWD/cache/dl" BR2_CCACHE_DIR="$PWD/cache/ccache"
output=$PWD/output

# Of a symbol that is there twice, the last one counts.
{
  cat buildroot/configs/qemu_aarch64_virt_defconfig gateway.fragment
  echo 'BR2_CCACHE=y'
  echo '# BR2_TREEWRIGHT is not set'
} >gateway_defconfig
make -C buildroot O="$output" BR2_EXTERNAL="$PWD/treewright/layers/br2-external" \
  BR2_DEFCONFIG="$PWD/gateway_defconfig" defconfig
make -C buildroot O="$output"

# Packages with versions and licences, where treewright looks for them.
mkdir -p "$output/build/treewright"
make -s --no-print-directory -C "$output" show-info >"$output/build/treewright/show-info.json"
tar -cf build.tar -C "$output" .config images build/treewright

#!/bin/sh
# As build-buildroot.sh, for Yocto: packs the machine's deploy directory. The release is then made with
# `--set source.yocto=output` instead of `--set source.buildroot=output`.
set -eu
kas build kas.yml:ci/no-release.yml
tar -cf build.tar -C build/tmp-glibc/deploy/images/qemuarm64 .

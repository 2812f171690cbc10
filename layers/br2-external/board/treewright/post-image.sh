#!/bin/sh
# Buildroot's post-image hook: makes the next release of images/. See docs/buildroot.md.
#
# Options come from the symbols BR2_TREEWRIGHT_* of .config and, before those, from BR2_ROOTFS_POST_SCRIPT_ARGS:
# --treewright-NAME=VALUE. Arguments of other hooks are passed over. It needs no external tree.
set -u

me=treewright

fail() {
  echo "$me: $*" >&2
  if [ "${on_failure:-fail}" = warn ]; then
    echo "$me: WARNING: no release was made; the build goes on" >&2
    exit 0
  fi
  exit 1
}

images=${BINARIES_DIR:-${1:-}}
dot_config=${BR2_CONFIG:-}
if [ -z "$images" ] || [ ! -r "$dot_config" ]; then
  fail 'this is a hook of Buildroot: name it in BR2_ROOTFS_POST_IMAGE_SCRIPT (BR2_CONFIG names no .config)'
fi
base=${BASE_DIR:-$(dirname -- "$images")}
build=${BUILD_DIR:-$base/build}
configs=${CONFIG_DIR:-$(dirname -- "$dot_config")}
TOPDIR=${TOPDIR:-$PWD}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1

# --- options ---

# The value of a symbol of .config, without its quotes; `y` for one that is on, nothing for one that is off. As for make,
# the last line counts.
symbol() {
  sed -n "s/^$1=\"\\(.*\\)\"\$/\\1/; t text
    s/^$1=\\(.*\\)\$/\\1/p; b
    :text
    s/\\\\\\(.\\)/\\1/g; p" "$dot_config" | tail -n 1
}

# Sets `value` to that of a symbol, $(NAME) in it filled in from the environment, as make does for arguments of hooks.
# shellcheck disable=SC2016
setting() {
  text=$(symbol "BR2_TREEWRIGHT_$1") value=
  while :; do
    case $text in
      *'$('*')'*) ;;
      *) break ;;
    esac
    value=$value${text%%'$('*}
    text=${text#*'$('}
    name=${text%%')'*}
    text=${text#*')'}
    case $name in
      '' | [0-9]* | *[!A-Za-z0-9_]*) fail "BR2_TREEWRIGHT_$1: \$($name) is no name of a variable" ;;
    esac
    eval "[ -n \"\${$name+set}\" ]" || fail "BR2_TREEWRIGHT_$1: hooks have no variable \$($name)"
    eval "value=\$value\$$name"
  done
  value=$value$text
}

on() { [ "$(symbol "BR2_TREEWRIGHT_$1")" = y ]; }

# Buildroot's paths start at its top directory, which is where hooks run.
absolute() {
  case $1 in
    '' | /*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$PWD/$1" ;;
  esac
}

config='' product='' machine='' output='' keys='' branch='' osname='' version='' git='' next=y image='' show_info=''
on_failure=fail strict='' settings='' extra='' command=''

if [ "$(symbol BR2_TREEWRIGHT)" = y ]; then
  # First, because it decides what a wrong value of the others does.
  if on WARN; then on_failure=warn; fi
  setting CONFIG; config=$value
  setting PRODUCT; product=$value
  setting MACHINE; machine=$value
  setting OUTPUT; output=$value
  setting KEYS; keys=$value
  setting BRANCH; branch=$value
  setting OSNAME; osname=$value
  setting SET; settings=$value
  setting EXTRA_ARGS; extra=$value
  if on VERSION_LITERAL; then
    setting VERSION_TEXT; version=$value
    [ -n "$version" ] || fail 'BR2_TREEWRIGHT_VERSION_TEXT is empty'
  fi
  if on VERSION_GIT; then
    setting VERSION_GIT_DIR
    git=${value:-.config}
  fi
  on NEXT || next=
  for format in DISK EXT4 TAR GENIMAGE; do
    if on "IMAGE_$format"; then image=$(echo "$format" | tr '[:upper:]' '[:lower:]'); fi
  done
  if on SHOW_INFO; then show_info=y; fi
  if on STRICT; then strict=y; fi
fi

for argument; do
  value=${argument#*=}
  case $argument in
    --treewright-config=*) config=$value ;;
    --treewright-product=*) product=$value ;;
    --treewright-machine=*) machine=$value ;;
    --treewright-output=*) output=$value ;;
    --treewright-keys=*) keys=$value ;;
    --treewright-branch=*) branch=$value ;;
    --treewright-osname=*) osname=$value ;;
    --treewright-version=*) version=$value git='' next='' ;;
    --treewright-version-git) git=.config ;;
    --treewright-version-git=*) git=$value ;;
    --treewright-next) next=y ;;
    --treewright-no-next) next='' ;;
    --treewright-image=*) image=$value ;;
    --treewright-show-info) show_info=y ;;
    --treewright-no-show-info) show_info='' ;;
    --treewright-warn) on_failure=warn ;;
    --treewright-strict) strict=y ;;
    --treewright-set=*) settings="$settings $value" ;;
    --treewright-arg=*) extra="$extra $value" ;;
    --treewright-command=*) command=$value ;;
    --treewright-*) fail "there is no option ${argument%%=*}" ;;
  esac
done

case $image in
  '' | disk | ext4 | tar | genimage) ;;
  *) fail "--treewright-image=$image: expected disk, ext4, tar or genimage" ;;
esac

# --- what there is ---

[ "$(symbol BR2_TARGET_ROOTFS_TAR)" = y ] ||
  fail 'BR2_TARGET_ROOTFS_TAR is not set: releases are made of images/rootfs.tar; set it (Filesystem images, tar the root filesystem)'
set -- "$images"/rootfs.tar*
[ -e "$1" ] || fail "$images/rootfs.tar is not there, though BR2_TARGET_ROOTFS_TAR is set: run make"

# What a shared jobserver, a debugger or Buildroot's own tools want of their children is not meant for Node.js.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES GNUMAKEFLAGS MAKE_TERMOUT MAKE_TERMERR CDPATH LD_PRELOAD NODE_OPTIONS Q

config=$(absolute "$config")
if [ -z "$config" ] && [ -e "$configs/treewright.yaml" ]; then config=$configs/treewright.yaml; fi
if [ -n "$config" ]; then
  [ -r "$config" ] || fail "the configuration $config is not there (BR2_TREEWRIGHT_CONFIG); \`treewright init\` makes one"
else
  product=${product:-$(symbol BR2_TARGET_GENERIC_HOSTNAME)}
  if [ -z "$machine" ]; then
    machine=$(symbol BR2_DEFCONFIG)
    case $machine in
      *_defconfig) machine=$(basename -- "$machine" _defconfig) ;;
      *) machine=$(symbol BR2_ARCH) ;;
    esac
  fi
  output=${output:-$base-release}
  keys=${keys:-keys}
fi

if [ -n "$git" ]; then
  if [ "$git" = .config ]; then git=$(dirname -- "${config:-$PWD/x}"); fi
  version=$(git -C "$git" describe --tags --always --dirty) ||
    fail "git describe fails in $git, from where the version shall come (BR2_TREEWRIGHT_VERSION_GIT)"
  version=${version#v}
fi

# The program: as told, Buildroot's own, or any that is found.
if [ -z "$command" ] && [ -x "${HOST_DIR:-$base/host}/bin/treewright" ]; then
  command=${HOST_DIR:-$base/host}/bin/treewright
fi
if [ -z "$command" ] && [ -r "$here/../../../../dist/treewright.mjs" ]; then
  command=$here/../../../../dist/treewright.mjs
fi
command=${command:-treewright}
case $command in
  *.mjs | *.js)
    TREEWRIGHT_MODULE=$(absolute "$command")
    export TREEWRIGHT_MODULE
    command=$here/../../package/treewright/treewright.sh
    [ -x "$command" ] || fail "$TREEWRIGHT_MODULE needs $command, which finds a Node.js that can run it"
    ;;
  *)
    command -v "$command" >/dev/null ||
      fail "there is no program $command: set BR2_PACKAGE_HOST_TREEWRIGHT, or --treewright-command=treewright.mjs"
    ;;
esac

# --- packages ---

mkdir -p "$build/treewright" || fail "cannot write to $build"
info=$build/treewright/show-info.json
rm -f "$info"
if [ "$show_info" = y ]; then
  make -s --no-print-directory -C "$configs" show-info >"$info.part" ||
    fail 'make show-info failed, which lists packages and licences (BR2_TREEWRIGHT_SHOW_INFO)'
  mv "$info.part" "$info"
fi

# --- the release ---

# arguments of every command: the configuration and what goes before it
if [ -n "$config" ]; then set -- --config "$config"; else set -- --no-config; fi
set -- "$@" --set "source.buildroot=$base"
[ -z "$product" ] || set -- "$@" --set "product=$product"
[ -z "$machine" ] || set -- "$@" --set "machine=$machine"
[ -z "$output" ] || set -- "$@" --set "output=$(absolute "$output")"
[ -z "$keys" ] || set -- "$@" --set "signing.keys=$(absolute "$keys")"
[ -z "$branch" ] || set -- "$@" --set "ostree.branch=$branch"
[ -z "$osname" ] || set -- "$@" --set "ostree.osname=$osname"
set -f
for value in $settings; do set -- "$@" --set "$value"; done

run() {
  "$command" "$@" </dev/null
  status=$?
  [ "$status" -eq 0 ] || fail "no $1 was made: treewright ended with exit code $status, see above"
}

# shellcheck disable=SC2086
run release "$@" ${version:+--version "$version"} ${next:+--next} ${strict:+--strict} $extra

case $image in
  disk) run image "$@" --format disk --output "$images/treewright.img" ;;
  ext4) run image "$@" --format ext4 --output "$images/treewright.ext4" ;;
  tar) run image "$@" --format tar --output "$images/treewright.tar" ;;
  genimage) run image "$@" --format genimage --output "$images/treewright-genimage" ;;
esac
exit 0

#!/bin/sh
# Starts treewright with a Node.js that can run it. TREEWRIGHT_NODE names one, TREEWRIGHT_MODULE another treewright.mjs.
set -u

bin=$(CDPATH='' cd -- "${0%/*}" && pwd) || exit 6
module=${TREEWRIGHT_MODULE:-$bin/../lib/treewright/treewright.mjs}
found=

fail() {
  echo "treewright: $*" >&2
  exit 6
}

# True for Node.js 20.19 and newer; what else is there is remembered for the message.
fits() {
  [ -x "$1" ] || return 1
  version=$("$1" --version 2>/dev/null) || version='does not start'
  number=${version#v}
  major=${number%%.*} rest=${number#*.}
  minor=${rest%%.*}
  case $major.$minor in
    *[!0-9.]* | .* | *.) ;;
    *) if [ "$major" -gt 20 ] || { [ "$major" -eq 20 ] && [ "$minor" -ge 19 ]; }; then return 0; fi ;;
  esac
  found="$found${found:+, }$1 ($version)"
  return 1
}

start() { exec "$node" "$module" "$@"; }

[ -r "$module" ] || fail "$module is not there; build host-treewright again"

if [ -n "${TREEWRIGHT_NODE:-}" ]; then
  node=$TREEWRIGHT_NODE
  fits "$node" || fail "TREEWRIGHT_NODE is not a Node.js of 20.19 or newer: ${found:-$node is no program}"
  start "$@"
fi

node=$bin/node
if fits "$node"; then start "$@"; fi
set -f
ifs=$IFS
IFS=:
for directory in $PATH; do
  IFS=$ifs
  node=${directory:-.}/node
  [ "$node" = "$bin/node" ] || ! fits "$node" || start "$@"
done

if [ -n "$found" ]; then found="there is only $found"; else found='there is none in PATH'; fi
fail "Node.js 20.19 or newer is needed; $found. Install it, name it with" \
  'TREEWRIGHT_NODE=/path/to/node, or set BR2_PACKAGE_HOST_TREEWRIGHT_NODEJS=y (Buildroot 2025.02 and newer)'

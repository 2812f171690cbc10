/** The seeding for init systems without systemd-tmpfiles: POSIX sh and what busybox brings. */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { utf8 } from '../core/bytes.ts';
import type { SeedEntry } from './seed-entries.ts';

/** One path a line, parents first. A path with a line break cannot be listed; it comes along with its directory. */
export function seedList(entries: readonly SeedEntry[]): { text: string; skipped: string[] } {
  const skipped = entries.filter(({ path }) => path.includes('\n')).map(({ path }) => path);
  const listed = entries.filter(({ path }) => !path.includes('\n'));
  return { text: listed.map(({ path }) => `${path}\n`).join(''), skipped };
}

/**
 * The script for a list. Paths that are missing are copied under a temporary name, made durable by `sync`, and only
 * then renamed: a power cut leaves a path whole or absent. What was seeded once is written down and never seeded
 * again, even when the user removed it. A boot that has nothing to do reads one line.
 */
export function seedScript(list: string): string {
  return SCRIPT.replace('@LIST_ID@', bytesToHex(sha256(utf8(list))));
}

const SCRIPT = `#!/bin/sh
# Made by treewright: copies what the build put into /var, /home and the like from /usr/share/factory, each path once.
root=\${TREEWRIGHT_ROOT-}
factory=$root/usr/share/factory
list=$root/usr/lib/treewright/factory.list
state=$root/var/lib/treewright
record=$state/factory.seeded
id=@LIST_ID@
new=.treewright-new

seen=
if [ -s "$record" ]; then read -r seen <"$record"; fi
if [ "$seen" = "$id" ]; then exit 0; fi

umask 022
if ! mkdir -p "$state"; then
  echo "treewright: cannot write to $state, nothing is copied from the factory" >&2
  exit 1
fi
pending=$state/factory.pending
if [ -n "$seen" ]; then
  grep -v -x -F -f "$record" "$list" >"$pending"
else
  cat "$list" >"$pending"
fi

exists() { [ -e "$1" ] || [ -L "$1" ]; }

failed=
while IFS= read -r path; do
  target=$root/$path
  if exists "$target"; then continue; fi
  # Without its directory a path comes along when that one is copied.
  if [ ! -d "\${target%/*}" ]; then continue; fi
  rm -rf "$target$new"
  cp -a "$factory/$path" "$target$new" || failed=yes
done <"$pending"
sync
while IFS= read -r path; do
  target=$root/$path
  if ! exists "$target$new"; then continue; fi
  if exists "$target" || [ -n "$failed" ]; then
    rm -rf "$target$new"
  else
    mv "$target$new" "$target" || failed=yes
  fi
done <"$pending"
if [ -n "$failed" ]; then
  echo "treewright: not everything was copied from the factory, the next boot tries again" >&2
  exit 1
fi
{
  echo "$id"
  if [ -n "$seen" ]; then tail -n +2 "$record"; fi
  cat "$pending"
} >"$record$new" && sync && mv "$record$new" "$record"
rm -f "$pending"
`;

/** For busybox (Buildroot's S??* scripts) and sysvinit (rcS.d). */
export function seedInitScript(): string {
  return `#!/bin/sh
### BEGIN INIT INFO
# Provides:          treewright-factory
# Required-Start:    checkroot
# Required-Stop:
# Default-Start:     S
# Default-Stop:
# Short-Description: Fill /var from the factory copy
### END INIT INFO
case "$1" in
  stop | restart | reload) ;;
  *) /usr/lib/treewright/seed-factory ;;
esac
`;
}

export const OPENRC_SERVICE = `#!/sbin/openrc-run
description="Fill /var from the factory copy"

depend() {
  need root
  after localmount
  before bootmisc logger
}

start() {
  ebegin "Filling /var from the factory copy"
  /usr/lib/treewright/seed-factory
  eend $?
}
`;

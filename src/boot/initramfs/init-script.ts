/** /init of the initramfs: finds the root, has ostree-prepare-root mount the deployment, and starts its init. */

/** Where the list of modules is, one path a line in the order to load them. */
export const MODULE_LIST = 'etc/modules.list';

/** What the script calls; a shell's own commands are not listed. */
export const REQUIRED_COMMANDS = ['mount', 'mkdir', 'sleep', 'switch_root'] as const;
/** What it uses where it is there: findfs for labels and UUIDs, dd for labels without findfs. */
export const OPTIONAL_COMMANDS = ['findfs', 'blkid', 'dd', 'cat', 'ls'] as const;

/**
 * POSIX sh, for busybox ash, dash and bash. It never gives up silently: what fails is said, and the machine resets, so
 * that the boot loader counts the attempt.
 */
export const INIT_SCRIPT = `#!/bin/sh
# Made by treewright: mounts the OSTree deployment that the kernel was started for.
export PATH=/usr/bin
root= rootfstype= rootflags= rootwait=30 ostree= init=/sbin/init shell= loglevel=info

say() { echo "initramfs: $*" > /dev/kmsg 2>/dev/null || echo "initramfs: $*"; }

rescue() {
  echo "initramfs: $*" > /dev/console
  {
    echo "initramfs: root=$root ostree=$ostree"
    echo "initramfs: block devices:"
    while read -r major minor blocks name; do echo "initramfs:   $name $blocks"; done < /proc/partitions
    [ -z "$failed_modules" ] || echo "initramfs: modules that did not load:$failed_modules"
    if [ -d /sysroot/ostree ]; then
      for deployment in /sysroot/ostree/deploy/*/deploy/*; do echo "initramfs:   $deployment"; done
    fi
  } > /dev/console 2>&1
  if [ -n "$shell" ]; then
    echo "initramfs: a shell; leave it to reset" > /dev/console
    sh < /dev/console > /dev/console 2>&1
  else
    echo "initramfs: resetting in 10 seconds; treewright.shell on the kernel command line gives a shell" > /dev/console
    sleep 10
  fi
  echo b > /proc/sysrq-trigger
  # Without sysrq, the end of process 1 is a panic, and panic= resets.
  exit 1
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
# prepare-root leaves its mark in /run, and it must outlive this script.
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run

failed_modules=
read -r cmdline < /proc/cmdline
for word in $cmdline; do
  case "$word" in
    root=*) root=\${word#root=} ;;
    rootfstype=*) rootfstype=\${word#rootfstype=} ;;
    rootflags=*) rootflags=\${word#rootflags=} ;;
    rootdelay=*) rootwait=\${word#rootdelay=} ;;
    ostree=*) ostree=\${word#ostree=} ;;
    init=*) init=\${word#init=} ;;
    treewright.shell) shell=1 ;;
  esac
done

while read -r module; do
  insmod "$module" 2>/dev/null || failed_modules="$failed_modules \${module##*/}"
done < /${MODULE_LIST}

# The name of the device in $found, when it is there already.
find_root() {
  found=
  case "$root" in
    LABEL=* | UUID=*) found=$(findfs "$root" 2>/dev/null) || found= ;;
    PARTUUID=* | PARTLABEL=*)
      found=$(findfs "$root" 2>/dev/null) || found=
      [ -z "$found" ] || return 0
      key=PARTNAME wanted=\${root#*=}
      case "$root" in PARTUUID=*) key=PARTUUID ;; esac
      for entry in /sys/class/block/*/uevent; do
        while read -r line; do
          case "$line" in "$key=$wanted") found=/dev/\${entry#/sys/class/block/} found=\${found%/uevent} ;; esac
        done < "$entry"
      done
      ;;
    *) [ ! -b "$root" ] || found=$root ;;
  esac
  if [ -z "$found" ] && [ "\${root#LABEL=}" != "$root" ]; then
    # The label stands at this place of an ext4 file system.
    for device in /sys/class/block/*; do
      device=/dev/\${device##*/}
      [ -b "$device" ] || continue
      label=$(dd if="$device" bs=1 skip=1144 count=16 2>/dev/null) || continue
      [ "$label" != "\${root#LABEL=}" ] || { found=$device; return 0; }
    done
  fi
  [ -n "$found" ]
}

[ -n "$root" ] || rescue "there is no root= on the kernel command line"
[ -n "$ostree" ] || rescue "there is no ostree= on the kernel command line: the boot loader did not use the boot entry"
waited=0
until find_root; do
  [ "$waited" -lt "$rootwait" ] || rescue "no device for root=$root after $rootwait seconds"
  sleep 1
  waited=$((waited + 1))
done

mount \${rootfstype:+-t "$rootfstype"} -o "rw\${rootflags:+,$rootflags}" "$found" /sysroot ||
  rescue "$found cannot be mounted"
[ -d "/sysroot$ostree" ] || rescue "$found has no deployment $ostree"
/usr/lib/ostree/ostree-prepare-root /sysroot || rescue "ostree-prepare-root failed"

# systemd mounts /var by a unit that libostree generates; every other init finds it mounted.
if [ ! -x /sysroot/usr/lib/systemd/systemd ] && [ ! -x /sysroot/lib/systemd/systemd ]; then
  # /ostree/boot.N/<stateroot>/<bootcsum>/<serial>
  stateroot=\${ostree#/ostree/boot.*/}
  stateroot=\${stateroot%%/*}
  mounted=
  while read -r device point rest; do
    [ "$point" != /sysroot/var ] || mounted=1
  done < /proc/mounts
  [ -n "$mounted" ] || mount -o bind "/sysroot/sysroot/ostree/deploy/$stateroot/var" /sysroot/var ||
    rescue "/var of $stateroot cannot be mounted"
  # From 2026.1 on libostree leaves this to systemd, too. A /boot of its own is mounted over it later.
  mounted=
  while read -r device point rest; do
    [ "$point" != /sysroot/boot ] || mounted=1
  done < /proc/mounts
  [ -n "$mounted" ] || mount -o bind /sysroot/sysroot/boot /sysroot/boot || rescue "/boot cannot be mounted"
fi

for point in dev proc sys run; do
  mount -o move "/$point" "/sysroot/$point" || rescue "/$point cannot be moved"
done
exec switch_root /sysroot "$init" || rescue "$init cannot be started"
`;

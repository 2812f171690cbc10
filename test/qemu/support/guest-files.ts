/** What makes a system of unpacked packages: configuration, init scripts, units. */

export interface GuestFiles {
  readonly directories: readonly string[];
  readonly files: Readonly<Record<string, { readonly text: string; readonly mode?: number }>>;
  /** Path to target. */
  readonly links: Readonly<Record<string, string>>;
}

const DIRECTORIES = ['dev', 'proc', 'sys', 'run', 'tmp', 'mnt', 'root', 'var/lib', 'var/log'];

const NETWORK = `#!/bin/sh
modprobe virtio_net
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
`;

const COMMON = {
  'usr/lib/os-release': { text: 'ID=guest\nPRETTY_NAME="Guest"\n' },
  'usr/lib/guest/network': { text: NETWORK, mode: 0o755 },
  'etc/passwd': { text: 'root:x:0:0:root:/root:/bin/sh\n' },
  'etc/group': { text: 'root:x:0:\ntty:x:5:\n' },
  'etc/hostname': { text: 'guest\n' },
};

const RCS = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin
mountpoint() { grep -q " $1 " /proc/mounts; }
mountpoint /proc || mount -t proc proc /proc
mkdir -p /dev/pts /dev/shm
modprobe i6300esb
for script in /etc/init.d/S??*; do
  [ -x "$script" ] && "$script" start
done
echo "GUEST-BOOTED $(cat /usr/lib/release-number)"
`;

/** Arranged as Buildroot arranges a system with BusyBox. */
export const BUSYBOX_FILES: GuestFiles = {
  directories: DIRECTORIES,
  files: {
    ...COMMON,
    'etc/inittab': { text: '::sysinit:/etc/init.d/rcS\nconsole::respawn:-/bin/sh\n' },
    'etc/init.d/rcS': { text: RCS, mode: 0o755 },
  },
  links: {
    'etc/os-release': '../usr/lib/os-release',
    'etc/init.d/S10network': '../../usr/lib/guest/network',
    'usr/sbin/init': '../bin/busybox',
  },
};

/** A unit that writes to the console. */
const unit = (description: string, after: string, service: string): { text: string } => ({
  text: `[Unit]
Description=${description}
After=${after}

[Service]
${service}
`,
});

const BOOTED = `Type=oneshot
StandardOutput=tty
TTYPath=/dev/console
ExecStart=/bin/sh -c 'echo "GUEST-BOOTED $$(cat /usr/lib/release-number)"'`;

const SHELL = `ExecStart=/bin/sh -i
StandardInput=tty
StandardOutput=tty
TTYPath=/dev/console
WorkingDirectory=/
Restart=always
Environment=TERM=dumb SYSTEMD_PAGER=
KillSignal=SIGHUP`;

const UNITS = 'usr/lib/systemd/system';

/** Units that a device of ours has no use for, some of which wait long for what is not there. */
const MASKED = [
  ...[
    'serial-getty@.service',
    'getty@.service',
    'getty-static.service',
    'systemd-logind.service',
    'systemd-firstboot.service',
  ],
  ...['systemd-hwdb-update.service', 'systemd-journal-catalog-update.service', 'ldconfig.service'],
  ...['systemd-binfmt.service', 'systemd-sysusers.service', 'systemd-pcrphase.service'],
];

export const SYSTEMD_FILES: GuestFiles = {
  directories: DIRECTORIES,
  files: {
    ...COMMON,
    // Empty: not a first boot, and to be filled.
    'etc/machine-id': { text: '' },
    'usr/lib/modules-load.d/guest.conf': { text: 'virtio_net\nvirtio_rng\ni6300esb\n' },
    'usr/lib/systemd/system.conf.d/guest.conf': { text: '[Manager]\nShowStatus=no\n' },
    'usr/lib/systemd/journald.conf.d/guest.conf': { text: '[Journal]\nStorage=volatile\n' },
    [`${UNITS}/guest-network.service`]: unit(
      'Network',
      'systemd-modules-load.service',
      'Type=oneshot\nRemainAfterExit=yes\nExecStart=/usr/lib/guest/network',
    ),
    [`${UNITS}/guest-shell.service`]: unit('Shell on the console', 'multi-user.target', SHELL),
    [`${UNITS}/guest-booted.service`]: unit(
      'Says that the boot is over',
      'multi-user.target treewright-mark-good.service guest-shell.service',
      BOOTED,
    ),
  },
  links: {
    'etc/os-release': '../usr/lib/os-release',
    'etc/systemd/system/default.target': '/usr/lib/systemd/system/multi-user.target',
    // As ostree-boot's maintainer script enables it.
    'etc/systemd/system/local-fs.target.wants/ostree-remount.service': `/${UNITS}/ostree-remount.service`,
    ...Object.fromEntries(
      ['guest-network', 'guest-shell', 'guest-booted'].map((name) => [
        `${UNITS}/multi-user.target.wants/${name}.service`,
        `../${name}.service`,
      ]),
    ),
    ...Object.fromEntries(MASKED.map((name) => [`etc/systemd/system/${name}`, '/dev/null'])),
  },
};

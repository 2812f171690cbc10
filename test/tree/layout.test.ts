import { describe, expect, test } from 'vitest';
import { applyLayout } from '../../src/tree/layout.ts';
import { lookup, resolve } from '../../src/tree/walk.ts';
import { collector, paths, stored, textAt, treeOf } from './trees.ts';

/** A merged system with something in every place that moves. */
function rootfs(): ReturnType<typeof treeOf> {
  return treeOf({
    bin: { target: 'usr/bin' },
    lib: { target: 'usr/lib' },
    sbin: { target: 'usr/sbin' },
    'usr/bin/busybox': 'b',
    'usr/sbin/init': { target: '../bin/busybox' },
    'usr/lib/os-release': 'ID=x\n',
    'usr/lib/modules/6.1.0/modules.dep': '',
    'etc/os-release': { target: '../usr/lib/os-release' },
    'etc/init.d/rcS': { content: '#!/bin/sh\n', mode: 0o755 },
    'etc/passwd': 'root',
    'home/user/.profile': { content: 'p', uid: 1000 },
    'home/user/up': { target: '../../usr/share/x' },
    'home/user/inside': { target: '.profile' },
    'opt/app/tool': { content: 't', mode: 0o755 },
    root: { mode: 0o700 },
    'root/.bashrc': 'r',
    'srv/www/index.html': 'w',
    'usr/local/bin/local': 'l',
    'usr/local/bin/env': { target: '../../bin/env' },
    'media/card': {},
    'mnt/data': {},
    'var/lib/app/state': 's',
    'var/run': { target: '../run' },
    'var/log': { target: '../tmp' },
    'var/tmp/junk': 'j',
    'dev/console': 'not a device',
    'tmp/x': 'x',
    'boot/zImage': 'k',
    'boot/grub/grub.cfg': 'g',
  });
}

const KERNEL = { release: '6.1.0', imageName: 'zImage', image: stored(1), deviceTrees: new Map() };

describe('the ostree layout', () => {
  test('gives the top level that libostree asks for', () => {
    const tree = rootfs();
    const { list, sink } = collector();
    applyLayout({ tree, init: 'busybox', kernel: KERNEL }, 'ostree', sink);
    const top = paths(tree).filter((path) => !path.replace(/\/$/, '').includes('/') || path.includes(' -> '));
    expect(top.filter((path) => !path.startsWith('usr/'))).toEqual([
      'bin -> usr/bin',
      'boot/',
      'dev/',
      'home -> var/home',
      'lib -> usr/lib',
      'media -> var/media',
      'mnt -> var/mnt',
      'opt -> var/opt',
      'ostree -> sysroot/ostree',
      'proc/',
      'root -> var/roothome',
      'run/',
      'sbin -> usr/sbin',
      'srv -> var/srv',
      'sys/',
      'sysroot/',
      'tmp/',
      'var/',
    ]);
    expect(lookup(tree, 'usr/local')).toMatchObject({ target: '../var/usrlocal' });
    expect(lookup(tree, 'usr/etc/passwd')?.kind).toBe('file');
    expect(lookup(tree, 'dev')).toHaveProperty('entries.size', 0);
    expect(lookup(tree, 'boot')).toHaveProperty('entries.size', 0);
    expect(lookup(tree, 'usr/lib/modules/6.1.0/vmlinuz')).toBe(KERNEL.image);
    expect(list.filter(({ severity }) => severity !== 'note')).toEqual([]);
  });

  test('keeps what the build put into the directories that move as factory copy, and leaves /var empty', () => {
    const tree = rootfs();
    applyLayout({ tree, init: 'busybox', kernel: KERNEL }, 'ostree', () => undefined);
    expect(lookup(tree, 'var')).toHaveProperty('entries.size', 0);
    expect(paths(tree, 'usr/share/factory/')).toEqual([
      'usr/share/factory/var/',
      'usr/share/factory/var/home/',
      'usr/share/factory/var/home/user/',
      'usr/share/factory/var/home/user/.profile',
      'usr/share/factory/var/home/user/inside -> .profile',
      'usr/share/factory/var/home/user/up -> /usr/share/x',
      'usr/share/factory/var/lib/',
      'usr/share/factory/var/lib/app/',
      'usr/share/factory/var/lib/app/state',
      'usr/share/factory/var/log -> ../tmp',
      'usr/share/factory/var/media/',
      'usr/share/factory/var/media/card/',
      'usr/share/factory/var/mnt/',
      'usr/share/factory/var/mnt/data/',
      'usr/share/factory/var/opt/',
      'usr/share/factory/var/opt/app/',
      'usr/share/factory/var/opt/app/tool',
      'usr/share/factory/var/roothome/',
      'usr/share/factory/var/roothome/.bashrc',
      'usr/share/factory/var/run -> ../run',
      'usr/share/factory/var/srv/',
      'usr/share/factory/var/srv/www/',
      'usr/share/factory/var/srv/www/index.html',
      'usr/share/factory/var/tmp/',
      'usr/share/factory/var/usrlocal/',
      'usr/share/factory/var/usrlocal/bin/',
      'usr/share/factory/var/usrlocal/bin/env -> /usr/bin/env',
      'usr/share/factory/var/usrlocal/bin/local',
      ...['etc', 'games', 'include', 'lib', 'man', 'sbin', 'share', 'src'].map(
        (name) => `usr/share/factory/var/usrlocal/${name}/`,
      ),
    ]);
    expect(lookup(tree, 'usr/share/factory/var/roothome')?.stat.mode).toBe(0o40700);
    expect(lookup(tree, 'usr/share/factory/var/home/user/.profile')?.stat.uid).toBe(1000);
  });

  test('a symlink of the build in place of a directory that moves stands, and what it leads to in /var is made', () => {
    const tree = treeOf({
      'usr/x': '',
      'etc/x': '',
      home: { target: '/var/people' },
      opt: { target: 'usr/opt' },
      'usr/opt': {},
    });
    const { list, sink } = collector();
    applyLayout({ tree, init: 'systemd' }, 'ostree', sink);
    expect(lookup(tree, 'home')).toMatchObject({ target: '/var/people' });
    expect(lookup(tree, 'opt')).toMatchObject({ target: 'usr/opt' });
    expect(lookup(tree, 'usr/share/factory/var/people')?.kind).toBe('directory');
    expect(list).toEqual([]);
  });

  test.each([
    ['/etc together with /usr/etc', { 'etc/a': '', 'usr/etc/b': '' }, 'input/etc-and-usr-etc'],
    ['/etc that is a file', { etc: 'x', 'usr/x': '' }, 'input/not-a-directory'],
    ['/var that is a link', { 'etc/a': '', 'usr/x': '', var: { target: 'data' } }, 'input/not-a-directory'],
    ['/home that is a file', { 'etc/a': '', 'usr/x': '', home: 'x' }, 'input/not-a-directory'],
    ['no /etc at all', { 'usr/x': '' }, 'input/no-etc'],
  ])('%s is told as an error', (_, specs, code) => {
    const { list, sink } = collector();
    applyLayout({ tree: treeOf(specs), init: 'systemd' }, 'ostree', sink);
    expect(list.filter(({ severity }) => severity === 'error').map((each) => each.code)).toEqual([code]);
  });

  test('an empty /etc beside /usr/etc, and an empty /usr/etc beside /etc, are no conflict', () => {
    for (const specs of [
      { etc: {}, 'usr/etc/b': '' },
      { 'etc/b': '', 'usr/etc': {} },
      { etc: { target: 'usr/etc' }, 'usr/etc/b': '' },
    ]) {
      const tree = treeOf(specs);
      const { list, sink } = collector();
      applyLayout({ tree, init: 'systemd' }, 'ostree', sink);
      expect(list).toEqual([]);
      expect(lookup(tree, 'etc')).toBeUndefined();
      expect(lookup(tree, 'usr/etc/b')?.kind).toBe('file');
    }
  });

  test('the stat of a stored file never changes, because its checksum covers it', () => {
    const tree = rootfs();
    const file = stored(7, 10, 0o4755);
    const home = lookup(tree, 'home/user');
    if (home?.kind !== 'directory') throw new Error('no home');
    home.entries.set('setuid', file);
    const before = JSON.stringify(file);
    applyLayout({ tree, init: 'systemd', kernel: KERNEL }, 'ostree', () => undefined);
    expect(lookup(tree, 'usr/share/factory/var/home/user/setuid')).toBe(file);
    expect(JSON.stringify(file)).toBe(before);
  });
});

describe('the meta-updater layout', () => {
  test('leads to var/rootdirs and adds what aktualizr tools look for', () => {
    const tree = rootfs();
    applyLayout(
      {
        tree,
        init: 'systemd',
        kernel: KERNEL,
        packages: [
          { name: 'busybox', version: '1.36-r0' },
          { name: 'zlib', version: '1.3' },
        ],
        branch: 'gateway/stable',
      },
      'meta-updater',
      () => undefined,
    );
    for (const name of ['home', 'opt', 'mnt', 'media', 'srv']) {
      expect(lookup(tree, name)).toMatchObject({ target: `var/rootdirs/${name}` });
    }
    expect(lookup(tree, 'root')).toMatchObject({ target: 'var/roothome' });
    expect(lookup(tree, 'tmp')?.kind).toBe('directory');
    expect(textAt(tree, 'usr/package.manifest')).toBe('busybox 1.36-r0\nzlib 1.3\n');
    expect(textAt(tree, 'usr/share/sota/branchname')).toBe('gateway/stable');
    expect(lookup(tree, 'usr/share/factory/var/rootdirs/home/user/.profile')?.kind).toBe('file');
    expect(textAt(tree, 'usr/etc/tmpfiles.d/00ostree-tmpfiles.conf').split('\n')).toEqual(
      expect.arrayContaining([
        'd /var/rootdirs 0755 0 0 -',
        'd /var/rootdirs/home 0755 0 0 -',
        'd /var/roothome 0700 0 0 -',
        'd /var/usrlocal/src 0755 0 0 -',
      ]),
    );
    expect(textAt(tree, 'usr/lib/tmpfiles.d/treewright-factory.conf')).toContain(
      'C /var/rootdirs/home/user/.profile - - - -\n',
    );
  });
});

test('the layout none changes nothing', () => {
  const tree = rootfs();
  const before = paths(tree);
  applyLayout({ tree, init: 'busybox', kernel: KERNEL }, 'none', () => undefined);
  expect(paths(tree)).toEqual(before);
});

describe('kernel and device trees', () => {
  const place = (kernel: object, specs = {}): ReturnType<typeof treeOf> => {
    const tree = treeOf({ 'etc/x': '', 'usr/lib/modules/6.1.0/modules.dep': '', ...specs });
    applyLayout({ tree, init: 'systemd', kernel: { ...KERNEL, ...kernel } }, 'ostree', () => undefined);
    return tree;
  };

  test('one device tree becomes the file that beats the directory', () => {
    const tree = place({ deviceTrees: new Map([['freescale/board.dtb', stored(2)]]) });
    expect(paths(tree, 'usr/lib/modules/')).toEqual([
      'usr/lib/modules/6.1.0/',
      'usr/lib/modules/6.1.0/devicetree',
      'usr/lib/modules/6.1.0/modules.dep',
      'usr/lib/modules/6.1.0/vmlinuz',
    ]);
  });

  test('several, or an overlay, become the directory, with vendors', () => {
    const several = place({
      deviceTrees: new Map([
        ['freescale/a.dtb', stored(2)],
        ['b.dtb', stored(3)],
      ]),
    });
    expect(paths(several, 'usr/lib/modules/6.1.0/d')).toEqual([
      'usr/lib/modules/6.1.0/dtb/',
      'usr/lib/modules/6.1.0/dtb/b.dtb',
      'usr/lib/modules/6.1.0/dtb/freescale/',
      'usr/lib/modules/6.1.0/dtb/freescale/a.dtb',
    ]);
    const overlay = place({ deviceTrees: new Map([['o.dtbo', stored(2)]]) });
    expect(lookup(overlay, 'usr/lib/modules/6.1.0/dtb/o.dtbo')?.kind).toBe('file');
  });

  test('a FIT image gets an empty initramfs, so that libostree adds no init= argument', () => {
    const tree = place({ imageName: 'fitImage' });
    expect(lookup(tree, 'usr/lib/modules/6.1.0/initramfs.img')).toMatchObject({
      content: { kind: 'inline', bytes: new Uint8Array() },
    });
    expect(lookup(place({}), 'usr/lib/modules/6.1.0/initramfs.img')).toBeUndefined();
  });

  test('a kernel of another release is dropped with a warning, its modules stay', () => {
    const tree = treeOf({
      'etc/x': '',
      'usr/lib/modules/5.10.0/vmlinuz': 'old',
      'usr/lib/modules/5.10.0/modules.dep': '',
    });
    const { list, sink } = collector();
    applyLayout({ tree, init: 'systemd', kernel: KERNEL }, 'ostree', sink);
    expect(paths(tree, 'usr/lib/modules/5.10.0/')).toEqual(['usr/lib/modules/5.10.0/modules.dep']);
    expect(list).toContainEqual(
      expect.objectContaining({ severity: 'warning', code: 'input/several-kernels' }),
    );
  });
});

describe('hooks of init systems', () => {
  const hooks = (
    init: 'busybox' | 'sysvinit' | 'openrc' | 'other',
    specs: Parameters<typeof treeOf>[0],
  ): string[] => {
    const tree = treeOf({ 'usr/x': '', 'etc/x': '', ...specs });
    const { list, sink } = collector();
    applyLayout({ tree, init }, 'ostree', sink);
    return [
      ...paths(tree, 'usr/etc/').filter((path) => path.includes('treewright')),
      ...list.map(({ code }) => code),
    ];
  };

  test('Buildroot runs S00, Yocto’s rcS.d has a slot, OpenRC a service, others are told', () => {
    expect(hooks('busybox', { 'etc/init.d/rcS': '' })).toEqual(['usr/etc/init.d/S00treewright-factory']);
    expect(
      hooks('sysvinit', { 'etc/init.d/rcS': '', 'etc/rcS.d/S03mountall.sh': { target: '../init.d/m' } }),
    ).toEqual([
      'usr/etc/init.d/treewright-factory',
      'usr/etc/rcS.d/S20treewright-factory -> ../init.d/treewright-factory',
    ]);
    expect(hooks('openrc', { 'etc/runlevels/boot/hostname': { target: '/etc/init.d/hostname' } })).toEqual([
      'usr/etc/init.d/treewright-factory',
      'usr/etc/runlevels/boot/treewright-factory -> /etc/init.d/treewright-factory',
    ]);
    expect(hooks('other', {})).toEqual(['input/no-seeding']);
  });
});

describe('merging /usr', () => {
  const split = {
    'bin/busybox': 'b',
    'bin/sh': { target: 'busybox' },
    'sbin/init': { target: '../bin/busybox' },
    'lib/libc.so.6': 'c',
    'lib/deep/er/up': { target: '../../../usr/share/x' },
    'lib/deep/er/near': { target: '../other' },
    'lib/modules/6.1.0/modules.dep': '',
    'usr/bin/env': { target: '../../bin/busybox' },
    'usr/lib/libm.so': { target: '../../lib/libm.so.6' },
    'usr/lib/libz.so': 'z',
    'etc/init.d/rcS': '',
    'usr/share/x': 'x',
  };

  test('moves the directories, and every link still leads where it led', () => {
    const before = treeOf(split);
    const tree = treeOf(split);
    applyLayout({ tree, init: 'busybox' }, 'ostree', () => undefined);
    for (const name of ['bin', 'sbin', 'lib'])
      expect(lookup(tree, name)).toMatchObject({ target: `usr/${name}` });
    for (const path of ['bin/sh', 'sbin/init', 'lib/deep/er/up', 'usr/bin/env', 'lib/libc.so.6']) {
      const old = resolve(before, path);
      const now = resolve(tree, path);
      expect(old?.node.kind).toBe('file');
      expect(now?.node).toEqual(old?.node);
    }
    expect(lookup(tree, 'usr/lib/deep/er/near')).toMatchObject({ target: '../other' });
    expect(lookup(tree, 'usr/lib/modules/6.1.0/modules.dep')?.kind).toBe('file');
  });

  test('a link from one place to the other, or the same file in both, is no conflict', () => {
    const tree = treeOf({
      'etc/init.d/rcS': '',
      'bin/a': 'real',
      'usr/bin/a': { target: '../../bin/a' },
      'usr/bin/b': 'real',
      'bin/b': { target: '/usr/bin/b' },
    });
    const [bin, usrBin] = [lookup(tree, 'bin'), lookup(tree, 'usr/bin')];
    if (bin?.kind !== 'directory' || usrBin?.kind !== 'directory') throw new Error('no bin');
    bin.entries.set('same', stored(1));
    usrBin.entries.set('same', stored(1));
    applyLayout({ tree, init: 'busybox' }, 'ostree', () => undefined);
    expect(lookup(tree, 'bin')).toMatchObject({ target: 'usr/bin' });
    expect(lookup(tree, 'usr/bin/a')?.kind).toBe('file');
    expect(lookup(tree, 'usr/bin/b')?.kind).toBe('file');
  });

  test('two different files of one name leave the tree split, with a warning that names them', () => {
    const tree = treeOf({ 'etc/init.d/rcS': '', 'bin/a': 'one', 'usr/bin/a': 'two', 'lib/x': '' });
    const { list, sink } = collector();
    applyLayout({ tree, init: 'busybox' }, 'ostree', sink);
    expect(lookup(tree, 'bin')?.kind).toBe('directory');
    expect(lookup(tree, 'lib')?.kind).toBe('directory');
    expect(list).toEqual([
      expect.objectContaining({
        severity: 'warning',
        code: 'input/usr-not-merged',
        message: expect.stringContaining('/bin/a') as string,
      }),
    ]);
  });
});

/** What is told before an image is made that a device could not boot or update. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkSysroot } from '../../../src/boot/image/sysroot-checks.ts';
import type { SysrootCheck } from '../../../src/boot/image/sysroot-checks.ts';
import { planBoot } from '../../../src/boot/plan.ts';
import { utf8 } from '../../../src/core/bytes.ts';
import { openStore } from '../../../src/platform/store.ts';
import { describeReference, runTool } from '../../reference/tools.ts';
import type { Entry } from './sysroots.ts';
import { OSNAME, commitEntries } from './sysroots.ts';

let directory: string;
let repo: string;
let count = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sysroot-checks-'));
  repo = join(directory, 'repo');
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const file = (path: string, content = ''): Entry => ({ path, type: 'file', content: utf8(content) });
const link = (path: string, target: string): Entry => ({ path, type: 'symlink', target });
const KERNEL = file('usr/lib/modules/6.1.0-test/vmlinuz', 'kernel');
const INITRAMFS = file('usr/lib/modules/6.1.0-test/initramfs.img', 'initramfs');
const TREE = [
  { path: '', type: 'directory' as const },
  file('usr/lib/os-release', 'ID=demo\n'),
  file('usr/etc/hostname', 'demo\n'),
  { path: 'boot', type: 'directory' as const },
  { path: 'tmp', type: 'directory' as const, mode: 0o1777 },
  KERNEL,
];
const SYSTEMD = file('usr/lib/systemd/systemd', 'systemd');
const without = (...paths: string[]): Entry[] => TREE.filter(({ path }) => !paths.includes(path));
const LINKED_TMP = [...without('tmp'), link('tmp', 'sysroot/tmp')];
const PREPARE_ROOT = 'usr/lib/ostree/prepare-root.conf';

interface Case {
  readonly name: string;
  readonly entries: readonly Entry[];
  readonly check?: Partial<SysrootCheck>;
  readonly kargs?: readonly string[];
  /** `severity code` */
  readonly expected: readonly string[];
}

const CASES: readonly Case[] = [
  { name: 'an ordinary tree', entries: TREE, expected: [] },
  { name: 'no /boot', entries: without('boot'), expected: ['error input/no-boot-directory'] },
  { name: '/boot is FAT', entries: TREE, check: { boot: 'vfat' }, expected: ['error config/vfat-boot'] },
  {
    name: 'nothing mounts a /boot of its own',
    entries: [...TREE, file('usr/etc/fstab', '# LABEL=boot /boot ext4\nLABEL=x /bootx ext4\n')],
    check: { boot: 'ext4' },
    expected: ['error input/boot-not-mounted'],
  },
  {
    name: 'fstab mounts it',
    entries: [...TREE, file('usr/etc/fstab', 'proc /proc proc\n LABEL=boot\t/boot/  ext4 defaults 0 2\n')],
    check: { boot: 'ext4' },
    expected: [],
  },
  {
    name: 'a unit of systemd mounts it',
    entries: [...TREE, SYSTEMD, file('usr/lib/systemd/system/boot.mount')],
    check: { boot: 'ext4' },
    expected: [],
  },
  {
    name: 'libostree 2026.1 leaves /boot to systemd, which is not there',
    entries: TREE,
    check: { libostree: '2026.1' },
    expected: ['warning input/boot-not-mounted'],
  },
  { name: 'and is', entries: [...TREE, SYSTEMD], check: { libostree: '2026.1' }, expected: [] },
  {
    name: 'composefs',
    entries: [...TREE, file(PREPARE_ROOT, '# x\n[composefs]\nenabled = yes\n')],
    expected: ['error input/composefs'],
  },
  { name: 'composefs if it is there', entries: [...TREE, file(PREPARE_ROOT, '[composefs]\nenabled=maybe\n')], expected: [] }, // prettier-ignore
  {
    name: 'composefs by kernel argument',
    entries: [...TREE, file(PREPARE_ROOT, '[composefs]\nenabled=no\n')],
    kargs: ['rw', 'ostree.prepare-root.composefs=signed'],
    expected: ['error input/composefs'],
  },
  {
    name: 'read-only with /tmp in it, systemd',
    entries: [...LINKED_TMP, SYSTEMD, file('usr/etc/fstab', 'tmpfs /tmp tmpfs\n')],
    check: { readonly: true },
    expected: ['error input/tmp-not-writable'],
  },
  { name: 'read-only with /tmp in it', entries: LINKED_TMP, check: { readonly: true }, expected: ['error input/tmp-not-writable'] }, // prettier-ignore
  {
    name: 'read-only with a tmpfs on /tmp, which a mount follows to its place',
    entries: [...LINKED_TMP, file('usr/etc/fstab', 'tmpfs /tmp tmpfs\n')],
    check: { readonly: true },
    expected: [],
  },
  { name: 'writable with /tmp in it', entries: LINKED_TMP, expected: [] },
  {
    name: 'the commit asks for read-only',
    entries: [...LINKED_TMP, file('usr/etc/ostree/prepare-root.conf', '[sysroot]\nreadonly = true\n')],
    expected: ['error input/tmp-not-writable'],
  },
  {
    name: 'read-only, mounted so by the kernel, libostree 2022.7',
    entries: TREE,
    check: { readonly: true, libostree: '2022.7' },
    kargs: ['rw', 'ro'],
    expected: ['error input/root-not-writable'],
  },
  {
    name: 'the same with an initramfs',
    entries: [...TREE, INITRAMFS],
    check: { readonly: true, libostree: '2022.7' },
    kargs: [],
    expected: ['warning input/root-not-writable'],
  },
  { name: 'the same with 2025.2', entries: TREE, check: { readonly: true, libostree: '2025.2' }, kargs: ['ro'], expected: [] }, // prettier-ignore
];

describeReference('checks before an image', ['ostree', 'trixie:ostree'], () => {
  beforeAll(() => runTool('ostree', ['init', `--repo=${repo}`, '--mode=archive']));

  describe.each(CASES)('$name', ({ entries, check, kargs = ['rw'], expected }) => {
    test(expected.length === 0 ? 'is in order' : expected.join(', '), async () => {
      const commit = await commitEntries(repo, `case/${count++}`, entries, directory);
      const store = openStore(repo);
      const plan = await planBoot(store, commit, { osname: OSNAME, kargs });
      const found = await checkSysroot(store, plan, { readonly: false, boot: 'root', ...check });
      expect(found.map(({ severity, code }) => `${severity} ${code}`)).toEqual(expected);
    });
  });
});

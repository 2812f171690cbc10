import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { distroBoard } from '../../src/boot/board.ts';
import type { BootOptions } from '../../src/boot/plan.ts';
import { planBoot } from '../../src/boot/plan.ts';
import { renderBoot } from '../../src/boot/render.ts';
import { utf8 } from '../../src/core/bytes.ts';
import type { Checksum } from '../../src/core/checksum.ts';
import { decodeScriptData, decodeUbootImage } from '../../src/formats/uboot-image.ts';
import type { ByteStore } from '../../src/platform/store.ts';
import { openStore } from '../../src/platform/store.ts';
import type { WorkerPool } from '../../src/platform/workers.ts';
import { createWorkerPool } from '../../src/platform/workers.ts';
import type { CommitFacts } from '../../src/repo/commit.ts';
import { commitMetadata, writeCommit, writeTree } from '../../src/repo/commit.ts';
import { objectPath } from '../../src/repo/paths.ts';
import { lookupPath } from '../../src/repo/read.ts';
import { ensureRepository } from '../../src/repo/repository.ts';
import { beginTransaction } from '../../src/repo/transaction.ts';
import { emptyTree, ensureDirectory, rootStat } from '../../src/tree/walk.ts';

let repo: string;
let store: ByteStore;
let pool: WorkerPool;

beforeAll(async () => {
  repo = await mkdtemp(join(tmpdir(), 'treewright-plan-'));
  pool = createWorkerPool(1);
  await ensureRepository(repo);
  store = openStore(repo);
});
afterAll(async () => {
  await pool.close();
  await rm(repo, { recursive: true, force: true });
});

const KERNEL = 'usr/lib/modules/6.1/vmlinuz';
const INITRAMFS = 'usr/lib/modules/6.1/initramfs.img';
const RELEASE = { 'usr/lib/os-release': 'PRETTY_NAME=Demo\n' };

/** Commits files by path; text after `-> ` makes a symlink. */
async function commit(
  files: Readonly<Record<string, string | Uint8Array>>,
  facts: CommitFacts = {},
): Promise<Checksum> {
  const tree = emptyTree();
  for (const [path, content] of Object.entries(files)) {
    const slash = path.lastIndexOf('/');
    const { entries } = ensureDirectory(tree, path.slice(0, slash));
    const name = path.slice(slash + 1);
    if (typeof content === 'string' && content.startsWith('-> ')) {
      entries.set(name, { kind: 'symlink', stat: rootStat.symlink(), target: content.slice(3) });
    } else {
      const bytes = typeof content === 'string' ? utf8(content) : content;
      entries.set(name, { kind: 'file', stat: rootStat.file(0o644), content: { kind: 'inline', bytes } });
    }
  }
  const transaction = await beginTransaction({ repo, pool });
  const root = await writeTree(transaction, tree);
  const checksum = await writeCommit(transaction, {
    metadata: commitMetadata(facts),
    subject: '',
    body: '',
    timestamp: 1_700_000_000,
    ...root,
  });
  await transaction.flush();
  return checksum;
}

async function plan(
  files: Readonly<Record<string, string | Uint8Array>>,
  options: Partial<BootOptions> = {},
) {
  return planBoot(store, await commit(files), { osname: 'demo', kargs: [], arch: 'aarch64', ...options });
}

/** The first bytes of an arm64 Image. */
function arm64Image(): Uint8Array {
  const image = new Uint8Array(4096);
  image.set(utf8('ARMd'), 56);
  return image;
}

describe('a commit that cannot be deployed is refused with the reason', () => {
  test.each([
    ['input/no-kernel', { ...RELEASE }, /expected exactly one file \/usr\/lib\/modules\/<release>\/vmlinuz/],
    ['input/no-kernel', { ...RELEASE, 'usr/lib/modules/6.1/modules.dep': '' }, /no kernel found/],
    [
      'input/several-kernels',
      { ...RELEASE, [KERNEL]: 'a', 'usr/lib/modules/6.6/vmlinuz': 'b' },
      /kernels of 6\.1, 6\.6 stand in/,
    ],
    [
      'input/legacy-kernel-layout',
      { ...RELEASE, [`usr/lib/ostree-boot/vmlinuz-6.1-${'a'.repeat(64)}`]: 'k' },
      /the kernel is in \/usr\/lib\/ostree-boot/,
    ],
    [
      'input/legacy-kernel-layout',
      { ...RELEASE, [`boot/vmlinuz-6.1-${'a'.repeat(64)}`]: 'k' },
      /the kernel is in \/boot /,
    ],
    [
      'input/legacy-kernel-layout',
      { ...RELEASE, [KERNEL]: 'k', [`usr/lib/ostree-boot/initramfs-6.1-${'a'.repeat(64)}`]: 'i' },
      /has no initramfs but/,
    ],
    [
      'input/kernel-is-symlink',
      { ...RELEASE, [KERNEL]: '-> Image', 'usr/lib/modules/6.1/Image': 'k' },
      /is a symlink/,
    ],
    [
      'input/kernel-is-symlink',
      { ...RELEASE, [KERNEL]: 'k', [INITRAMFS]: '-> /boot/initrd' },
      /is a symlink/,
    ],
    ['input/no-os-release', { [KERNEL]: 'k' }, /neither \/usr\/lib\/os-release nor/],
    [
      'input/no-os-release',
      { [KERNEL]: 'k', 'usr/lib/os-release': 'NAME=x\n' },
      /neither PRETTY_NAME nor ID/,
    ],
    [
      'input/symlink-outside',
      { [KERNEL]: 'k', 'usr/lib/os-release': '-> /etc/os-release' },
      /make it relative/,
    ],
    ['input/symlink-outside', { [KERNEL]: 'k', 'usr/lib/os-release': '-> ../../../x' }, /outside the tree/],
    ['input/symlink-loop', { [KERNEL]: 'k', 'usr/lib/os-release': '-> os-release' }, /loop of symlinks/],
    ['input/not-utf8', { [KERNEL]: 'k', 'usr/lib/os-release': Uint8Array.of(0xff, 0x0a) }, /not UTF-8/],
    ['input/not-a-file', { [KERNEL]: 'k', 'usr/lib/os-release/x': '' }, /is a directory, expected a file/],
  ] as const)('%s', async (code, files, message) => {
    await expect(plan(files)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as unknown,
    });
  });

  test('a damaged kernel in the repository is noticed, not hashed', async () => {
    const checksum = await commit({ ...RELEASE, [KERNEL]: 'a kernel to damage' });
    const entry = await lookupPath(store, checksum, KERNEL);
    if (entry?.kind !== 'file') throw new Error('no kernel');
    const path = join(repo, objectPath(entry.checksum, 'file'));
    const bytes = await readFile(path);
    bytes[bytes.length - 3] = (bytes[bytes.length - 3] ?? 0) ^ 0x10;
    await writeFile(path, bytes);
    await expect(planBoot(store, checksum, { osname: 'demo', kargs: [] })).rejects.toMatchObject({
      code: 'trust/corrupt-object',
    });
  });
});

describe('options', () => {
  test.each([
    ['config/bad-osname', { osname: '../x' }],
    ['config/bad-karg', { kargs: ['quiet', 'ostree=/x'] }],
    ['config/bad-karg', { kargs: ['a\nb'] }],
    ['config/bad-karg', { kargs: ['a="b c'] }],
    ['config/bad-rollback', { rollback: { attempts: 10 } }],
    ['config/bad-rollback', { rollback: { attempts: 0 } }],
    ['config/bad-rollback', { board: { ...distroBoard('arm64'), environment: { kind: 'none' as const } }, rollback: { counting: 'script' as const } }],
    ['config/bad-board', { board: { ...distroBoard('arm64'), device: 'mmc 0:1; reset' } }],
    ['config/bad-rollback', { loader: 'extlinux' as const, rollback: { counting: 'script' as const } }],
    ['usage/bad-commit', { previous: { commit: 'main' as Checksum } }],
  ] as const)('%s', async (code, options) => {
    await expect(plan({ ...RELEASE, [KERNEL]: 'k' }, options)).rejects.toMatchObject({ code });
  }); // prettier-ignore

  test('the boot version can be that of a device after any number of updates', async () => {
    const files = { ...RELEASE, [KERNEL]: 'k', [INITRAMFS]: 'i' };
    const previous = { commit: await commit({ ...files, 'usr/old': '' }) };
    for (const bootVersion of [0, 1] as const) {
      const made = await plan(files, { previous, bootVersion });
      expect(made).toMatchObject({ bootVersion, subBootVersion: 1 });
      expect(made.uEnv?.match(/ostree=\/ostree\/boot\.\d/g)).toEqual(
        Array.from({ length: 2 }, () => `ostree=/ostree/boot.${bootVersion}`),
      );
    }
    expect((await plan(files)).bootVersion).toBe(1);
    expect((await plan(files, { previous })).bootVersion).toBe(0);
  });

  test('architecture comes from the option, else the commit, else the kernel; unknown is a warning', async () => {
    const files = { ...RELEASE, [KERNEL]: arm64Image(), [INITRAMFS]: 'i' };
    const arch = async (
      facts: CommitFacts,
      options: Partial<BootOptions> = {},
      kernel: string | Uint8Array = 'k',
    ) => {
      const checksum = await commit({ ...files, [KERNEL]: kernel }, facts);
      const { board, diagnostics } = await planBoot(store, checksum, {
        osname: 'demo',
        kargs: [],
        ...options,
      });
      return [board.arch, board.bootCommand, diagnostics.map(({ code }) => code)];
    };
    expect(await arch({ architecture: 'armv7l' })).toEqual(['arm', 'bootz', []]);
    expect(await arch({ architecture: 'armv7l' }, { arch: 'riscv64' })).toEqual(['riscv', 'booti', []]);
    expect(await arch({}, {}, arm64Image())).toEqual(['arm64', 'booti', []]);
    expect(await arch({})).toEqual(['arm64', 'booti', ['input/unknown-arch']]);
    expect(await arch({ architecture: 'x86_64' })).toEqual(['x86_64', 'zboot', []]);
    expect(await arch({ architecture: 'x86_64' }, {}, arm64Image())).toEqual([
      'x86_64',
      'booti',
      ['input/kernel-arch'],
    ]);
  });
});

describe('findings', () => {
  const codes = async (...args: Parameters<typeof plan>): Promise<string[]> =>
    (await plan(...args)).diagnostics.map(({ code }) => code);
  const base = { ...RELEASE, [KERNEL]: arm64Image(), [INITRAMFS]: 'i' };

  test('a sound commit has none', async () => {
    expect(await codes(base)).toEqual([]);
  });

  test('kernels that the boot command does not start', async () => {
    const zboot = new Uint8Array(1024);
    zboot.set(utf8('MZ\0\0zimg'));
    expect(await codes({ ...base, [KERNEL]: zboot })).toEqual(['input/kernel-format']);
    expect(await codes({ ...base, [KERNEL]: Uint8Array.of(0x1f, 0x8b, 8) })).toEqual(['input/kernel-format']);
    const fit = { ...base, [KERNEL]: Uint8Array.of(0xd0, 0x0d, 0xfe, 0xed) };
    expect(await codes(fit)).toEqual([]);
    expect(await codes(fit, { board: distroBoard('arm64') })).toEqual(['input/kernel-format']);
    expect(await codes(fit, { previous: { commit: await commit(base) } })).toEqual([
      'input/kernel-format-changed',
    ]);
  });

  test('an inherited init=, quotes and carriage returns', async () => {
    const bare = await commit({ ...RELEASE, [KERNEL]: arm64Image() });
    expect(await codes(base, { previous: { commit: bare } })).toEqual(['input/stale-init']);
    expect(await codes(base, { kargs: ["a='b'"] })).toEqual(['input/karg-quote']);
    expect(await codes({ ...base, 'usr/lib/ostree-boot/uEnv.txt': 'a=1\r\n' })).toEqual([
      'input/carriage-return',
    ]);
  });
});

describe('findings of a plan with extlinux.conf', () => {
  const base = { ...RELEASE, [KERNEL]: arm64Image(), [INITRAMFS]: 'i' };
  const told = async (
    files: Parameters<typeof plan>[0],
    options: Partial<BootOptions> = {},
  ): Promise<string[]> =>
    (await plan(files, { loader: 'extlinux', ...options })).diagnostics
      .map(({ severity, code }) => `${severity} ${code}`)
      .filter((found) => found !== 'warning config/extlinux-rollback');

  test('are what rollback there is, and no complaint about a script', async () => {
    expect(await told(base)).toEqual([]);
    expect((await plan(base, { loader: 'extlinux' })).diagnostics).toHaveLength(1);
    for (const counting of ['u-boot', 'none'] as const) {
      expect(await told(base, { rollback: { counting } })).toEqual(['note config/extlinux-rollback']);
    }
    const fit = await commit({ ...base, [KERNEL]: Uint8Array.of(0xd0, 0x0d, 0xfe, 0xed) });
    expect(await told(base, { previous: { commit: fit } })).toEqual([]);
  });

  test('are what it has no place for', async () => {
    const modules = 'usr/lib/modules/6.1';
    expect(await told({ ...base, [`${modules}/devicetree`]: 'd' })).toEqual([]);
    expect(await told({ ...base, [`${modules}/dtb/a.dtb`]: 'd' })).toEqual([
      'warning input/extlinux-device-trees',
    ]);
    expect(await told({ ...base, [KERNEL]: Uint8Array.of(0xd0, 0x0d, 0xfe, 0xed) })).toEqual([
      'warning input/kernel-format',
    ]);
    expect(await told({ ...base, 'usr/lib/ostree-boot/uEnv.txt': 'a=1\r\n' })).toEqual([
      'warning input/extlinux-uenv',
    ]);
  });

  test('are kernel arguments that U-Boot changes or cuts', async () => {
    for (const word of ["a='b'", 'a=b\\c', 'root=${slot}', 'root=$(slot)']) {
      expect(await told(base, { kargs: [word] }), word).toEqual(['warning input/karg-quote']);
    }
    expect(await told(base, { kargs: ['a=$b'] })).toEqual([]);
    expect(await told(base, { kargs: ['x'.repeat(500)] })).toEqual(['warning input/karg-length']);
  });
});

describe('rendered files', () => {
  const raw = {
    ...distroBoard('arm64'),
    environment: {
      kind: 'raw' as const,
      command: 'virtio',
      location: { device: '/dev/vda', offset: 0x100000, size: 0x4000 },
    },
  };
  const files = { ...RELEASE, [KERNEL]: arm64Image(), [INITRAMFS]: 'i' };

  test('are the same bytes for the same plan, with the commit’s time in boot.scr', async () => {
    const rendered = await renderBoot(await plan(files));
    expect(rendered).toEqual(await renderBoot(await plan(files)));
    expect([...rendered.keys()]).toEqual([
      'uEnv.txt',
      'loader/entries/ostree-1.conf',
      'boot.cmd',
      'boot.scr',
    ]);
    const image = decodeUbootImage(rendered.get('boot.scr') ?? new Uint8Array());
    expect(image).toMatchObject({ arch: 'arm64', type: 'script', time: 1_700_000_000 });
    expect(decodeScriptData(image.data)).toEqual(rendered.get('boot.cmd'));
  });

  test('with extlinux: its file in the place of uEnv.txt and script, fw_env.config when U-Boot counts', async () => {
    const names = async (options: Partial<BootOptions>): Promise<string[]> => [
      ...(await renderBoot(await plan(files, { loader: 'extlinux', ...options }))).keys(),
    ];
    const extlinux = ['extlinux.conf', 'loader/entries/ostree-1.conf'];
    expect(await names({ board: raw })).toEqual(extlinux);
    const { location } = raw.environment;
    const board = { ...raw, environment: { kind: 'u-boot' as const, locations: [location] } };
    expect(await names({ board, rollback: { counting: 'u-boot' } })).toEqual([...extlinux, 'fw_env.config']);
  });

  test('fw_env.config is there when the place of the environment is known, and boot.cmd uses the same place', async () => {
    const rendered = await renderBoot(await plan(files, { board: raw }));
    const text = (name: string) => new TextDecoder().decode(rendered.get(name));
    expect(text('fw_env.config')).toBe('# device offset size\n/dev/vda 0x100000 0x4000\n');
    expect(text('boot.cmd')).toContain('virtio read ${ramdisk_addr_r} 0x800 0x20');
  });
});

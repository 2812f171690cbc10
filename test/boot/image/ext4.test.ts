/** Our ext4 file systems, judged by e2fsprogs. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { contentOpener } from '../../../src/boot/image/content.ts';
import type { OpenContent } from '../../../src/boot/image/content.ts';
import { writeExt4 } from '../../../src/boot/image/ext4.ts';
import type { Ext4Options, Ext4Plan } from '../../../src/boot/image/ext4-plan.ts';
import { planExt4 } from '../../../src/boot/image/ext4-plan.ts';
import { createImageFile } from '../../../src/platform/image-file.ts';
import { openStore } from '../../../src/platform/store.ts';
import type { Directory, FileTree, RegularFile, TreeNode, Xattr } from '../../../src/tree/types.ts';
import { S_IFREG } from '../../../src/tree/types.ts';
import { emptyTree, ensureDirectory, rootStat, textFile } from '../../../src/tree/walk.ts';
import { describeReference, runTool } from '../../reference/tools.ts';
import { random } from '../../support/random-tree.ts';

const MIB = 1 << 20;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ext4-'));
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

const inlineOnly: OpenContent = contentOpener(openStore('/nonexistent'));

interface Made {
  readonly path: string;
  readonly plan: Ext4Plan;
}

async function make(
  name: string,
  tree: FileTree,
  space: Ext4Options['space'],
  immutable: ReadonlySet<Directory> = new Set(),
  openContent: OpenContent = inlineOnly,
): Promise<Made> {
  const plan = planExt4(
    { tree, immutable, mtime: () => 1_700_000_000 },
    {
      label: 'root',
      uuid: Uint8Array.from({ length: 16 }, (_, i) => i + 1),
      hashSeed: Uint8Array.from({ length: 16 }, (_, i) => 100 + i),
      time: 1_700_000_001,
      space,
    },
  );
  const path = join(directory, `${name}.ext4`);
  const image = await createImageFile(path);
  await writeExt4(plan, openContent, image);
  await image.finish(plan.size);
  return { path, plan };
}

/** Any finding of a forced check fails. */
async function check(path: string): Promise<void> {
  const { exitCode, stdout } = await runTool('e2fsck', ['-fn', path], { suite: 'ext4', reject: false });
  expect({ exitCode, stdout }).toMatchObject({ exitCode: 0 });
  expect(stdout).not.toMatch(/\?|ERROR|WARNING|optimi/i);
}

function file(
  bytes: Uint8Array,
  mode = 0o644,
  more: { uid?: number; gid?: number; xattrs?: Xattr[] } = {},
): RegularFile {
  const { uid = 0, gid = 0, xattrs = [] } = more;
  return {
    kind: 'file',
    stat: { uid, gid, mode: S_IFREG | mode, xattrs },
    content: { kind: 'inline', bytes },
  };
}

function link(target: string): TreeNode {
  return { kind: 'symlink', stat: rootStat.symlink(), target };
}

/** What debugfs answers to commands, one text for each. */
async function debugfs(path: string, commands: readonly string[]): Promise<string[]> {
  const input = commands.map((command) => `${command}\n`).join('');
  const { stdout } = await runTool('debugfs', ['-f', '-', path], { suite: 'ext4', input });
  return stdout.split(/^debugfs: .*\n/m).slice(1);
}

describeReference('an ext4 file system of ours', ['ext4:e2fsck'], () => {
  test('is clean when it is empty, at sizes around the borders of groups', async () => {
    for (const size of [16, 64, 127, 128, 129, 130, 256, 1024, 17 * 1024]) {
      const { path, plan } = await make(`empty-${size}`, emptyTree(), { size: size * MIB });
      expect(plan.size).toBeLessThanOrEqual(size * MIB);
      expect(plan.size).toBeGreaterThan((size - 3) * MIB);
      await check(path);
      // Only what was written takes space.
      expect((await stat(path)).blocks * 512).toBeLessThan(120 * MIB);
      await rm(path);
    }
  });

  test('holds owners, modes, link counts, times, targets and contents', async () => {
    const tree = emptyTree();
    const usr = ensureDirectory(tree, 'usr/bin').entries;
    const shared = file(Buffer.from('shared'), 0o4755, { uid: 70_000, gid: 1_000_000 });
    usr.set('one', shared);
    usr.set('two', shared);
    ensureDirectory(tree, 'a/b/c').entries.set('three', shared);
    const next = random(7);
    const contents = new Map<string, Uint8Array>();
    for (const size of [0, 1, 4095, 4096, 4097, 300_000, 5 * MIB + 17]) {
      const bytes = Uint8Array.from({ length: size }, () => Math.floor(next() * 256));
      contents.set(`data/${size}`, bytes);
      ensureDirectory(tree, 'data').entries.set(String(size), file(bytes));
    }
    const targets = [1, 2, 58, 59, 60, 61, 255, 4000, 4095].map((length) => 't'.repeat(length));
    for (const target of targets)
      ensureDirectory(tree, 'links').entries.set(`l${target.length}`, link(target));
    ensureDirectory(tree, 'names').entries.set('n'.repeat(255), textFile('long'));
    ensureDirectory(tree, 'names').entries.set('größe', textFile('utf-8'));
    const sticky = ensureDirectory(tree, 'tmp');
    sticky.stat = { ...sticky.stat, mode: 0o041777 };
    const immutable = ensureDirectory(tree, 'deployment');
    const { path } = await make('nodes', tree, { free: 8 * MIB }, new Set([immutable]));
    await check(path);

    const [one = '', sticks = '', fixed = '', names = ''] = await debugfs(path, [
      'stat /a/b/c/three',
      'stat /tmp',
      'stat /deployment',
      'ls -l /names',
    ]);
    expect(one).toMatch(/Mode:\s+04755/);
    expect(one).toMatch(/User:\s+70000\s+Group:\s+1000000/);
    expect(one).toMatch(/Links: 3/);
    expect(one).toMatch(/mtime: 0x6553f100/);
    expect(sticks).toMatch(/Mode:\s+01777/);
    expect(fixed).toMatch(/Flags: 0x80010/);
    expect(names).toContain('n'.repeat(255));
    expect(names).toContain('gr\\xc3\\xb6\\xc3\\x9fe');
    for (const [name, bytes] of contents) {
      const out = join(directory, 'dumped');
      await debugfs(path, [`dump /${name} ${out}`]);
      expect(
        createHash('sha256')
          .update(await readFile(out))
          .digest('hex'),
      ).toBe(createHash('sha256').update(bytes).digest('hex'));
    }
    for (const target of targets) {
      const out = join(directory, 'target');
      if (target.length < 60) {
        const [text = ''] = await debugfs(path, [`stat /links/l${target.length}`]);
        expect(text).toContain(`Fast link dest: "${target}"`);
      } else {
        await debugfs(path, [`dump /links/l${target.length} ${out}`]);
        expect(await readFile(out, 'utf8')).toBe(target);
      }
    }
  });

  test('holds extended attributes in the inode and in a block, and ACLs', async () => {
    const tree = emptyTree();
    const value = (size: number, byte = 7): Uint8Array => new Uint8Array(size).fill(byte);
    // user::rw- user:1000:r-- group::r-- mask::r-- other::---
    const acl = Buffer.from(
      '02000000' +
        '01000600ffffffff' +
        '02000400e8030000' +
        '04000400ffffffff' +
        '10000400ffffffff' +
        '20000000ffffffff',
      'hex',
    );
    const sets: Record<string, Xattr[]> = {
      small: [{ name: 'user.a', value: Buffer.from('x') }],
      capability: [
        {
          name: 'security.capability',
          value: Buffer.from('0100000200200000000000000000000000000000', 'hex'),
        },
      ],
      empty: [{ name: 'user.empty', value: value(0) }],
      many: Array.from({ length: 20 }, (_, i) => ({ name: `user.n${i}`, value: value(i * 3, i) })),
      large: [{ name: 'trusted.large', value: value(3900) }],
      acl: [{ name: 'system.posix_acl_access', value: acl }],
    };
    for (const [name, xattrs] of Object.entries(sets)) {
      tree.root.entries.set(name, file(Buffer.from(name), 0o640, { xattrs }));
    }
    ensureDirectory(tree, 'd').stat = {
      ...rootStat.directory(),
      xattrs: [{ name: 'user.d', value: value(4) }],
    };
    const { path } = await make('xattrs', tree, { free: 4 * MIB });
    await check(path);
    for (const [name, xattrs] of Object.entries(sets)) {
      if (name === 'acl') continue;
      for (const xattr of xattrs) {
        const out = join(directory, 'value');
        await rm(out, { force: true });
        await debugfs(path, [`ea_get -f ${out} /${name} ${xattr.name}`]);
        expect((await readFile(out)).equals(xattr.value), `${name} ${xattr.name}`).toBe(true);
      }
    }
    const [text = ''] = await debugfs(path, ['ea_list /acl']);
    expect(text).toContain('system.posix_acl_access (28)');
    expect(() =>
      planExt4(
        {
          tree: {
            root: {
              ...emptyTree().root,
              entries: new Map([
                ['f', file(value(1), 0o644, { xattrs: [{ name: 'user.x', value: value(4100) }] })],
              ]),
            },
          },
          immutable: new Set(),
          mtime: () => 0,
        },
        { label: '', uuid: new Uint8Array(16), hashSeed: new Uint8Array(16), time: 0, space: { free: 0 } },
      ),
    ).toThrow(expect.objectContaining({ code: 'input/xattr-too-large' }));
  });

  test('holds directories of ten thousand names, and many groups of content', async () => {
    const tree = emptyTree();
    const large = ensureDirectory(tree, 'large');
    for (let i = 0; i < 10_000; i++) large.entries.set(`module-with-a-long-name-${i}.ko`, textFile(`${i}`));
    // Sparse on our side too: what is announced is made while it is written.
    const huge: RegularFile = {
      kind: 'file',
      stat: rootStat.file(),
      content: { kind: 'stored', checksum: '0'.repeat(64) as never, size: 300 * MIB + 5 },
    };
    tree.root.entries.set('huge', huge);
    const { path, plan } = await make('large', tree, { free: 20 * MIB }, new Set(), async function* (wanted) {
      if (wanted !== huge) yield* inlineOnly(wanted);
      else {
        for (let i = 0; i < 300; i++) yield new Uint8Array(MIB).fill(i);
        yield new Uint8Array(5).fill(255);
      }
    });
    expect(plan.free).toBeGreaterThanOrEqual(20 * MIB);
    await check(path);
    const [text = '', name = ''] = await debugfs(path, [
      'stat /huge',
      'stat /large/module-with-a-long-name-9999.ko',
    ]);
    expect(text).toContain(`Size: ${300 * MIB + 5}`);
    expect(name).toMatch(/Size: 4$/m);
    await rm(path);
  });

  test('grows by resize2fs to many times its size', async () => {
    const tree = emptyTree();
    tree.root.entries.set('file', textFile('content'));
    const { path } = await make('grow', tree, { size: 200 * MIB });
    const features = await runTool('dumpe2fs', ['-h', path], { suite: 'ext4' });
    expect(features.stdout).toMatch(/Filesystem features:.*has_journal.*resize_inode.*metadata_csum/);
    await truncate(path, 20 * 1024 * MIB);
    await runTool('resize2fs', [path], { suite: 'ext4' });
    await check(path);
    const { stdout } = await runTool('dumpe2fs', ['-h', path], { suite: 'ext4' });
    expect(stdout).toContain(`Block count:              ${(20 * 1024 * MIB) / 4096}`);
    expect(stdout).not.toContain('meta_bg');
  });

  test('is the same, byte for byte, for the same input, and refuses a size that is too small', async () => {
    const tree = (): FileTree => {
      const made = emptyTree();
      ensureDirectory(made, 'b').entries.set('x', textFile('x'));
      ensureDirectory(made, 'a').entries.set('y', textFile('y'));
      return made;
    };
    const first = await make('same-1', tree(), { free: MIB });
    const second = await make('same-2', tree(), { free: MIB });
    expect((await readFile(first.path)).equals(await readFile(second.path))).toBe(true);
    const big = emptyTree();
    big.root.entries.set('big', file(new Uint8Array(20 * MIB)));
    await expect(make('small', big, { size: 16 * MIB })).rejects.toMatchObject({
      code: 'config/image-too-small',
      data: { given: 16 * MIB },
    });
  });
});

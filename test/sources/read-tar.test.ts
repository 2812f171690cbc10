import { execa } from 'execa';
import { chmod, chown, link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { concatBytes, utf8 } from '../../src/core/bytes.ts';
import { lookup } from '../../src/tree/walk.ts';
import { programOutput } from '../support/program-output.ts';
import type { RawMember } from './archives.ts';
import {
  END_OF_ARCHIVE,
  describeTree,
  makeTar,
  paxHeader,
  paxRecord,
  rawMember,
  readBytes,
} from './archives.ts';

let work: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'tw-read-tar-'));
});
afterAll(async () => {
  await rm(work, { recursive: true });
});

const CAPABILITY = Uint8Array.from([
  1, 0, 0, 2, 0, 4, 0x0a, 0, 0, 0, 0x80, 0xff, 0x3d, 0xc3, 0x28, 0, 0x0a, 0, 0, 0,
]);

async function xattrOf(archive: Uint8Array, path: string, piece?: number): Promise<Map<string, string>> {
  const { tree } = await readBytes(archive, piece === undefined ? {} : { piece });
  const node = lookup(tree, path);
  return new Map(node?.stat.xattrs.map(({ name, value }) => [name, Buffer.from(value).toString('hex')]));
}

describe('xattrs', () => {
  test('a binary value with NUL, newline, "=" and bytes that are not UTF-8 comes through whole', async () => {
    const archive = concatBytes([
      paxHeader([
        paxRecord('path', 'usr/bin/pïng'),
        paxRecord('SCHILY.xattr.security.capability', CAPABILITY),
        paxRecord('mtime', '1.5'),
      ]),
      rawMember({ name: 'short', content: utf8('x') }),
      END_OF_ARCHIVE,
    ]);
    const xattrs = await xattrOf(archive, 'usr/bin/pïng');
    expect(xattrs).toEqual(new Map([['security.capability', Buffer.from(CAPABILITY).toString('hex')]]));
  });

  test('any bytes come through, wherever the chunks of the stream are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 1500 }),
        fc.integer({ min: 1, max: 2000 }),
        async (value, piece) => {
          const archive = concatBytes([
            rawMember({ name: 'before', content: utf8('b'.repeat(700)) }),
            paxHeader([paxRecord('SCHILY.xattr.user.v', value), paxRecord('path', 'a/é')]),
            rawMember({ name: 'x', content: utf8('y') }),
            END_OF_ARCHIVE,
          ]);
          expect(await xattrOf(archive, 'a/é', piece)).toEqual(
            new Map([['user.v', Buffer.from(value).toString('hex')]]),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  test('libarchive writes URL-encoded names and base64, GNU tar writes %3D for "="', async () => {
    const archive = concatBytes([
      paxHeader([
        paxRecord(
          'LIBARCHIVE.xattr.user.n%C3%A4me',
          Buffer.from(CAPABILITY).toString('base64').replace(/=+$/, ''),
        ),
        paxRecord('SCHILY.xattr.user.a%3Db%25', 'v'),
      ]),
      rawMember({ name: 'f' }),
      END_OF_ARCHIVE,
    ]);
    expect(await xattrOf(archive, 'f')).toEqual(
      new Map([
        ['user.a=b%', '76'],
        ['user.näme', Buffer.from(CAPABILITY).toString('hex')],
      ]),
    );
  });

  test('what real GNU tar stores of a file with xattrs is read back byte for byte', async ({ skip }) => {
    const file = join(work, 'capable');
    await writeFile(file, 'x');
    const set = await execa(
      'python3',
      [
        '-c',
        'import os,sys; os.setxattr(sys.argv[1], "user.odd", bytes.fromhex(sys.argv[2]))',
        file,
        '00ff0a3d80c3',
      ],
      { reject: false },
    );
    if (set.exitCode !== 0) skip('this file system takes no user xattrs, or python3 is not there');
    const tar = await programOutput('tar', ['--xattrs', '--format=posix', '-C', work, '-c', 'capable']);
    expect(await xattrOf(tar, 'capable')).toEqual(new Map([['user.odd', '00ff0a3d80c3']]));
  });
});

describe('owners, modes, names', () => {
  test('what GNU tar writes in each of its formats gives the same tree', async () => {
    const root = join(work, 'formats');
    await mkdir(join(root, 'usr/bin'), { recursive: true });
    await writeFile(join(root, 'usr/bin/su'), 'program');
    await link(join(root, 'usr/bin/su'), join(root, 'usr/bin/su2'));
    await symlink('su', join(root, 'usr/bin/sudo'));
    await mkdir(join(root, 'sticky'));
    await writeFile(join(root, 'größe'), '');
    await writeFile(join(root, 'empty'), '');
    await chmod(join(root, 'sticky'), 0o1777);
    if (process.getuid?.() === 0) await chown(join(root, 'empty'), 33, 44);
    await chmod(join(root, 'usr/bin/su'), 0o4755);
    const trees = [];
    for (const format of ['posix', 'gnu', 'ustar', 'oldgnu']) {
      const args = [`--format=${format}`, '--sort=name', '--numeric-owner', '-C', root, '-c', '.'];
      trees.push(describeTree((await readBytes(await programOutput('tar', args))).tree));
    }
    expect(trees[1]).toEqual(trees[0]);
    expect(trees[2]).toEqual(trees[0]);
    expect(trees[3]).toEqual(trees[0]);
    expect(trees[0]).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^file 104755 .* \/usr\/bin\/su [0-9a-f]{12}$/),
        expect.stringMatching(/^directory 41777 .* \/sticky$/),
        expect.stringMatching(/^symlink 120777 .* \/usr\/bin\/sudo -> su$/),
      ]),
    );
  });

  test('names and links of more than 255 bytes, in the GNU and the pax way', async () => {
    const root = join(work, 'long');
    const deep = Array.from({ length: 6 }, (_, at) => `${'d'.repeat(90)}${at}`).join('/');
    await mkdir(join(root, deep), { recursive: true });
    await writeFile(join(root, deep, 'f'), 'x');
    await symlink(`/${'t'.repeat(300)}`, join(root, 'long-link'));
    for (const format of ['posix', 'gnu']) {
      const tar = await programOutput('tar', [`--format=${format}`, '-C', root, '-c', '.']);
      const { tree } = await readBytes(tar, { piece: 777 });
      expect(lookup(tree, `${deep}/f`)?.kind).toBe('file');
      expect(lookup(tree, 'long-link')).toMatchObject({ target: `/${'t'.repeat(300)}` });
    }
  });

  test('a user id beyond octal fields, in base-256 and as a pax record', async () => {
    const archive = concatBytes([
      rawMember({ name: 'big', uid: 4_000_000_000 }),
      paxHeader([paxRecord('uid', '3999999999'), paxRecord('gid', '2097152')]),
      rawMember({ name: 'pax' }),
      END_OF_ARCHIVE,
    ]);
    const { tree } = await readBytes(archive);
    expect(lookup(tree, 'big')?.stat.uid).toBe(4_000_000_000);
    expect(lookup(tree, 'pax')?.stat).toMatchObject({ uid: 3_999_999_999, gid: 2_097_152 });
  });

  test('a size that only a pax record can tell is taken from there', async () => {
    const content = utf8('0123456789');
    const archive = concatBytes([
      paxHeader([paxRecord('size', '10')]),
      rawMember({ name: 'f', size: 0 }),
      concatBytes([content, new Uint8Array(502)]),
      rawMember({ name: 'next' }),
      END_OF_ARCHIVE,
    ]);
    const { tree } = await readBytes(archive);
    expect(lookup(tree, 'f')).toMatchObject({ content: { size: 10 } });
    expect(lookup(tree, 'next')?.kind).toBe('file');
  });

  test('global pax records hold until replaced, and those of an entry go before them', async () => {
    const archive = concatBytes([
      paxHeader([paxRecord('uid', '7'), paxRecord('comment', 'x')], 'g'),
      rawMember({ name: 'a', uid: 1 }),
      paxHeader([paxRecord('uid', '8')]),
      rawMember({ name: 'b' }),
      rawMember({ name: 'c' }),
      END_OF_ARCHIVE,
    ]);
    const { tree } = await readBytes(archive);
    expect(['a', 'b', 'c'].map((name) => lookup(tree, name)?.stat.uid)).toEqual([7, 8, 7]);
  });

  test('archives of before POSIX, without any magic, are read', async () => {
    const archive = concatBytes([
      rawMember({ name: 'dir/', magic: 'none', flag: '0' }),
      rawMember({ name: 'dir/f', magic: 'none', content: utf8('x') }),
      END_OF_ARCHIVE,
    ]);
    const { tree } = await readBytes(archive);
    expect(lookup(tree, 'dir/f')?.kind).toBe('file');
  });

  test('a content of several chunks has the checksum of the same content in one', async () => {
    const content = new Uint8Array(3 << 20).map((_, at) => at * 7);
    const archive = await makeTar([{ name: 'big', content }]);
    const [whole, pieces] = [await readBytes(archive), await readBytes(archive, { piece: 65_537 })];
    expect(describeTree(pieces.tree)).toEqual(describeTree(whole.tree));
  });
});

describe('the order of entries', () => {
  test('a later entry replaces an earlier one, and a directory may come after what is in it', async () => {
    const { tree } = await readBytes(
      await makeTar([
        { name: 'd/f', content: 'first' },
        { name: 'd', type: 'directory', mode: 0o700, uid: 5 },
        { name: 'd/f', content: 'second!' },
        { name: 'x', type: 'symlink', linkname: 'd' },
        { name: 'x', content: 'now a file' },
      ]),
    );
    expect(lookup(tree, 'd')?.stat).toMatchObject({ mode: 0o40700, uid: 5 });
    expect(lookup(tree, 'd/f')).toMatchObject({ content: { size: 7 } });
    expect(lookup(tree, 'x')?.kind).toBe('file');
  });

  test('hard links share one file, also links to symlinks', async () => {
    const { tree } = await readBytes(
      await makeTar([
        { name: 'a', content: 'x' },
        { name: 'b', type: 'link', linkname: './a' },
        { name: 's', type: 'symlink', linkname: 'a' },
        { name: 's2', type: 'link', linkname: 's' },
      ]),
    );
    expect(lookup(tree, 'b')).toBe(lookup(tree, 'a'));
    expect(lookup(tree, 's2')).toMatchObject({ kind: 'symlink', target: 'a' });
  });

  test('an entry below a symlink lands in the directory the symlink leads to, and never outside the tree', async () => {
    const { tree, diagnostics } = await readBytes(
      await makeTar([
        { name: 'usr/lib', type: 'directory' },
        { name: 'lib', type: 'symlink', linkname: 'usr/lib' },
        { name: 'lib/x', content: 'x' },
        { name: 'up', type: 'symlink', linkname: '../../../../usr' },
        { name: 'up/y', content: 'y' },
        { name: 'lib/again', type: 'link', linkname: 'lib/x' },
      ]),
    );
    expect(lookup(tree, 'usr/lib/x')?.kind).toBe('file');
    expect(lookup(tree, 'usr/y')?.kind).toBe('file');
    expect(lookup(tree, 'usr/lib/again')).toBe(lookup(tree, 'usr/lib/x'));
    expect(diagnostics).toContainEqual(expect.objectContaining({ code: 'input/through-symlink' }));
  });
});

describe('what is refused', () => {
  const refused = async (archive: Uint8Array, code: string, message: RegExp): Promise<void> => {
    await expect(readBytes(archive)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
  };
  const raw = (...members: RawMember[]): Uint8Array =>
    concatBytes([...members.map((member) => rawMember(member)), END_OF_ARCHIVE]);

  test.each([
    ['..', '../etc/passwd'],
    ['.. inside', 'usr/../../etc/passwd'],
  ])('names with %s', async (_, name) => {
    await refused(raw({ name }), 'input/bad-path', /^test\.tar: .*directory reference/);
  });

  test('a size below zero, which base-256 fields can hold, and one no archive can have', async () => {
    for (const field of [
      [255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255],
      [0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255],
    ]) {
      const block = rawMember({ name: 'usr/x' });
      block.set(field, 124);
      block.fill(0x20, 148, 156);
      const sum = block.reduce((total, byte) => total + byte, 0);
      block.set(utf8(sum.toString(8).padStart(7, '0')), 148);
      await refused(
        concatBytes([block, END_OF_ARCHIVE]),
        'input/bad-archive',
        /"usr\/x" has a size that no file can have/,
      );
    }
  });

  test('absolute names are taken relative to the root, with a note', async () => {
    const { tree, diagnostics } = await readBytes(raw({ name: '/etc/passwd' }));
    expect(lookup(tree, 'etc/passwd')?.kind).toBe('file');
    expect(diagnostics).toContainEqual(
      expect.objectContaining({ code: 'input/absolute-names', severity: 'note' }),
    );
  });

  test('names that are not UTF-8, short and in pax records', async () => {
    await refused(raw({ name: Uint8Array.from([0x61, 0xe9]) }), 'input/bad-path', /not valid UTF-8/);
    await refused(
      concatBytes([
        paxHeader([paxRecord('path', Uint8Array.from([0x61, 0xff]))]),
        rawMember({ name: 'x' }),
        END_OF_ARCHIVE,
      ]),
      'input/bad-path',
      /not valid UTF-8/,
    );
  });

  test('hard links to nothing, to a directory, to each other', async () => {
    await refused(raw({ name: 'a', flag: '1', linkname: 'b' }), 'input/bad-archive', /hard link to "b"/);
    await refused(
      raw({ name: 'd', flag: '5' }, { name: 'a', flag: '1', linkname: 'd' }),
      'input/bad-archive',
      /is a directory/,
    );
    await refused(
      raw({ name: 'a', flag: '1', linkname: 'b' }, { name: 'b', flag: '1', linkname: 'a' }),
      'input/bad-archive',
      /hard link/,
    );
    await refused(raw({ name: 'a', flag: '1', linkname: 'a' }), 'input/bad-archive', /hard link/);
  });

  test('an entry below a file, below a dangling link, below a loop of links', async () => {
    await refused(raw({ name: 'f' }, { name: 'f/x' }), 'input/bad-archive', /which is a file/);
    await refused(
      raw({ name: 'l', flag: '2', linkname: 'gone' }, { name: 'l/x' }),
      'input/bad-archive',
      /leads to no directory/,
    );
    await refused(
      raw({ name: 'l', flag: '2', linkname: 'm' }, { name: 'm', flag: '2', linkname: 'l' }, { name: 'l/x' }),
      'input/bad-archive',
      /leads to no directory/,
    );
  });

  test('a file in place of a directory that has content', async () => {
    await refused(raw({ name: 'd/x' }, { name: 'd' }), 'input/bad-archive', /directory with content/);
  });

  test('GNU sparse files, old and pax', async () => {
    await refused(raw({ name: 's', flag: 'S', magic: 'gnu' }), 'input/bad-archive', /sparse/);
    const file = join(work, 'sparse');
    await execa('truncate', ['-s', '1M', file]);
    for (const format of ['gnu', 'posix']) {
      const tar = await programOutput('tar', ['-S', `--format=${format}`, '-C', work, '-c', 'sparse']);
      await refused(tar, 'input/bad-archive', /sparse/);
    }
  });

  test('multi-volume and other odd entries', async () => {
    await refused(raw({ name: 'v', flag: 'V', magic: 'gnu' }), 'input/bad-archive', /entry type "V"/);
  });

  test('an archive cut off anywhere', async () => {
    const whole = await makeTar([
      { name: 'a', content: 'x'.repeat(2000) },
      { name: 'b', content: 'y' },
    ]);
    // 512 header, 2048 content, 512 header, 512 content, 1024 end.
    for (const length of [0, 100, 512, 1000, 2559, 2560, 2600, 3072, 3500, 3584]) {
      await refused(whole.slice(0, length), 'input/bad-archive', /not a complete tar archive/);
    }
    await expect(readBytes(whole)).resolves.toBeDefined();
  });

  test('bytes that are no archive, and a damaged header', async () => {
    await refused(new Uint8Array(4096).fill(65), 'input/bad-archive', /not a complete tar archive/);
    const damaged = await makeTar([{ name: 'a' }]);
    damaged[3] = 0x41;
    await refused(damaged, 'input/bad-archive', /not a complete tar archive/);
  });

  test('damaged pax records', async () => {
    const header = (text: string): Uint8Array =>
      concatBytes([
        rawMember({ name: 'p', flag: 'x', content: utf8(text) }),
        rawMember({ name: 'x' }),
        END_OF_ARCHIVE,
      ]);
    for (const text of ['999 path=a\n', '3 a\n', 'xx path=a\n', '9 path=aa\n', '7 path\n']) {
      await refused(header(text), 'input/bad-archive', /pax header is damaged/);
    }
  });

  test('any damage of one byte gives an archive or a coded error, and never hangs', async () => {
    const whole = await makeTar([
      { name: 'd', type: 'directory' },
      { name: 'd/a', content: 'x'.repeat(600) },
      { name: 'd/ü', type: 'symlink', linkname: 'a' },
    ]);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const damaged = Uint8Array.from(whole);
        damaged[at] = (damaged[at] ?? 0) ^ change;
        await readBytes(damaged).catch((error: unknown) => {
          expect(error).toHaveProperty('code', expect.stringMatching(/^input\//));
        });
      }),
      { numRuns: 300 },
    );
  });
});

describe('what is left out', () => {
  test('devices, FIFOs and hard links to them are counted in one warning', async () => {
    const { tree, diagnostics } = await readBytes(
      await makeTar([
        { name: 'dev/null', type: 'character-device' },
        { name: 'dev/sda', type: 'block-device' },
        { name: 'pipe', type: 'fifo' },
        { name: 'pipe2', type: 'link', linkname: 'pipe' },
        { name: 'file' },
      ]),
    );
    expect(lookup(tree, 'pipe')).toBeUndefined();
    expect(lookup(tree, 'pipe2')).toBeUndefined();
    expect(diagnostics).toEqual([
      expect.objectContaining({
        severity: 'warning',
        code: 'input/special-files',
        message: expect.stringMatching(/^4 .*\/dev\/null \(character device\)/) as string,
      }),
    ]);
  });

  test('content of mount points is dropped, but for the layout none', async () => {
    const archive = await makeTar([
      { name: 'tmp', type: 'directory', mode: 0o1777 },
      { name: 'tmp/x', content: 'x' },
      { name: 'usr/tmp/y', content: 'y' },
    ]);
    const { tree } = await readBytes(archive, { layout: 'ostree' });
    expect(lookup(tree, 'tmp')?.stat.mode).toBe(0o41777);
    expect(lookup(tree, 'tmp/x')).toBeUndefined();
    expect(lookup(tree, 'usr/tmp/y')).toBeDefined();
    expect(lookup((await readBytes(archive)).tree, 'tmp/x')).toBeDefined();
  });

  test('ACLs in text form are left out with a warning', async () => {
    const { diagnostics } = await readBytes(
      concatBytes([
        paxHeader([paxRecord('SCHILY.acl.access', 'user::rw-')]),
        rawMember({ name: 'f' }),
        END_OF_ARCHIVE,
      ]),
    );
    expect(diagnostics).toContainEqual(expect.objectContaining({ code: 'input/acl', severity: 'warning' }));
  });

  test('owners become root’s when asked for', async () => {
    const { tree } = await readBytes(await makeTar([{ name: 'f', uid: 1000, gid: 1000 }]), { owner: 'root' });
    expect(lookup(tree, 'f')?.stat).toMatchObject({ uid: 0, gid: 0 });
  });
});

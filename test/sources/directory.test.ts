import { execa, execaSync } from 'execa';
import { chmod, chown, link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { noEvents } from '../../src/core/events.ts';
import { createFactsCollector } from '../../src/sources/facts-collector.ts';
import { hashingSink } from '../../src/sources/hashing-sink.ts';
import type { ReadDirectoryOptions } from '../../src/sources/read-directory.ts';
import { readDirectory } from '../../src/sources/read-directory.ts';
import type { RawTree } from '../../src/sources/read-tar.ts';
import type { ContentSink } from '../../src/tree/types.ts';
import { lookup } from '../../src/tree/walk.ts';
import { describeReference, referenceTool, runTool } from '../reference/tools.ts';
import { describeTree } from './archives.ts';

let work: string;
let root: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'tw-directory-'));
});
afterAll(async () => {
  await rm(work, { recursive: true });
});

const has = (program: string): boolean =>
  execaSync('sh', ['-c', `command -v ${program}`], { reject: false }).exitCode === 0;
const gnuTar = has('tar');
const asRoot = process.getuid?.() === 0;

beforeEach(async () => {
  root = await mkdtemp(join(work, 'root-'));
  await chmod(root, 0o755);
  await mkdir(join(root, 'usr/bin'), { recursive: true });
  await mkdir(join(root, 'sticky'));
  await chmod(join(root, 'sticky'), 0o3777);
  await writeFile(join(root, 'usr/bin/su'), 'program');
  await chmod(join(root, 'usr/bin/su'), 0o4755);
  await link(join(root, 'usr/bin/su'), join(root, 'hard'));
  await symlink('usr/bin/su', join(root, 'soft'));
  await writeFile(join(root, 'gr\u00f6\u00dfe \n\\012'), 'odd name');
  await writeFile(join(root, 'large'), new Uint8Array(2_500_000).fill(7));
  await mkdir(join(root, 'tmp'));
  await writeFile(join(root, 'tmp/x'), 'x');
  if (asRoot) await chown(join(root, 'large'), 33, 44);
});

async function read(reader: 'tar' | 'walk', options: Partial<ReadDirectoryOptions> = {}): Promise<RawTree> {
  return readDirectory(root, hashingSink(), {
    label: root,
    layout: 'none',
    owner: 'as-is',
    facts: createFactsCollector(),
    events: noEvents,
    reader,
    ...options,
  });
}

describe.each(['tar', 'walk'] as const)('read by %s', (reader) => {
  test.skipIf(reader === 'tar' && !gnuTar)('names, modes, owners, hard links and symlinks', async () => {
    const { tree } = await read(reader);
    const uid = process.getuid?.() ?? 0;
    expect(lookup(tree, 'sticky')?.stat).toMatchObject({ mode: 0o43777, uid });
    expect(lookup(tree, 'hard')).toBe(lookup(tree, 'usr/bin/su'));
    expect(lookup(tree, 'hard')?.stat.mode).toBe(0o104755);
    expect(lookup(tree, 'soft')).toMatchObject({ target: 'usr/bin/su', stat: { mode: 0o120777 } });
    expect(lookup(tree, 'gr\u00f6\u00dfe \n\\012')).toMatchObject({ content: { size: 8 } });
    expect(lookup(tree, 'large')).toMatchObject({
      content: { size: 2_500_000 },
      stat: { uid: asRoot ? 33 : uid },
    });
    expect(lookup(tree, 'tmp/x')?.kind).toBe('file');
    expect(tree.root.stat.mode).toBe(0o40755);
  });

  test.skipIf(reader === 'tar' && !gnuTar)(
    'content of mount points is dropped and owners are set when asked',
    async () => {
      const { tree } = await read(reader, { layout: 'ostree', owner: 'root' });
      expect(lookup(tree, 'tmp')).toHaveProperty('entries.size', 0);
      expect(lookup(tree, 'large')?.stat).toMatchObject({ uid: 0, gid: 0 });
    },
  );

  test.skipIf(reader === 'tar' && !gnuTar)('sockets and FIFOs are told and left out', async () => {
    const server = createServer().listen(join(root, 'socket'));
    await execa('mkfifo', [join(root, 'pipe')]);
    const { tree, diagnostics } = await read(reader);
    server.close();
    expect(lookup(tree, 'socket')).toBeUndefined();
    const text = diagnostics
      .filter(({ code }) => code === 'input/special-files')
      .map(({ message }) => message)
      .join();
    expect(text).toMatch(/\/socket/);
    expect(text).toMatch(/\/pipe/);
  });

  test.skipIf(reader === 'tar' && !gnuTar)('a name that is not UTF-8 is refused', async () => {
    await writeFile(Buffer.concat([Buffer.from(`${root}/bad`), Buffer.from([0xe9])]), '');
    await expect(read(reader)).rejects.toMatchObject({ code: 'input/bad-path' });
  });
});

describeReference('xattrs', ['getfattr', 'setfattr'], () => {
  const path = process.env['PATH'];
  // The reader takes getfattr from PATH, where this machine may have none.
  beforeAll(() => {
    process.env['PATH'] = `${dirname(referenceTool('getfattr'))}:${path ?? ''}`;
  });
  afterAll(() => {
    process.env['PATH'] = path;
  });
  const setXattr = async (file: string, name: string, value: string): Promise<boolean> =>
    (await runTool('setfattr', ['-n', name, '-v', value, join(root, file)], { reject: false })).exitCode ===
    0;

  test.each(['tar', 'walk'] as const)(
    'binary ones of files, links of files and directories, read by %s',
    async (reader) => {
      expect(
        await setXattr('usr/bin/su', 'user.odd=', '0x00ff0a3d80c30a'),
        'the file system takes user xattrs',
      ).toBe(true);
      expect(await setXattr('sticky', 'user.empty', '')).toBe(true);
      if (asRoot)
        await setXattr('large', 'security.capability', '0x0100000200040000000000000000000000000000');
      const { tree } = await read(reader);
      expect(lookup(tree, 'hard')?.stat.xattrs).toEqual([
        { name: 'user.odd=', value: Uint8Array.from([0, 0xff, 0x0a, 0x3d, 0x80, 0xc3, 0x0a]) },
      ]);
      // libostree does not see an xattr without a value when it reads a directory.
      expect(lookup(tree, 'sticky')?.stat.xattrs).toEqual([]);
      if (asRoot) expect(lookup(tree, 'large')?.stat.xattrs[0]?.name).toBe('security.capability');
    },
  );
});

test.skipIf(!gnuTar)('both readers see the same tree', async () => {
  expect(describeTree((await read('walk')).tree)).toEqual(describeTree((await read('tar')).tree));
});

test('walking without getfattr says that xattrs are missing', async () => {
  const path = process.env['PATH'];
  process.env['PATH'] = '/nonexistent';
  const { diagnostics } = await read('walk').finally(() => (process.env['PATH'] = path));
  expect(diagnostics).toContainEqual(
    expect.objectContaining({ code: 'input/no-xattrs', severity: 'warning' }),
  );
});

test('a file that changes while it is walked is an error, not a file nobody ever had', async () => {
  const sink: ContentSink = {
    put: async (stat, size, content) => {
      if (!(content instanceof Uint8Array)) {
        for await (const chunk of content)
          if (chunk.length > 0) await writeFile(join(root, 'large'), 'short now');
      }
      return hashingSink().put(stat, size, new Uint8Array(size));
    },
  };
  const reading = readDirectory(root, sink, {
    label: root,
    layout: 'none',
    owner: 'as-is',
    facts: createFactsCollector(),
    events: noEvents,
    reader: 'walk',
  });
  await expect(reading).rejects.toMatchObject({ code: 'input/changed-while-read' });
});

test('a path that is not there, or is a file', async () => {
  root = join(root, 'nowhere');
  await expect(read('walk')).rejects.toMatchObject({ code: 'input/unreadable' });
  root = join(root, '..', 'large');
  await expect(read('walk')).rejects.toMatchObject({ code: 'input/not-a-directory' });
});

/** The demo's build output: one tar with the owners a device needs, made by whoever runs it. */
import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Header } from 'tar-stream';
import { extract } from 'tar-stream';
import { addSmallCalculator, buildSmallImages } from '../../examples/demo/rootfs.ts';
import { addArchive, createTreeTar } from '../../examples/demo/tree-tar.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tw-demo-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function entriesOf(file: string): Promise<Map<string, Header>> {
  const entries = new Map<string, Header>();
  const archive = extract();
  createReadStream(file).pipe(archive);
  for await (const entry of archive) {
    expect(entries.has(entry.header.name), `${entry.header.name} comes twice`).toBe(false);
    const parent = entry.header.name.split('/').slice(0, -1).join('/');
    if (parent !== '')
      expect(entries.get(parent)?.type, `${entry.header.name} before its parent`).toBe('directory');
    entries.set(entry.header.name, entry.header);
    entry.resume();
  }
  return entries;
}

test('the described root filesystem: owners, modes and links are those of the description, twice the same bytes', async () => {
  const [images, again] = [join(directory, 'images'), join(directory, 'again')];
  const { entries: count } = await buildSmallImages(images);
  await buildSmallImages(again);
  const bytes = await readFile(join(images, 'rootfs.tar'));
  expect(bytes.equals(await readFile(join(again, 'rootfs.tar')))).toBe(true);
  const entries = await entriesOf(join(images, 'rootfs.tar'));
  expect(entries.size).toBe(count);
  expect(entries.get('etc/inittab')).toMatchObject({ type: 'file', uid: 0, gid: 0, mode: 0o644 });
  expect(entries.get('home/gateway')).toMatchObject({ type: 'directory', uid: 1000, gid: 1000, mode: 0o750 });
  expect(entries.get('tmp')).toMatchObject({ type: 'directory', mode: 0o1777 });
  expect(entries.get('etc/os-release')).toMatchObject({ type: 'symlink', linkname: '../usr/lib/os-release' });
  expect((await readFile(join(images, 'Image'))).toString('latin1', 56, 60)).toBe('ARM\x64');
});

test('the second release holds what the first one holds, and bc', async () => {
  const images = join(directory, 'second');
  await buildSmallImages(images);
  const before = await entriesOf(join(images, 'rootfs.tar'));
  await addSmallCalculator(images);
  const after = await entriesOf(join(images, 'rootfs.tar'));
  expect([...after.keys()].filter((path) => !before.has(path))).toEqual(['usr/bin/bc']);
});

test('what was added first stays', async () => {
  const file = join(directory, 'first.tar');
  const first = createTreeTar(file);
  await first.file('a/b', Buffer.from('one'), { mode: 0o600 });
  await first.finish();
  const second = createTreeTar(join(directory, 'second.tar'));
  await second.file('a/b', Buffer.from('another'));
  await addArchive(second, file);
  expect(await second.finish()).toBe(2);
  expect((await entriesOf(join(directory, 'second.tar'))).get('a/b')?.size).toBe(7);
});

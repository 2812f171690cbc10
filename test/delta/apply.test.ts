import { createHash } from 'node:crypto';
import {
  appendFile,
  cp,
  mkdtemp,
  readFile,
  readdir,
  rm,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Checksum } from '../../src/core/checksum.ts';
import { noEvents } from '../../src/core/events.ts';
import type { AppliedDelta } from '../../src/delta/apply.ts';
import { applyDelta } from '../../src/delta/apply.ts';
import type { DeltaInfo, GenerateDelta } from '../../src/delta/generate.ts';
import { generateDelta } from '../../src/delta/generate.ts';
import { deltaAt, openDelta } from '../../src/delta/read.ts';
import { decodeSuperblock, encodeSuperblock } from '../../src/formats/ostree-delta.ts';
import { vardict } from '../../src/formats/gvariant.ts';
import { openStore } from '../../src/platform/store.ts';
import type { WorkerPool } from '../../src/platform/workers.ts';
import { createWorkerPool } from '../../src/platform/workers.ts';
import { commitMetaPath, objectPath } from '../../src/repo/paths.ts';
import { partialMarkerPath } from '../../src/repo/partial.ts';
import { listObjects, readContent, readDirMeta } from '../../src/repo/read.ts';
import { programBytes } from '../support/small-rootfs.ts';
import type { RandomEntry } from '../support/random-tree.ts';
import { commitEntries } from './native.ts';
import { noise } from './pair.ts';

let scratch: string;
let pool: WorkerPool;
/** Has both commits. */
let repo: string;
/** Has the older one. */
let client: string;
let from: Checksum;
let to: Checksum;

const file = (path: string, content: Buffer | string): RandomEntry => ({
  path,
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  xattrs: {},
  content: Buffer.from(content),
});
const link: RandomEntry = {
  path: 'link',
  type: 'symlink',
  mode: 0o777,
  uid: 0,
  gid: 0,
  xattrs: {},
  linkname: 'x',
};

const text = Array.from({ length: 300 }, (_, i) => `line ${i * 7919}`);
const program = programBytes(1, 60_000);
const patchedProgram = Buffer.from(program.map((byte, i) => (i % 61 === 7 ? byte + 1 : byte)));
const OLD = [file('text', text.join('\n')), file('program', program), file('gone', 'gone')];
const NEW = [
  file('text', text.with(150, 'another').join('\n')),
  file('program', patchedProgram),
  file('noise', noise(5, 40_000)),
  link,
];

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-apply-'));
  repo = join(scratch, 'repo');
  client = join(scratch, 'client');
  pool = createWorkerPool(1);
  from = await commitEntries(repo, pool, OLD);
  await appendFile(join(repo, 'config'), 'fsync=false\n');
  await cp(repo, client, { recursive: true });
  to = await commitEntries(repo, pool, NEW, 1_700_000_100);
  await writeFile(
    join(repo, commitMetaPath(to)),
    vardict.encode([['note', { signature: 's', value: 'detached' }]]),
  );
});
afterAll(async () => {
  await pool.close();
  await rm(scratch, { recursive: true, force: true });
});

let count = 0;
async function freshClient(): Promise<string> {
  const path = join(scratch, `client-${count++}`);
  await cp(client, path, { recursive: true });
  return path;
}

async function makeDelta(options: Partial<GenerateDelta> = {}): Promise<string> {
  const output = join(scratch, `delta-${count++}`);
  await generateDelta({ repo, from, to, pool, output, ...options });
  return output;
}

const apply = async (where: string, delta: string): Promise<AppliedDelta> =>
  applyDelta({ repo: where, delta: await openDelta(await deltaAt(delta)), pool, events: noEvents });

/** Reads every object of the new commit, which verifies it. */
async function expectWhole(where: string): Promise<void> {
  const store = openStore(where);
  const { files, dirmetas } = await listObjects(store, to);
  for (const checksum of dirmetas) await readDirMeta(store, checksum);
  for (const checksum of files.keys()) {
    for await (const chunk of (await readContent(store, checksum)).chunks) expect(chunk).toBeDefined();
  }
  expect(await readFile(join(where, commitMetaPath(to)))).toEqual(
    await readFile(join(repo, commitMetaPath(to))),
  );
}

/** Every file of a repository with its content. */
async function snapshot(where: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(where, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    found[path.slice(where.length)] = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
  }
  return found;
}

async function expectRefused(delta: string, message: RegExp, code = 'trust/corrupt-delta'): Promise<void> {
  const where = await freshClient();
  const before = await snapshot(where);
  const refusal = await apply(where, delta).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(refusal).toMatchObject({
    name: 'TreewrightError',
    code,
    message: expect.stringMatching(message) as string,
  });
  expect(await snapshot(where)).toEqual(before);
}

describe('applying a delta', () => {
  test.each<[string, Partial<GenerateDelta>]>([
    ['as it is made', {}],
    ['in one file', { inlineParts: true }],
    ['in big-endian order', { byteOrder: 'big' }],
    ['in small parts', { maxPartSize: 1000 }],
    ['without patches', { maxPatchSize: 0 }],
  ])('%s gives the commit with its detached metadata', async (_, options) => {
    const where = await freshClient();
    const delta = await makeDelta(options);
    const result = await apply(where, delta);
    expect(result).toMatchObject({ from, to, present: false, parts: { skipped: 0 } });
    await expectWhole(where);
    expect(await readdir(join(where, 'tmp'))).toEqual([]);
    const again = await apply(where, delta);
    expect(again).toMatchObject({ present: true, objects: { written: 0 } });
  });

  test('from nothing needs nothing', async () => {
    const output = join(scratch, 'from-nothing');
    await generateDelta({ repo, to, pool, output });
    const where = join(scratch, 'empty');
    await commitEntries(where, pool, [file('other', 'other')]);
    await apply(where, output);
    await expectWhole(where);
  });

  test('finishes what an earlier run or a broken pull left', async () => {
    const where = await freshClient();
    const delta = await makeDelta({ maxPartSize: 1000 });
    // As after a kill between renames: some objects are visible, the commit is not.
    const { files } = await listObjects(openStore(repo), to);
    for (const checksum of [...files.keys()].slice(0, 2)) {
      await cp(join(repo, objectPath(checksum, 'file')), join(where, objectPath(checksum, 'file')));
    }
    const { parts } = await apply(where, delta);
    expect(parts.skipped).toBeGreaterThan(0);
    await expectWhole(where);

    // As after a pull that was cut: the commit is there, but marked.
    const partial = await freshClient();
    await cp(join(repo, objectPath(to, 'commit')), join(partial, objectPath(to, 'commit')));
    await writeFile(join(partial, partialMarkerPath(to)), '');
    expect((await apply(partial, delta)).present).toBe(false);
    await expectWhole(partial);
    expect(await readdir(join(partial, 'state'))).toEqual([]);
  });

  test('takes fallbacks that are there', async () => {
    const delta = await makeDelta({ minFallbackSize: 30_000 });
    await expectRefused(delta, /lacks 1 of them/, 'input/missing-fallback');
    const where = await freshClient();
    const { fallbacks } = (await openDelta(await deltaAt(delta))).superblock;
    for (const { checksum } of fallbacks) {
      await cp(join(repo, objectPath(checksum, 'file')), join(where, objectPath(checksum, 'file')));
    }
    await apply(where, delta);
    await expectWhole(where);
  });
});

describe('nothing becomes visible when', () => {
  let delta: string;
  beforeAll(async () => {
    delta = await makeDelta();
  });
  async function damaged(change: (directory: string) => Promise<void>): Promise<string> {
    const path = join(scratch, `damaged-${count++}`);
    await cp(delta, path, { recursive: true });
    await change(path);
    return path;
  }
  const superblockWith = (change: (bytes: Uint8Array) => Uint8Array) => async (directory: string) => {
    const path = join(directory, 'superblock');
    await writeFile(path, change(await readFile(path)));
  };

  test('a part is missing, cut or changed', async () => {
    await expectRefused(await damaged((path) => unlink(join(path, '0'))), /part 0 is missing/);
    await expectRefused(await damaged((path) => truncate(join(path, '0'), 100)), /part 0 has 100 bytes/);
    const changed = await damaged(async (path) => {
      const bytes = await readFile(join(path, '1'));
      bytes[50] = (bytes[50] ?? 0) ^ 1;
      await writeFile(join(path, '1'), bytes);
    });
    await expectRefused(changed, /part 1 has/);
  });

  test('the superblock is missing, cut, or belongs to another commit', async () => {
    await expectRefused(
      await damaged((path) => unlink(join(path, 'superblock'))),
      /is missing/,
      'trust/missing-delta',
    );
    await expectRefused(await damaged(superblockWith((bytes) => bytes.subarray(0, -3))), /superblock/);
    const foreign = superblockWith((bytes) => encodeSuperblock({ ...decodeSuperblock(bytes), to: from }));
    await expectRefused(await damaged(foreign), /commit in its superblock is another/);
    await expectRefused(join(scratch, 'no-such-delta'), /does not exist/, 'input/no-delta');
  });

  test('a part decompresses too far, or to other objects than its commit needs', async () => {
    const tooFar = superblockWith((bytes) => {
      const superblock = decodeSuperblock(bytes);
      return encodeSuperblock({
        ...superblock,
        parts: superblock.parts.map((part) => ({ ...part, uncompressedSize: 10 })),
      });
    });
    await expectRefused(await damaged(tooFar), /makes more than the 10 bytes/);
    const fewer = superblockWith((bytes) => {
      const superblock = decodeSuperblock(bytes);
      return encodeSuperblock({ ...superblock, parts: superblock.parts.slice(0, -1) });
    });
    await expectRefused(await damaged(fewer), /lacks the file object/);

    const other = join(scratch, 'other');
    await cp(repo, other, { recursive: true });
    const more = await commitEntries(other, pool, [...NEW, file('more', 'more')], 1_700_000_200);
    const large = join(scratch, 'large');
    await generateDelta({ repo: other, from, to: more, pool, output: large });
    // The parts of a delta with one object more, under the superblock of this commit.
    const { parts } = decodeSuperblock(await readFile(join(large, 'superblock')));
    const mixed = await damaged(async (path) => {
      const bytes = await readFile(join(path, 'superblock'));
      await cp(large, path, { recursive: true });
      await writeFile(join(path, 'superblock'), encodeSuperblock({ ...decodeSuperblock(bytes), parts }));
    });
    await expectRefused(mixed, /which is not needed|everything that its commit needs/);
  });

  test('the repository lacks the older commit, or has it in part', async () => {
    const where = join(scratch, 'stranger');
    await commitEntries(where, pool, [file('other', 'other')]);
    await expect(apply(where, delta)).rejects.toMatchObject({ code: 'input/missing-commit' });
    const partial = await freshClient();
    await writeFile(join(partial, partialMarkerPath(from)), '');
    await expect(apply(partial, delta)).rejects.toMatchObject({ code: 'input/partial-commit' });
  });
});

test('the options of the generator: what is told is what is written, and the same again gives the same', async () => {
  const one = async (
    options: Partial<GenerateDelta>,
  ): Promise<{ info: DeltaInfo; output: string; bytes: Buffer }> => {
    const output = join(scratch, `delta-${count++}`);
    const info = await generateDelta({ repo, from, to, pool, output, ...options });
    return { info, output, bytes: await readFile(options.inlineParts ? output : join(output, 'superblock')) };
  };
  const plain = await one({});
  expect(plain.info.forms).toMatchObject({
    metadata: { objects: 1 },
    symlink: { objects: 1, size: 1, payload: 1 },
    raw: { objects: 1, size: 40_000, payload: 40_000 },
    patch: { objects: 1, size: 60_000 },
    splice: { objects: 1 },
    fallback: { objects: 0, size: 0, payload: 0 },
  });
  expect((await one({})).bytes).toEqual(plain.bytes);

  const fallback = await one({ minFallbackSize: 39_999 });
  expect(fallback.info.forms).toMatchObject({ raw: { objects: 0 }, fallback: { objects: 1, size: 40_000 } });
  expect(fallback.info.fallbacks).toMatchObject([{ uncompressed: 40_000 }]);
  const left = fallback.info.fallbacks[0];
  if (left === undefined) throw new Error('no fallback');
  expect((await readFile(join(repo, objectPath(left.checksum, 'file')))).length).toBe(left.size);
  expect(fallback.info.bytes).toBe(
    fallback.info.superblock.size + left.size + fallback.info.parts.reduce((sum, part) => sum + part.size, 0),
  );
  expect((await one({ minFallbackSize: 40_000 })).info.fallbacks).toEqual([]);

  const inline = await one({ inlineParts: true, maxPartSize: 1000 });
  expect(inline.info).toMatchObject({ inline: true, bytes: inline.bytes.length });
  expect(inline.info.parts.length).toBeGreaterThan(1);
  expect((await one({ inlineParts: true, maxPartSize: 1000 })).bytes).toEqual(inline.bytes);

  // Kept when it is asked for again in the same way, made anew in another one.
  const again = (options: Partial<GenerateDelta>, output: string): Promise<DeltaInfo> =>
    generateDelta({ repo, from, to, pool, output, ...options });
  expect(await again({ inlineParts: true, maxPartSize: 1000 }, inline.output)).toEqual({
    ...inline.info,
    reused: true,
  });
  expect((await again({ inlineParts: true }, inline.output)).reused).toBe(false);
  expect(await again({ minFallbackSize: 39_999 }, fallback.output)).toEqual({
    ...fallback.info,
    reused: true,
  });
  expect((await again({}, fallback.output)).reused).toBe(false);
  // Byte order and metadata concern the superblock alone.
  const big = await again(
    { byteOrder: 'big', metadata: [['a', { signature: 's', value: 'b' }]] },
    plain.output,
  );
  expect(big).toMatchObject({ reused: true, byteOrder: 'big', parts: plain.info.parts });
  const superblock = decodeSuperblock(await readFile(join(plain.output, 'superblock')));
  expect(superblock).toMatchObject({ byteOrder: 'big' });
  expect(superblock.metadata[0]).toEqual(['a', { signature: 's', value: 'b' }]);

  for (const key of ['ostree.endianness', 'treewright.encoding', 'deltas/x']) {
    await expect(one({ metadata: [[key, { signature: 's', value: '' }]] })).rejects.toMatchObject({
      code: 'usage/bad-metadata',
    });
  }
  await expect(one({ inlineParts: true, output: scratch })).rejects.toMatchObject({
    code: 'usage/output-exists',
  });
  await expect(one({ output: repo })).rejects.toMatchObject({ code: 'usage/output-exists' });
  expect((await readdir(scratch)).filter((name) => name.startsWith('.'))).toEqual([]);
});

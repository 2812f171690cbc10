import { randomBytes } from 'node:crypto';
import { cp, readFile, readdir, rm, stat, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Checksum } from '../../src/core/checksum.ts';
import type { ExplainedObject } from '../../src/delta/explain.ts';
import { explainParts } from '../../src/delta/explain.ts';
import type { DeltaInfo } from '../../src/delta/generate.ts';
import { generateDelta } from '../../src/delta/generate.ts';
import { deltaDigests, listDeltas, writeDeltaIndexes } from '../../src/delta/list.ts';
import { deltaInRepository, openDelta } from '../../src/delta/read.ts';
import { verifyDelta } from '../../src/delta/verify.ts';
import {
  decodeDeltaIndex,
  deltaIndexPath,
  deltaPartPath,
  superblockPath,
} from '../../src/formats/ostree-delta-index.ts';
import { decodeSuperblock } from '../../src/formats/ostree-delta.ts';
import type { DeltaOperation } from '../../src/formats/ostree-delta-part.ts';
import { decodeOperations, partLayout, partTailLength } from '../../src/formats/ostree-delta-part.ts';
import { vardict } from '../../src/formats/gvariant.ts';
import { filterBytes } from '../../src/platform/processes.ts';
import { judgeLarge } from '../../src/delta/large-task.ts';
import { openStore } from '../../src/platform/store.ts';
import { createWorkerPool } from '../../src/platform/workers.ts';
import { commitMetaPath, objectPath } from '../../src/repo/paths.ts';
import { listObjects, lookupPath } from '../../src/repo/read.ts';
import { programBytes } from '../support/small-rootfs.ts';
import { commitEntries, commitPair } from './native.ts';
import { NEW } from './pair.ts';

const { scratch, repo, pool, from, to } = await commitPair();

async function copyOf(name: string): Promise<string> {
  const path = join(scratch, name);
  await cp(repo, path, { recursive: true });
  await rm(join(path, 'deltas'), { recursive: true, force: true });
  return path;
}

/** All operations of a delta, part by part. */
async function operationsOf(where: string, info: DeltaInfo): Promise<DeltaOperation[]> {
  const { parts } = decodeSuperblock(await readFile(join(where, superblockPath(info))));
  const all: DeltaOperation[] = [];
  for (const [i, { objects }] of parts.entries()) {
    const file = await readFile(join(where, deltaPartPath(info, i)));
    const part = await filterBytes('xz', ['-dc'], file.subarray(1));
    const { operations } = partLayout(part.length, part.subarray(part.length - partTailLength(part.length)));
    all.push(...decodeOperations(part.subarray(operations.start, operations.end), (n) => objects[n]?.type));
  }
  return all;
}

describe('generateDelta', () => {
  test('makes a delta that rebuilds the commit, in every way of saying an object, and counts its bytes', async () => {
    const info = await generateDelta({ repo, from, to, pool });
    await verifyDelta(openStore(repo), { from, to, superblock: info.superblock.sha256 });

    const names = (await operationsOf(repo, info)).map(({ op }) => op);
    expect(new Set(names)).toEqual(
      new Set([
        'splice-metadata',
        'splice-content',
        'open',
        'set-source',
        'unset-source',
        'write',
        'bspatch',
        'close',
      ]),
    );

    const files = await readdir(join(repo, info.path));
    let bytes = 0;
    for (const name of files) bytes += (await stat(join(repo, info.path, name))).size;
    expect(info.bytes).toBe(bytes);
    expect(files.length).toBe(info.parts.length + 1);
    expect(info.fallbacks).toEqual([]);

    // What a pull without it fetches, counted anew from the two lists of objects.
    const store = openStore(repo);
    const [old, fresh] = [await listObjects(store, from), await listObjects(store, to)];
    let loose = (await stat(join(repo, objectPath(to, 'commit')))).size;
    const add = async (
      type: 'file' | 'dirtree' | 'dirmeta',
      checksums: Iterable<Checksum>,
      has: (c: Checksum) => boolean,
    ) => {
      for (const checksum of checksums) {
        if (!has(checksum)) loose += (await stat(join(repo, objectPath(checksum, type)))).size;
      }
    };
    await add('file', fresh.files.keys(), (c) => old.files.has(c));
    await add('dirtree', fresh.dirtrees, (c) => old.dirtrees.has(c));
    await add('dirmeta', fresh.dirmetas, (c) => old.dirmetas.has(c));
    expect(info.looseBytes).toBe(loose);
    expect(info.bytes).toBeLessThan(info.looseBytes / 5);
  });

  test('gives the same bytes whatever the number of workers', async () => {
    const digests: unknown[] = [];
    for (const size of [1, 3]) {
      const where = await copyOf(`workers-${size}`);
      const workers = createWorkerPool(size);
      const { superblock, parts } = await generateDelta({
        repo: where,
        from,
        to,
        pool: workers,
        maxPartSize: 100_000,
      });
      await workers.close();
      digests.push({ superblock, parts });
    }
    expect(digests[0]).toEqual(digests[1]);
  });

  test('an archive is put together from what the same part has made, and what it has for itself', async () => {
    const info = await generateDelta({ repo, from, to, pool });
    const store = openStore(repo);
    const checksumAt = async (path: string): Promise<string> => {
      const found = await lookupPath(store, to, path);
      return found?.kind === 'file' ? found.checksum : '';
    };
    const modules = 'usr/lib/modules/6.1.0-31';
    const members = ['usr/bin/program', 'usr/lib/libthing.so.1.3', `${modules}/disk.ko`, 'usr/share/image'];
    const archive = await checksumAt(`${modules}/initramfs.img`);
    const { parts } = decodeSuperblock(await readFile(join(repo, superblockPath(info))));
    const together = parts.find(({ objects }) => objects.some(({ checksum }) => checksum === archive));
    const names = (together?.objects ?? []).map(({ checksum }) => checksum as string);
    expect(names.at(-1)).toBe(archive);
    expect(names.slice(0, -1).sort()).toEqual((await Promise.all(members.map(checksumAt))).sort());

    // What is sent for it is little more than what it has for itself.
    const delta = await openDelta(deltaInRepository(store, { from, to }));
    const explained: ExplainedObject[] = [];
    for await (const { objects } of explainParts(delta)) explained.push(...objects);
    const shown = explained.find(({ checksum }) => checksum === archive);
    expect(shown).toMatchObject({ form: 'splice', sources: members.length + 1 });
    expect(shown?.payload).toBeLessThan(2000);
  });

  test('members that do not fit into a part stay by themselves', async () => {
    const limited = { maxPartSize: 100_000, maxPatchSize: 400_000 };
    const where = await copyOf('limited');
    const info = await generateDelta({ repo: where, from, to, pool, ...limited });
    await verifyDelta(openStore(where), { from, to });
    expect(info.parts.length).toBeGreaterThan(4);
    const delta = await openDelta(deltaInRepository(openStore(where), { from, to }));
    for await (const { objects, payload } of explainParts(delta)) {
      if (objects.length > 1) expect(payload).toBeLessThanOrEqual(limited.maxPartSize);
      expect(objects.every(({ sources = 1 }) => sources === 1)).toBe(true);
    }
  });

  test('never reads from a file that others may not read', async () => {
    const info = await generateDelta({ repo, from, to, pool });
    const secret = await lookupPath(openStore(repo), from, 'usr/bin/secret');
    const { parts } = decodeSuperblock(await readFile(join(repo, superblockPath(info))));
    for (const i of parts.keys()) {
      const file = await readFile(join(repo, deltaPartPath(info, i)));
      const part = Buffer.from(await filterBytes('xz', ['-dc'], file.subarray(1)));
      expect(part.includes(Buffer.from(secret?.kind === 'file' ? secret.checksum : '', 'hex'))).toBe(false);
    }
  });

  test('makes a delta from nothing, and one between commits with the same tree', async () => {
    const where = await copyOf('special');
    const scratchDelta = await generateDelta({ repo: where, to, pool });
    await verifyDelta(openStore(where), { to });
    expect(scratchDelta.from).toBeUndefined();
    expect(scratchDelta.path).toBe((await listDeltas(where))[0]?.path);

    const later = await commitEntries(where, pool, NEW, 1_700_009_999);
    const empty = await generateDelta({ repo: where, from: to, to: later, pool });
    expect(empty.parts).toEqual([]);
    await verifyDelta(openStore(where), { from: to, to: later });
    await expect(generateDelta({ repo: where, from: to, to, pool })).rejects.toMatchObject({
      code: 'usage/same-commit',
    });
  });

  test('closes parts at the size asked for, and removes what an older delta had beyond', async () => {
    const where = await copyOf('parts');
    const many = await generateDelta({ repo: where, from, to, pool, maxPartSize: 30_000 });
    expect(many.parts.length).toBeGreaterThan(4);
    await verifyDelta(openStore(where), { from, to });
    const few = await generateDelta({ repo: where, from, to, pool });
    expect(few.reused).toBe(false);
    expect((await readdir(join(where, few.path))).length).toBe(few.parts.length + 1);
    await verifyDelta(openStore(where), { from, to });
  });

  test('handles files too large to be held, by chunks and in a part of their own', async () => {
    const block = programBytes(30, 1_000_000);
    const numbered = Array.from({ length: 66 }, (_, i) => {
      const copy = Buffer.from(block);
      copy.writeUInt32LE(i, 0);
      return copy;
    });
    const big = Buffer.concat(numbered);
    const changed = Buffer.concat([
      big.subarray(0, 20_000_000),
      programBytes(31, 50_000),
      big.subarray(20_000_001),
    ]);
    const entry = { path: 'big', type: 'file', mode: 0o644, uid: 0, gid: 0, xattrs: {} } as const;
    const where = join(scratch, 'large');
    const first = await commitEntries(where, pool, [{ ...entry, content: big }]);
    const second = await commitEntries(where, pool, [{ ...entry, content: changed }]);
    const info = await generateDelta({ repo: where, from: first, to: second, pool });
    await verifyDelta(openStore(where), { from: first, to: second });
    const written = (await operationsOf(where, info)).filter(
      ({ op }) => op === 'bspatch' || op === 'splice-content',
    );
    expect(written).toEqual([]);
    expect(info.bytes).toBeLessThan(60_000);
  });
});

describe('content too large to be held', () => {
  test('is judged by pieces of all of it', async () => {
    const where = join(scratch, 'judged');
    const entry = { type: 'file', mode: 0o644, uid: 0, gid: 0, xattrs: {} } as const;
    const size = 3_000_000;
    const commit = await commitEntries(where, pool, [
      { ...entry, path: 'noise', content: randomBytes(size) },
      { ...entry, path: 'program', content: programBytes(32, size) },
      // A header that looks like a program does not make the rest one.
      {
        ...entry,
        path: 'mixed',
        content: Buffer.concat([programBytes(33, 10_000), randomBytes(size - 10_000)]),
      },
    ]);
    const judged: Record<string, boolean> = {};
    for (const path of ['noise', 'program', 'mixed']) {
      const found = await lookupPath(openStore(where), commit, path);
      if (found?.kind !== 'file') throw new Error(`${path} is not there`);
      judged[path] = await pool.run(judgeLarge, { repo: where, checksum: found.checksum, size });
    }
    expect(judged).toEqual({ noise: true, program: false, mixed: true });
  });
});

describe('a delta that is there already', () => {
  const mtimes = async (where: string, { path, parts }: DeltaInfo): Promise<number[]> =>
    Promise.all(parts.map(async (_, i) => (await stat(join(where, path, String(i)))).mtimeMs));

  test('is kept when it is whole', async () => {
    const where = await copyOf('kept');
    const first = await generateDelta({ repo: where, from, to, pool });
    const before = await mtimes(where, first);
    const again = await generateDelta({ repo: where, from, to, pool });
    expect(again).toEqual({ ...first, reused: true });
    expect(await mtimes(where, first)).toEqual(before);
  });

  test('is made again when anything of it is missing or damaged', async () => {
    const where = await copyOf('damaged');
    const first = await generateDelta({ repo: where, from, to, pool });
    const part = join(where, first.path, '0');
    const superblock = join(where, superblockPath(first));
    const damages: (() => Promise<void>)[] = [
      () => unlink(part),
      () => truncate(part, 10),
      () => unlink(superblock),
      () => truncate(superblock, 100),
      async () => {
        const bytes = await readFile(part);
        bytes[40] = (bytes[40] ?? 0) ^ 1;
        await writeFile(part, bytes);
      },
    ];
    for (const damage of damages) {
      await damage();
      expect(await generateDelta({ repo: where, from, to, pool })).toEqual(first);
      await verifyDelta(openStore(where), { from, to });
    }
  });

  test('gets new signatures without its parts being made again', async () => {
    const where = await copyOf('signed');
    const first = await generateDelta({ repo: where, from, to, pool });
    const before = await mtimes(where, first);
    const commitMeta = [['ostree.sign.ed25519', { signature: 'aay', value: [new Uint8Array(64)] }] as const];
    await writeFile(join(where, commitMetaPath(to)), vardict.encode([...commitMeta]));
    const signed = await generateDelta({ repo: where, from, to, pool });
    expect(signed.reused).toBe(true);
    expect(await mtimes(where, first)).toEqual(before);
    const { metadata } = decodeSuperblock(await readFile(join(where, superblockPath(first))));
    const carried = metadata.find(([key]) => key === `${first.path}/commitmeta`)?.[1];
    expect(carried?.signature).toBe('a{sv}');
    expect(vardict.encode(carried?.value as never)).toEqual(vardict.encode([...commitMeta]));
  });
});

test('lists, digests and indexes follow the deltas that are there', async () => {
  const where = await copyOf('listed');
  expect(await listDeltas(where)).toEqual([]);
  expect(await writeDeltaIndexes(where)).toEqual({ written: 0, removed: 0 });
  const one = await generateDelta({ repo: where, from, to, pool });
  const two = await generateDelta({ repo: where, to, pool });
  expect(await deltaDigests(where)).toEqual(
    [
      [`${from}-${to}`, one.superblock.sha256],
      [to, two.superblock.sha256],
    ].sort(([a = ''], [b = '']) => (a < b ? -1 : 1)),
  );
  expect(await writeDeltaIndexes(where)).toEqual({ written: 1, removed: 0 });
  expect(await writeDeltaIndexes(where)).toEqual({ written: 0, removed: 0 });
  const index = decodeDeltaIndex(await readFile(join(where, deltaIndexPath(to))));
  expect(new Set(index.map(({ digest }) => Buffer.from(digest).toString('hex')))).toEqual(
    new Set([one.superblock.sha256, two.superblock.sha256]),
  );
  // A delta whose superblock is not written yet does not exist.
  await unlink(join(where, superblockPath(two)));
  expect((await listDeltas(where)).map(({ name }) => name)).toEqual([`${from}-${to}`]);
  expect(await writeDeltaIndexes(where)).toEqual({ written: 1, removed: 0 });
  await rm(join(where, 'deltas'), { recursive: true });
  expect(await writeDeltaIndexes(where)).toEqual({ written: 0, removed: 1 });
});

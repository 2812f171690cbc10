import { appendFile, cp, mkdtemp, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { concatBytes, utf8 } from '../../src/core/bytes.ts';
import type { Checksum } from '../../src/core/checksum.ts';
import { checksumToBytes } from '../../src/core/checksum.ts';
import { generateDelta } from '../../src/delta/generate.ts';
import { verifyDelta } from '../../src/delta/verify.ts';
import { CONTROL_LENGTH, putControl } from '../../src/formats/bspatch.ts';
import { deltaPartPath, superblockPath } from '../../src/formats/ostree-delta-index.ts';
import type { DeltaPartEntry, Superblock } from '../../src/formats/ostree-delta.ts';
import { decodeSuperblock, encodeSuperblock } from '../../src/formats/ostree-delta.ts';
import type { DeltaMode, DeltaOperation } from '../../src/formats/ostree-delta-part.ts';
import { appendOperation, framePart } from '../../src/formats/ostree-delta-part.ts';
import { encodeContentHeader } from '../../src/formats/ostree-objects.ts';
import { filterBytes } from '../../src/platform/processes.ts';
import { openStore } from '../../src/platform/store.ts';
import type { WorkerPool } from '../../src/platform/workers.ts';
import { createWorkerPool } from '../../src/platform/workers.ts';
import { objectPath } from '../../src/repo/paths.ts';
import { listObjects, lookupPath } from '../../src/repo/read.ts';
import type { RandomEntry } from '../support/random-tree.ts';
import { commitEntries } from './native.ts';

let scratch: string;
let repo: string;
let pool: WorkerPool;
let from: Checksum;
let to: Checksum;
let good: Superblock;

const file = (path: string, content: string): RandomEntry => ({
  path,
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  xattrs: {},
  content: Buffer.from(content),
});

const LINES = Array.from({ length: 300 }, (_, i) => `line ${i * 7919}`);
const OLD_TEXT = LINES.join('\n');
const NEW_TEXT = LINES.with(150, 'another line').join('\n');

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-verify-'));
  repo = join(scratch, 'repo');
  pool = createWorkerPool(1);
  from = await commitEntries(repo, pool, [file('text', OLD_TEXT), file('other', 'left alone')]);
  to = await commitEntries(repo, pool, [file('text', NEW_TEXT), file('other', 'left alone')]);
  await generateDelta({ repo, from, to, pool });
  good = decodeSuperblock(await readFile(join(repo, superblockPath({ from, to }))));
});
afterAll(async () => {
  await pool.close();
  await rm(scratch, { recursive: true, force: true });
});

let copies = 0;
async function copy(): Promise<string> {
  const path = join(scratch, `copy-${copies++}`);
  await cp(repo, path, { recursive: true });
  return path;
}

const ends = (): { from: Checksum; to: Checksum } => ({ from, to });
const verify = (where: string): Promise<void> => verifyDelta(openStore(where), ends());
const refused = { name: 'TreewrightError', code: 'trust/corrupt-delta' };

async function fileOf(commit: Checksum, path: string): Promise<Checksum> {
  const found = await lookupPath(openStore(repo), commit, path);
  if (found?.kind !== 'file') throw new Error(`no file ${path}`);
  return found.checksum;
}

const PLAIN: DeltaMode = [0, 0, 0o100644];

interface Crafted {
  readonly operations: readonly DeltaOperation[] | Uint8Array;
  readonly payload?: Uint8Array;
  readonly objects?: DeltaPartEntry['objects'];
  readonly modes?: readonly DeltaMode[];
  readonly uncompressedSize?: number;
  readonly compress?: (part: Uint8Array) => Promise<Uint8Array>;
}

const xz = async (part: Uint8Array): Promise<Uint8Array> =>
  concatBytes([Uint8Array.of(0x78), await filterBytes('xz', ['-c', '-0'], part)]);

/** A delta with one part made for the purpose, under a superblock that fits it. */
async function crafted(craft: Crafted): Promise<string> {
  const where = await copy();
  const { payload = new Uint8Array(0), objects = [], modes = [PLAIN], uncompressedSize = 1_000_000 } = craft;
  const bytes: number[] = [];
  if (craft.operations instanceof Uint8Array) bytes.push(...craft.operations);
  else for (const operation of craft.operations) appendOperation(bytes, operation);
  const { head, tail } = framePart(
    { modes, xattrs: [[]], operations: Uint8Array.from(bytes) },
    payload.length,
  );
  const part = await (craft.compress ?? xz)(concatBytes([head, payload, tail]));
  await writeFile(join(where, deltaPartPath(ends(), 0)), part);
  const checksum = createHash('sha256').update(part).digest('hex') as Checksum;
  await writeFile(
    join(where, superblockPath(ends())),
    encodeSuperblock({
      ...good,
      parts: [{ version: 0, checksum, size: part.length, uncompressedSize, objects }],
    }),
  );
  return where;
}

describe('damage on the way', () => {
  const damages: Record<string, (where: string) => Promise<void>> = {
    'a changed byte in a part': async (where) => {
      const path = join(where, deltaPartPath(ends(), 0));
      const bytes = await readFile(path);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0x10;
      await writeFile(path, bytes);
    },
    'a part cut short': (where) => truncate(join(where, deltaPartPath(ends(), 0)), 50),
    'bytes after a part': (where) => appendFile(join(where, deltaPartPath(ends(), 0)), 'x'),
    'a missing part': (where) => unlink(join(where, deltaPartPath(ends(), 0))),
    'a superblock cut short': (where) => truncate(join(where, superblockPath(ends())), 200),
    'a superblock of another delta': (where) =>
      writeFile(join(where, superblockPath(ends())), encodeSuperblock({ ...good, from: to, to: from })),
    'another commit in the superblock': (where) => {
      const commit = Uint8Array.from(good.commit);
      commit[commit.length - 1] = (commit[commit.length - 1] ?? 0) ^ 1;
      return writeFile(join(where, superblockPath(ends())), encodeSuperblock({ ...good, commit }));
    },
    'an object nobody makes': (where) =>
      writeFile(join(where, superblockPath(ends())), encodeSuperblock({ ...good, parts: [] })),
  };
  for (const [name, damage] of Object.entries(damages)) {
    test(`${name} is refused`, async () => {
      const where = await copy();
      await verify(where);
      await damage(where);
      await expect(verify(where)).rejects.toMatchObject(refused);
    });
  }

  test('a delta that is not there, and a superblock other than the trusted one, are told', async () => {
    await expect(verifyDelta(openStore(repo), { from: to, to: from })).rejects.toMatchObject({
      code: 'trust/missing-delta',
    });
    const superblock = 'a'.repeat(64) as Checksum;
    await expect(verifyDelta(openStore(repo), { ...ends(), superblock })).rejects.toMatchObject(refused);
  });

  test('an older object that is damaged is told as such', async () => {
    const where = await copy();
    await truncate(join(where, objectPath(await fileOf(from, 'text'), 'file')), 100);
    await expect(verify(where)).rejects.toMatchObject({ code: 'trust/corrupt-object' });
  });
});

describe('a hostile delta, right in all its checksums, is refused when', () => {
  const open: DeltaOperation = { op: 'open', mode: 0, xattrs: 0, length: NEW_TEXT.length };
  let objects: DeltaPartEntry['objects'];
  let source: Uint8Array;
  beforeAll(async () => {
    objects = [{ type: 'file', checksum: await fileOf(to, 'text') }];
    source = checksumToBytes(await fileOf(from, 'text'));
  });
  const expectRefused = async (craft: Crafted, message: RegExp): Promise<void> => {
    const where = await crafted(craft);
    await expect(verify(where)).rejects.toMatchObject(refused);
    await expect(verify(where)).rejects.toThrow(message);
  };

  test('an operation reaches outside of the payload', async () => {
    const outside = { length: 10, offset: 5 };
    await expectRefused(
      { objects, operations: [{ op: 'splice-content', mode: 0, xattrs: 0, ...outside }] },
      /wants 10 bytes at 5 of a payload of 0/,
    );
    await expectRefused({ objects, operations: [open, { op: 'write', ...outside }] }, /payload of 0/);
    await expectRefused({ objects, operations: [{ op: 'set-source', offset: 1 }] }, /wants 32 bytes/);
    await expectRefused(
      {
        objects,
        operations: [
          { op: 'splice-content', mode: 0, xattrs: 0, length: 1, offset: Number.MAX_SAFE_INTEGER },
        ],
      },
      /payload/,
    );
  });

  test('a number is not one', async () => {
    await expectRefused(
      { objects, operations: Uint8Array.of(0x77, 0xff, 0xff) },
      /the bytes end inside a number/,
    );
    const huge = Uint8Array.of(0x77, ...Array<number>(12).fill(0xff), 1);
    await expectRefused({ objects, operations: huge }, /beyond 2\^53/);
  });

  test('it reads outside of its source, or from an object that a client may not have', async () => {
    const set: DeltaOperation = { op: 'set-source', offset: 0 };
    await expectRefused(
      {
        objects,
        payload: source,
        operations: [open, set, { op: 'write', length: 9, offset: OLD_TEXT.length - 8 }],
      },
      /from a source of/,
    );
    const stranger = checksumToBytes(await fileOf(to, 'text'));
    await expectRefused(
      { objects, payload: stranger, operations: [open, set] },
      /which a client with .* lacks/,
    );
  });

  test('operations stand where they have no meaning', async () => {
    const none = { length: 0, offset: 0 };
    const cases: (readonly [DeltaOperation[], RegExp])[] = [
      [[{ op: 'write', ...none }], /no object is open/],
      [[{ op: 'close' }], /not begun/],
      [[open, open], /inside another/],
      [[open, { op: 'bspatch', ...none }], /no source/],
      [[open], /end after 1 of 1/],
      [[open, { op: 'close' }], /0 of \d+ bytes/],
      [[], /end after 0 of 1/],
      [[{ ...open, mode: 3 }], /mode 3 of 1/],
      [[{ ...open, xattrs: 1 }], /xattrs 1 of 1/],
    ];
    for (const [operations, message] of cases) await expectRefused({ objects, operations }, message);
    await expectRefused({ objects: [], operations: [open] }, /more objects than are listed/);
    await expectRefused({ objects, modes: [[0, 0, 0o060644]], operations: [open] }, /has the mode 060644/);
  });

  test('an object comes out wrong, twice, or without need', async () => {
    const payload = utf8(NEW_TEXT);
    const splice: DeltaOperation = {
      op: 'splice-content',
      mode: 0,
      xattrs: 0,
      length: payload.length,
      offset: 0,
    };
    await expectRefused(
      { objects, payload: utf8(NEW_TEXT.toUpperCase()), operations: [splice] },
      /came out as/,
    );
    await expectRefused(
      { objects: [...objects, ...objects], payload, operations: [splice, splice] },
      /not needed/,
    );
    const extra = utf8('not part of the commit');
    const stat = { uid: 0, gid: 0, mode: 0o100644, xattrs: [] };
    const checksum = createHash('sha256')
      .update(encodeContentHeader(stat))
      .update(extra)
      .digest('hex') as Checksum;
    await expectRefused(
      {
        objects: [{ type: 'file', checksum }],
        payload: extra,
        operations: [{ ...splice, length: extra.length }],
      },
      /not needed/,
    );
    // The object itself is right, but the new dirtree is missing.
    await expectRefused({ objects, payload, operations: [splice] }, /lacks 1 objects of the commit/);
  });

  test('a patch is broken', async () => {
    const patched = async (patch: Uint8Array, message: RegExp): Promise<void> => {
      const operations: DeltaOperation[] = [
        open,
        { op: 'set-source', offset: 0 },
        { op: 'bspatch', length: patch.length, offset: 32 },
        { op: 'close' },
      ];
      await expectRefused({ objects, payload: concatBytes([source, patch]), operations }, message);
    };
    const control = (diff: number, extra: number, seek: number): Uint8Array => {
      const bytes = new Uint8Array(CONTROL_LENGTH);
      putControl(bytes, 0, { diff, extra, seek });
      return bytes;
    };
    await patched(new Uint8Array(0), /inside a control/);
    await patched(control(0, 0, 0), /inside a control/);
    await patched(control(NEW_TEXT.length + 1, 0, 0), /more bytes than its object/);
    await patched(control(NEW_TEXT.length, 0, 0), /shorter than its controls say/);
    await patched(control(-1, 0, 0), /lengths/);
    // Far outside of the source every byte counts as zero; that is no error by itself.
    await patched(
      concatBytes([control(0, 0, -(2 ** 40)), control(NEW_TEXT.length, 0, 0), utf8(NEW_TEXT.toUpperCase())]),
      /came out as/,
    );
  });

  test('it would fill memory or disk', async () => {
    const zeros = (size: number) => () => xz(new Uint8Array(size));
    await expectRefused(
      { objects, operations: [], uncompressedSize: 10, compress: zeros(30_000_000) },
      /decompresses to more/,
    );
    const block = new Uint8Array(200_000);
    const operations: DeltaOperation[] = [
      { ...open, length: 2 ** 50 },
      ...Array.from({ length: 100 }, () => ({ op: 'write', length: block.length, offset: 0 }) as const),
    ];
    await expectRefused(
      { objects, payload: block, operations, uncompressedSize: 200_000 },
      /makes more than/,
    );
  });

  test('its compression is unknown or broken', async () => {
    const compress = (bytes: Uint8Array) => () => Promise.resolve(bytes);
    await expectRefused(
      { objects, operations: [], compress: compress(Uint8Array.of(0x67, 1, 2)) },
      /unknown compression 103/,
    );
    await expectRefused({ objects, operations: [], compress: compress(new Uint8Array(0)) }, /none at all/);
    await expectRefused({ objects, operations: [], compress: compress(Uint8Array.of(0x78, 1, 2, 3)) }, /xz/);
  });
});

test('a part without compression, one inside the superblock and a fallback are understood', async () => {
  const reachable = await listObjects(openStore(repo), to);
  const old = await listObjects(openStore(repo), from);
  const dirtree = [...reachable.dirtrees].find((checksum) => !old.dirtrees.has(checksum));
  if (dirtree === undefined) throw new Error('the trees do not differ');
  const payload = await readFile(join(repo, objectPath(dirtree, 'dirtree')));
  const { head, tail } = ((): ReturnType<typeof framePart> => {
    const bytes: number[] = [];
    appendOperation(bytes, { op: 'splice-metadata', length: payload.length, offset: 0 });
    return framePart({ modes: [], xattrs: [], operations: Uint8Array.from(bytes) }, payload.length);
  })();
  const body = concatBytes([head, payload, tail]);
  const part = concatBytes([Uint8Array.of(0), body]);
  const entry: DeltaPartEntry = {
    version: 0,
    checksum: createHash('sha256').update(part).digest('hex') as Checksum,
    size: part.length,
    uncompressedSize: payload.length,
    objects: [{ type: 'dirtree', checksum: dirtree }],
  };
  const text = await fileOf(to, 'text');
  const fallback = { type: 'file', checksum: text, size: 100, uncompressedSize: NEW_TEXT.length } as const;
  const where = await copy();
  const path = deltaPartPath(ends(), 0);
  await unlink(join(where, path));
  const write = (superblock: Partial<Superblock>): Promise<void> =>
    writeFile(
      join(where, superblockPath(ends())),
      encodeSuperblock({ ...good, parts: [entry], fallbacks: [fallback], ...superblock }),
    );
  await write({ metadata: [[path, { signature: '(yay)', value: [0, body] }]] });
  await verify(where);
  await write({ metadata: [[path, { signature: '(yay)', value: [0, body.slice(1)] }]] });
  await expect(verify(where)).rejects.toMatchObject(refused);

  await writeFile(join(where, path), part);
  await write({});
  await verify(where);
  await write({ fallbacks: [{ ...fallback, uncompressedSize: 1 }] });
  await expect(verify(where)).rejects.toThrow(/its fallback/);
  await write({});
  await unlink(join(where, objectPath(text, 'file')));
  await expect(verify(where)).rejects.toMatchObject({ code: 'trust/missing-object' });
});

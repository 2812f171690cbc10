import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { utf8 } from '../../src/core/bytes.ts';
import type { Checksum } from '../../src/core/checksum.ts';
import { decodeSummary } from '../../src/formats/ostree-summary.ts';
import { openStore } from '../../src/platform/store.ts';
import type { WorkerPool } from '../../src/platform/workers.ts';
import { createWorkerPool } from '../../src/platform/workers.ts';
import { commitSource } from '../../src/release/commit.ts';
import { commitMetadata, writeCommit, writeTree } from '../../src/repo/commit.ts';
import { listObjects, lookupPath, readCommit, readContent, readRef } from '../../src/repo/read.ts';
import { buildSummary, listRefs, writeRef } from '../../src/repo/refs.ts';
import { ensureRepository } from '../../src/repo/repository.ts';
import { beginTransaction } from '../../src/repo/transaction.ts';
import { objectPath } from '../../src/repo/paths.ts';
import type { FileTree } from '../../src/tree/types.ts';
import { emptyTree, ensureDirectory, rootStat } from '../../src/tree/walk.ts';
import { describeReference, runTool } from '../reference/tools.ts';

let scratch: string;
let pool: WorkerPool;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-repo-'));
  pool = createWorkerPool(2);
});
afterAll(async () => {
  await pool.close();
  await rm(scratch, { recursive: true, force: true });
});

function exampleTree(version: string): FileTree {
  const tree = emptyTree();
  const bin = ensureDirectory(tree, 'usr/bin');
  const file = (text: string, mode = 0o755) => ({
    kind: 'file' as const,
    stat: rootStat.file(mode),
    content: { kind: 'inline' as const, bytes: utf8(text) },
  });
  bin.entries.set('tool', file(`tool ${version}`));
  bin.entries.set('empty', file('', 0o644));
  bin.entries.set('sh', { kind: 'symlink', stat: rootStat.symlink(), target: 'tool' });
  bin.entries.set('caps', {
    ...file('caps'),
    stat: { ...rootStat.file(0o4755), xattrs: [{ name: 'user.z', value: utf8('1') }, { name: 'user.a', value: Uint8Array.of(0, 255) }] },
  }); // prettier-ignore
  ensureDirectory(tree, 'var/empty').stat = { uid: 33, gid: 44, mode: 0o041777, xattrs: [] };
  return tree;
}

async function commitTree(
  repo: string,
  tree: FileTree,
  parent?: Checksum,
): Promise<{ commit: Checksum; written: number }> {
  const transaction = await beginTransaction({ repo, pool });
  const root = await writeTree(transaction, tree);
  const commit = await writeCommit(transaction, {
    metadata: commitMetadata({ ref: 'device/stable', version: '1.0' }),
    ...(parent === undefined ? {} : { parent }),
    subject: 'a subject',
    body: 'a body',
    timestamp: 1_700_000_000,
    ...root,
  });
  const { objects } = await transaction.flush();
  return { commit, written: objects.written };
}

describe('an archive repository', () => {
  test('holds what was written, and the second writing of the same tree adds nothing', async () => {
    const repo = join(scratch, 'twice');
    await ensureRepository(repo);
    const first = await commitTree(repo, exampleTree('1'));
    const again = await commitTree(repo, exampleTree('1'));
    expect(again).toEqual({ commit: first.commit, written: 0 });
    const store = openStore(repo);
    expect(await readCommit(store, first.commit)).toMatchObject({
      subject: 'a subject',
      timestamp: 1_700_000_000,
    });
    const tool = await lookupPath(store, first.commit, 'usr/bin/tool');
    if (tool?.kind !== 'file') throw new Error('usr/bin/tool is not a file');
    const content = await readContent(store, tool.checksum);
    const chunks: Uint8Array[] = [];
    for await (const chunk of content.chunks) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe('tool 1');
    expect(await lookupPath(store, first.commit, 'usr/bin/none')).toBeUndefined();
    expect((await listObjects(store, first.commit)).files.size).toBe(4);
    expect(await readdir(join(repo, 'tmp'))).toEqual([]);
  });

  test('counts exactly the bytes that are on disk afterwards', async () => {
    const repo = join(scratch, 'counted');
    await ensureRepository(repo);
    const transaction = await beginTransaction({ repo, pool });
    const tree = exampleTree('1');
    const many = ensureDirectory(tree, 'usr/share/many');
    for (let i = 0; i < 2000; i++) {
      many.entries.set(`link${i}`, { kind: 'symlink', stat: rootStat.symlink(), target: `target${i}` });
      const bytes = utf8(`content ${i} `.repeat(200));
      many.entries.set(`file${i}`, {
        kind: 'file',
        stat: rootStat.file(),
        content: { kind: 'inline', bytes },
      });
    }
    await writeTree(transaction, tree);
    const { objects, bytes } = await transaction.flush();
    const files = (await readdir(join(repo, 'objects'), { recursive: true, withFileTypes: true })).filter(
      (entry) => entry.isFile(),
    );
    const sizes = await Promise.all(
      files.map(async (file) => (await stat(join(file.parentPath, file.name))).size),
    );
    expect(objects.written).toBe(files.length);
    expect(bytes.written).toBe(sizes.reduce((sum, size) => sum + size, 0));
  });

  test('an aborted transaction leaves nothing behind', async () => {
    const repo = join(scratch, 'aborted');
    await ensureRepository(repo);
    const transaction = await beginTransaction({ repo, pool });
    await writeTree(transaction, exampleTree('1'));
    await transaction.abort();
    expect(await readdir(join(repo, 'objects'))).toEqual([]);
    expect(await readdir(join(repo, 'tmp'))).toEqual([]);
  });

  test('large content goes through a spool file and comes back whole', async () => {
    const repo = join(scratch, 'large');
    await ensureRepository(repo);
    const transaction = await beginTransaction({ repo, pool });
    const size = 20 << 20;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 20; i++) {
        await Promise.resolve();
        yield new Uint8Array(1 << 20).fill(i);
      }
    }
    const stored = await transaction.put(rootStat.file(), size, chunks());
    await transaction.flush();
    let length = 0;
    for await (const chunk of (await readContent(openStore(repo), stored.checksum)).chunks)
      length += chunk.length;
    expect(length).toBe(size);
  });

  test('content of another length than announced is refused', async () => {
    const repo = join(scratch, 'short');
    await ensureRepository(repo);
    const transaction = await beginTransaction({ repo, pool });
    await expect(transaction.put(rootStat.file(), 5, utf8('four'))).rejects.toMatchObject({
      code: 'input/truncated',
    });
    await transaction.abort();
  });

  test('a repository of another mode is refused, with its mode named', async () => {
    const repo = join(scratch, 'bare');
    await ensureRepository(repo);
    await writeFile(join(repo, 'config'), '[core]\nrepo_version=1\nmode=bare\n');
    await expect(ensureRepository(repo)).rejects.toMatchObject({ code: 'input/bad-repository' });
  });
});

test('a commit beside a signed summary takes the signature away, and says so', async () => {
  const repo = join(scratch, 'signed');
  const source = join(scratch, 'tree');
  await mkdir(source);
  await writeFile(join(source, 'file'), '1');
  await ensureRepository(repo);
  await writeFile(join(repo, 'summary.sig'), 'of another summary');
  const codes: string[] = [];
  await commitSource({
    repo,
    branch: 'b',
    source,
    layout: 'none',
    events: (event) => {
      if (event.type === 'diagnostic') codes.push(event.diagnostic.code);
    },
  });
  expect(codes).toContain('trust/summary-unsigned');
  expect(await readdir(repo)).not.toContain('summary.sig');
});

describe('a damaged object', () => {
  let repo: string;
  let commit: Checksum;
  let tool: Checksum;
  beforeAll(async () => {
    repo = join(scratch, 'damaged');
    await ensureRepository(repo);
    ({ commit } = await commitTree(repo, exampleTree('1')));
    const entry = await lookupPath(openStore(repo), commit, 'usr/bin/tool');
    if (entry?.kind !== 'file') throw new Error('no tool');
    tool = entry.checksum;
  });
  const drain = async (checksum: Checksum): Promise<number> => {
    let length = 0;
    for await (const chunk of (await readContent(openStore(repo), checksum)).chunks) length += chunk.length;
    return length;
  };

  test('of content is refused at every byte', async () => {
    const path = join(repo, objectPath(tool, 'file'));
    const good = await readFile(path);
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ 0x01;
      await writeFile(path, bad);
      await expect(drain(tool), `byte ${at}`).rejects.toMatchObject({ code: 'trust/corrupt-object' });
    }
    for (let length = 0; length < good.length; length++) {
      await writeFile(path, good.subarray(0, length));
      await expect(drain(tool), `cut at ${length}`).rejects.toMatchObject({ code: 'trust/corrupt-object' });
    }
    await writeFile(path, good);
    expect(await drain(tool)).toBe('tool 1'.length);
  });

  test('of metadata is refused', async () => {
    const path = join(repo, objectPath(commit, 'commit'));
    const good = await readFile(path);
    good[10] = (good[10] ?? 0) ^ 1;
    await writeFile(path, good);
    await expect(readCommit(openStore(repo), commit)).rejects.toMatchObject({ code: 'trust/corrupt-object' });
    await rm(path);
    await expect(readCommit(openStore(repo), commit)).rejects.toMatchObject({ code: 'trust/missing-object' });
  });
});

describeReference('real ostree', ['ostree', 'trixie:ostree'], () => {
  test.each(['bookworm', 'trixie'] as const)('of %s reads the repository', async (suite) => {
    const repo = join(scratch, `real-${suite}`);
    await ensureRepository(repo);
    const first = await commitTree(repo, exampleTree('1'));
    const second = await commitTree(repo, exampleTree('2'), first.commit);
    await writeRef(repo, 'device/stable', second.commit);
    await writeFile(
      join(repo, 'summary'),
      await buildSummary({ repo, deltas: [], lastModified: 1_700_000_000 }),
    );

    await runTool('ostree', ['fsck', `--repo=${repo}`], { suite });
    const log = await runTool('ostree', ['log', `--repo=${repo}`, 'device/stable'], { suite });
    expect(log.stdout).toContain(first.commit);
    expect(log.stdout).toContain('Version: 1.0');
    const list = await runTool('ostree', ['ls', `--repo=${repo}`, '-R', '-X', 'device/stable'], { suite });
    expect(list.stdout).toMatch(/d01777 33 44 +0 .*\/var\/empty/);
    expect(list.stdout).toContain("b'user.a', [byte 0x00, 0xff]");
    const diff = await runTool('ostree', ['diff', `--repo=${repo}`, first.commit, second.commit], { suite });
    expect(diff.stdout.trim()).toBe('M    /usr/bin/tool');
    const out = join(scratch, `checkout-${suite}`);
    await runTool('ostree', ['checkout', `--repo=${repo}`, '-U', 'device/stable', out], { suite });
    expect(await readFile(join(out, 'usr/bin/tool'), 'utf8')).toBe('tool 2');
    expect((await stat(join(out, 'usr/bin/tool'))).mode & 0o777).toBe(0o755);
    const summary = await runTool('ostree', ['summary', `--repo=${repo}`, '--view'], { suite });
    expect(summary.stdout).toContain('Version (ostree.commit.version): 1.0');
    expect(summary.stdout).toContain('2023-11-14');
  });

  test('writes a summary that reads the same as ours', async () => {
    const repo = join(scratch, 'summary');
    await ensureRepository(repo);
    const { commit } = await commitTree(repo, exampleTree('1'));
    await writeRef(repo, 'device/stable', commit);
    await writeRef(repo, 'a/other', commit);
    const ours = await buildSummary({ repo, deltas: [], lastModified: 1_700_000_000 });
    await runTool('ostree', ['summary', `--repo=${repo}`, '-u']);
    const theirs = decodeSummary(await readFile(join(repo, 'summary')));
    expect({ ...theirs, lastModified: 1_700_000_000 }).toEqual(decodeSummary(ours));
    expect(await listRefs(repo)).toEqual(['a/other', 'device/stable']);
    expect(await readRef(openStore(repo), 'a/other')).toBe(commit);
  });
});

test('a directory that holds other things is not made a repository', async () => {
  const home = join(scratch, 'home');
  await mkdir(join(home, 'usr'), { recursive: true });
  await expect(ensureRepository(home)).rejects.toMatchObject({ code: 'input/not-a-repository' });
  expect(await readdir(home)).toEqual(['usr']);
  await rm(join(home, 'usr'), { recursive: true });
  // What a killed run may have left is completed.
  await mkdir(join(home, 'objects'));
  await writeFile(join(home, '.tw-tmp-0123-config'), '');
  await ensureRepository(home);
  await ensureRepository(home);
  expect(await readdir(home)).toContain('config');
});

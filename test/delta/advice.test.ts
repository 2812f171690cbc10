import { execa } from 'execa';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CompressionCost } from '../../src/delta/advice.ts';
import { compressionCosts } from '../../src/delta/advice.ts';
import { estimateDelta } from '../../src/delta/estimate.ts';
import { generateDelta } from '../../src/delta/generate.ts';
import type { WorkerPool } from '../../src/platform/workers.ts';
import { createWorkerPool } from '../../src/platform/workers.ts';
import { compressionNotes } from '../../src/release/compression-advice.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import type { RandomEntry } from '../support/random-tree.ts';
import { edited, programBytes } from '../support/small-rootfs.ts';
import { commitEntries } from './native.ts';
import { noise } from './pair.ts';

let scratch: string;
let pool: WorkerPool;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-advice-'));
  pool = createWorkerPool(2);
});
afterAll(async () => {
  await pool.close();
  await rm(scratch, { recursive: true, force: true });
});

type Pack = (content: Buffer) => Buffer | Promise<Buffer>;

const filter = async (program: string, content: Buffer): Promise<Buffer> =>
  Buffer.from((await execa(program, ['-c'], { input: content, encoding: 'buffer' })).stdout);
const xz: Pack = (content) => filter('xz', content);
const zstd: Pack = (content) => filter('zstd', content);
const plain: Pack = (content) => content;

function file(path: string, content: Buffer): RandomEntry {
  return { path, type: 'file', mode: 0o644, uid: 0, gid: 0, xattrs: {}, content };
}

/** A release whose initramfs, modules and firmware are packed as `pack` says. */
async function tree(
  release: number,
  packs: { readonly initramfs: Pack; readonly modules: Pack; readonly firmware: Pack },
): Promise<RandomEntry[]> {
  const change = (content: Buffer): Buffer => (release === 1 ? content : edited(content, release));
  const modules = 'usr/lib/modules/6.6.1';
  const entries: RandomEntry[] = [
    { path: '', type: 'directory', mode: 0o755, uid: 0, gid: 0, xattrs: {} },
    file(`${modules}/initramfs.img`, await packs.initramfs(change(programBytes(1, 500_000)))),
    file('usr/lib/firmware/card.bin.zst', await packs.firmware(change(programBytes(2, 250_000)))),
    // Compressed, and of no kind that anything can be done about.
    file('usr/share/picture.gz', gzipSync(change(programBytes(3, 100_000)))),
    file('usr/bin/program', change(programBytes(4, 100_000))),
  ];
  for (let i = 0; i < 5; i++) {
    entries.push(
      file(`${modules}/kernel/m${i}.ko.xz`, await packs.modules(change(programBytes(10 + i, 100_000)))),
    );
  }
  return entries;
}

async function judged(
  name: string,
  packs: Parameters<typeof tree>[1],
): Promise<{ costs: CompressionCost[]; made: number }> {
  const repo = join(scratch, name);
  const from = await commitEntries(repo, pool, await tree(1, packs));
  const to = await commitEntries(repo, pool, await tree(2, packs), 1_700_000_100);
  const costs = await compressionCosts(repo, await estimateDelta({ repo, from, to, pool }), pool);
  return { costs, made: (await generateDelta({ repo, from, to, pool })).bytes };
}

test('each kind is told once, dearest first, and uncompressed it costs about what is told', async () => {
  const packed = await judged('packed', { initramfs: gzipSync, modules: xz, firmware: zstd });
  expect(packed.costs.map(({ kind, files }) => [kind, files])).toEqual([
    ['initramfs', 1],
    ['modules', 5],
    ['firmware', 1],
  ]);
  const loose = await judged('plain', { initramfs: plain, modules: plain, firmware: plain });
  expect(loose.costs).toEqual([]);

  const told = packed.costs.reduce((sum, cost) => sum + cost.expectedBytes - cost.uncompressedBytes, 0);
  const saved = packed.made - loose.made;
  expect(saved).toBeGreaterThan(0);
  expect(told / saved).toBeGreaterThan(0.9);
  expect(told / saved).toBeLessThan(1.1);
  for (const { extraSpace } of packed.costs) expect(extraSpace).toBeGreaterThan(0);
});

describeReference('a FIT image', ['dtc'], () => {
  /** The kernel in a FIT image as mkimage makes it, without hashes. */
  async function fit(name: string, kernel: Buffer): Promise<Buffer> {
    const directory = await mkdtemp(join(scratch, 'fit-'));
    await writeFile(join(directory, 'kernel'), kernel);
    const source = join(directory, `${name}.dts`);
    await writeFile(
      source,
      `/dts-v1/;
/ { images { kernel { data = /incbin/("${join(directory, 'kernel')}"); type = "kernel"; arch = "arm64"; }; };
    configurations { default = "a"; a { kernel = "kernel"; }; }; };`,
    );
    await runTool('dtc', ['-q', '-I', 'dts', '-O', 'dtb', '-o', `${source}b`, source]);
    return readFile(`${source}b`);
  }

  test('with a compressed kernel is opened', async () => {
    const repo = join(scratch, 'fit');
    const kernel = programBytes(41, 600_000);
    const root: RandomEntry = { path: '', type: 'directory', mode: 0o755, uid: 0, gid: 0, xattrs: {} };
    const path = 'usr/lib/modules/6.6.1/vmlinuz';
    const old = file(path, await fit('old', gzipSync(kernel)));
    const fresh = file(path, await fit('new', gzipSync(edited(kernel, 42))));
    const from = await commitEntries(repo, pool, [root, old]);
    const to = await commitEntries(repo, pool, [root, fresh], 1_700_000_100);
    const [cost, ...others] = await compressionCosts(
      repo,
      await estimateDelta({ repo, from, to, pool }),
      pool,
    );
    expect(others).toEqual([]);
    expect(cost).toMatchObject({ kind: 'kernel', files: 1, example: path });
    expect(cost?.uncompressedBytes).toBeLessThan((cost?.expectedBytes ?? 0) / 4);
    // But for what a FIT image has around its parts.
    const more = kernel.length - gzipSync(edited(kernel, 42)).length;
    expect(Math.abs((cost?.extraSpace ?? 0) - more)).toBeLessThan(512);
  });
});

test('what nothing can be done about, or is of no weight, is not told', async () => {
  // A new initramfs that shares nothing with the old one would cost the same.
  const repo = join(scratch, 'other');
  const path = 'usr/lib/modules/6.6.1/initramfs.img';
  const root: RandomEntry = { path: '', type: 'directory', mode: 0o755, uid: 0, gid: 0, xattrs: {} };
  const from = await commitEntries(repo, pool, [root, file(path, gzipSync(programBytes(31, 400_000)))]);
  const to = await commitEntries(repo, pool, [root, file(path, gzipSync(noise(32, 400_000)))], 1_700_000_100);
  expect(await compressionCosts(repo, await estimateDelta({ repo, from, to, pool }), pool)).toEqual([]);
});

test('the notes say what costs what, and what to do', () => {
  const costs: CompressionCost[] = [
    {
      kind: 'modules',
      files: 3,
      example: 'usr/lib/modules/6.6.1/a.ko.xz',
      expectedBytes: 9000,
      uncompressedBytes: 100,
      extraSpace: 20_000,
    },
  ];
  expect(compressionNotes('1.0', costs)).toEqual([
    {
      severity: 'note',
      code: 'input/compressed-content',
      message:
        '3 kernel modules are compressed inside and cost about 9000 bytes of the update from 1.0; uncompressed about 100, ' +
        'for 20000 bytes more on the device: build the kernel with CONFIG_MODULE_COMPRESS_NONE',
      where: { kind: 'path', path: 'usr/lib/modules/6.6.1/a.ko.xz' },
    },
  ]);
});

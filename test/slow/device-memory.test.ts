import { execa } from 'execa';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { deviceMemory, partSizeFor } from '../../src/delta/device-memory.ts';
import type { DeltaInfo } from '../../src/delta/generate.ts';
import { generateDelta } from '../../src/delta/generate.ts';
import { verifyDelta } from '../../src/delta/verify.ts';
import { openStore } from '../../src/platform/store.ts';
import { commitEntries, commitPair } from '../delta/native.ts';
import { NEW, noise } from '../delta/pair.ts';

const { scratch, repo, pool, from, to } = await commitPair();

/** What the xz program says of each part: bytes after decompression, and window in bytes. */
async function askXz(info: DeltaInfo): Promise<{ size: number; window: number }[]> {
  const found: { size: number; window: number }[] = [];
  for (const index of info.parts.keys()) {
    const file = join(scratch, 'part.xz');
    await writeFile(file, (await readFile(join(repo, info.path, String(index)))).subarray(1));
    const { stdout } = await execa('xz', ['--robot', '-lvv', file]);
    const size = Number(/^totals\t\d+\t\d+\t\d+\t(\d+)/m.exec(stdout)?.[1]);
    const [, amount, unit] = /dict=(\d+)(KiB|MiB)/.exec(stdout) ?? [];
    found.push({ size, window: Number(amount) * (unit === 'MiB' ? 1 << 20 : 1 << 10) });
  }
  return found;
}

test('part and window are what xz says', async () => {
  const info = await generateDelta({ repo, from, to, pool });
  const memory = await deviceMemory(repo, { from, to });
  const told = await askXz(info);
  expect(memory.part).toBe(Math.max(...told.map(({ size }) => size)));
  expect(memory.window).toBe(Math.max(...told.map(({ window }) => window)));
  expect(memory.total).toBeGreaterThanOrEqual(memory.patched + memory.part);
});

test('a limit is kept by the largest part and the largest patched object together', async () => {
  const limit = 700_000;
  const unlimited = await deviceMemory(repo, await generateDelta({ repo, from, to, pool }));
  expect(unlimited.total).toBeGreaterThan(limit);
  expect(unlimited.patched).toBeGreaterThan(partSizeFor(limit));

  const size = partSizeFor(limit);
  const info = await generateDelta({ repo, from, to, pool, maxPartSize: size, maxPatchSize: size });
  const memory = await deviceMemory(repo, { from, to });
  expect(memory.total).toBeLessThanOrEqual(limit);
  expect(memory.part + memory.window + memory.patched).toBeLessThanOrEqual(limit);
  expect(memory.patched).toBeGreaterThan(0);
  for (const { size: part, window } of await askXz(info)) expect(part + window).toBeLessThanOrEqual(limit);
  await verifyDelta(openStore(repo), { from, to });
});

test('a single file that is sent as a whole is beyond it, and counted', async () => {
  const entries = NEW.map((entry) =>
    entry.path === 'usr/share/new/noise.bin' ? { ...entry, content: noise(61, 900_000) } : entry,
  );
  const other = await commitEntries(repo, pool, entries, 1_700_000_200);
  const size = partSizeFor(700_000);
  await generateDelta({ repo, from, to: other, pool, maxPartSize: size, maxPatchSize: size });
  const memory = await deviceMemory(repo, { from, to: other });
  expect(memory.part).toBeGreaterThan(900_000);
  expect(memory.total).toBeGreaterThan(700_000);
});

import { expect, test } from 'vitest';
import { matchAnchors } from '../../src/delta/anchors.ts';
import type { DeltaEstimate } from '../../src/delta/estimate.ts';
import { estimateDelta } from '../../src/delta/estimate.ts';
import type { DeltaInfo } from '../../src/delta/generate.ts';
import { generateDelta } from '../../src/delta/generate.ts';
import { matchContent } from '../../src/delta/match.ts';
import { openStore } from '../../src/platform/store.ts';
import { listObjects } from '../../src/repo/read.ts';
import { edited, programBytes } from '../support/small-rootfs.ts';
import { commitPair } from './native.ts';
import { noise } from './pair.ts';

const { repo, pool, from, to } = await commitPair();

/** The estimate must be near enough to decide by: the errors on real pairs are below a tenth. */
function expectNear(estimate: DeltaEstimate, made: DeltaInfo): void {
  expect(estimate.expectedBytes).toBeGreaterThan(made.bytes * 0.75);
  expect(estimate.expectedBytes).toBeLessThan(made.bytes * 1.25);
  expect(estimate.looseBytes).toBe(made.looseBytes);
  expect(estimate.deltaRequests).toBe(1 + made.parts.length);
}

test('the estimate is near the delta that is made then, and nothing is written for it', async () => {
  const estimate = await estimateDelta({ repo, from, to, pool });
  const again = await estimateDelta({ repo, from, to, pool });
  expect(again).toEqual(estimate);
  expectNear(estimate, await generateDelta({ repo, from, to, pool }));
});

test('a delta from nothing is estimated from stored sizes', async () => {
  const estimate = await estimateDelta({ repo, to, pool });
  expect(estimate.from).toBeUndefined();
  expect(estimate.files.every(({ source }) => source === undefined)).toBe(true);
  expectNear(estimate, await generateDelta({ repo, to, pool }));
});

test('requests are counted one an object, and one for the commit', async () => {
  const estimate = await estimateDelta({ repo, from, to, pool });
  const store = openStore(repo);
  const [old, fresh] = [await listObjects(store, from), await listObjects(store, to)];
  const missing = [
    ...[...fresh.dirtrees].filter((checksum) => !old.dirtrees.has(checksum)),
    ...[...fresh.dirmetas].filter((checksum) => !old.dirmetas.has(checksum)),
    ...[...fresh.files.keys()].filter((checksum) => !old.files.has(checksum)),
  ];
  expect(estimate.objects).toBe(missing.length);
  expect(estimate.looseRequests).toBe(missing.length + 1);
});

test('files come largest first, each with what it would be made from', async () => {
  const { files } = await estimateDelta({ repo, from, to, pool });
  const expected = files.map(({ expectedBytes }) => expectedBytes);
  expect(expected).toEqual([...expected].sort((a, b) => b - a));
  const byPath = new Map(files.flatMap((file) => file.paths.map((path) => [path, file] as const)));
  // Noise that is new, noise with an insertion, and a module whose addresses moved.
  expect(byPath.get('usr/share/new/noise.bin')?.source).toBeUndefined();
  expect(byPath.get('usr/share/new/noise.bin')?.expectedBytes).toBeGreaterThan(100_000);
  const image = byPath.get('usr/share/image');
  expect(image?.source).toBeDefined();
  expect(image?.expectedBytes).toBeGreaterThan(5000);
  expect(image?.expectedBytes).toBeLessThan(6000);
  const module = byPath.get('usr/lib/modules/6.1.0-31/disk.ko');
  expect(module?.source).toBeDefined();
  expect(module?.expectedBytes).toBeLessThan((module?.storedBytes ?? 0) / 4);
});

test('the rough match covers the new content, and leaves little more to be sent than the exact one', () => {
  const old = programBytes(21, 200_000);
  const cases: [string, Uint8Array, Uint8Array][] = [
    ['edited', old, edited(old, 22)],
    ['inserted before', old, Buffer.concat([noise(23, 5000), old])],
    ['cut at the front', old, old.subarray(50_000)],
    ['halves exchanged', old, Buffer.concat([old.subarray(100_000), old.subarray(0, 100_000)])],
    ['runs of one byte', Buffer.alloc(50_000), Buffer.concat([Buffer.alloc(70_000), old])],
    [
      'nothing in common but a window',
      noise(24, 40_000),
      Buffer.concat([noise(25, 9000), noise(24, 40_000)]),
    ],
  ];
  for (const [name, before, after] of cases) {
    const rough = matchAnchors(before, after);
    if (rough === undefined) throw new Error(`${name}: no common window was found`);
    let covered = 0;
    rough.diff.forEach((length, i) => {
      const start = rough.oldStart[i] ?? -1;
      expect(start >= 0 && start + length <= before.length, `${name}, segment ${i}`).toBe(true);
      expect(Math.min(length, rough.extra[i] ?? -1), `${name}, segment ${i}`).toBeGreaterThanOrEqual(0);
      covered += length + (rough.extra[i] ?? 0);
    });
    expect(covered, name).toBe(after.length);
    const exact = matchContent(before, after);
    const literals = (extra: readonly number[]): number => extra.reduce((sum, length) => sum + length, 0);
    expect(literals(rough.extra), name).toBeLessThan(literals(exact.extra) + after.length / 16);
  }
});

test('contents without a common window have no rough match', () => {
  expect(matchAnchors(noise(31, 30_000), noise(32, 30_000))).toBeUndefined();
  expect(matchAnchors(new Uint8Array(3), noise(33, 10))).toBeUndefined();
});

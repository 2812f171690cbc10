/** A release of which one file after the other is changed and cut. */
import { execa } from 'execa';
import { readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { expect } from 'vitest';
import { noEvents } from '../../src/core/events.ts';
import { verifyRelease } from '../../src/release/verify.ts';

/** Files that nothing vouches for and no client trusts, and why that is so. */
const UNCHECKED = [
  /^\.treewright\.lock$/, // nobody's content
  /^ostree\/(config|delta-indexes\/.*)$/, // hints: a client that follows them checks what it finds
  /^tuf\/1\.(targets|snapshot)\.json$/, // superseded: the timestamp leads to version 2
  /^apps\/(index\.json|oci-layout)$/, // the manifest names each artifact by digest, not through the index
  /^releases\/1\.0\/boot\/update\//, // there is none
];

async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

/** Verification names each damage to those files of `release` that `keep` chooses; done on a copy. */
export async function expectDamageRefused(
  release: string,
  copy: string,
  keep: (file: string) => boolean,
): Promise<void> {
  const verify = () => verifyRelease({ location: copy, events: noEvents, now: new Date() });
  const expectRefused = (what: string) =>
    expect(verify(), what).rejects.toMatchObject({ code: expect.stringMatching(/^trust\//) as unknown });
  await execa('cp', ['-a', release, copy]);
  const checked = (await filesBelow(copy)).filter((file) => !UNCHECKED.some((pattern) => pattern.test(file)));
  expect(checked.length).toBeGreaterThan(60);
  for (const file of checked.filter(keep)) {
    const path = join(copy, file);
    const good = await readFile(path);
    if (good.length === 0) continue;
    const bad = Buffer.from(good);
    const at = Math.floor(good.length / 2);
    bad[at] = (bad[at] ?? 0) ^ 0x20;
    await writeFile(path, bad);
    await expectRefused(`${file} changed`);
    await truncate(path, at);
    await expectRefused(`${file} cut`);
    await writeFile(path, good);
  }
  await verify();
  await rm(copy, { recursive: true });
}

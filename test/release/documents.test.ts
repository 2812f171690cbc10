/** Files about the build in a release: bound by its manifest, checked by `verify`; text in the commit's metadata. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { noEvents } from '../../src/core/events.ts';
import { openStore } from '../../src/platform/store.ts';
import { assembleRelease } from '../../src/release/assemble.ts';
import { readDocuments } from '../../src/release/documents.ts';
import { verifyRelease } from '../../src/release/verify.ts';
import { readCommit } from '../../src/repo/read.ts';
import { makeProject, makeRelease, prepareRelease } from '../support/release.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-documents-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

test('a document becomes part of the release, and a changed one is found', async () => {
  const project = await makeProject(scratch);
  const sbom = join(scratch, 'sbom.spdx.json');
  await writeFile(sbom, '{"spdxVersion":"SPDX-2.3"}\n');
  const report = await makeRelease(project, { release: 1, programs: 2, extra: `documents: [${sbom}]\n` });
  const copy = join(project.output, 'releases/1.0/documents/sbom.spdx.json');
  expect(await readFile(copy, 'utf8')).toBe('{"spdxVersion":"SPDX-2.3"}\n');
  const manifest = JSON.parse(await readFile(join(project.output, report.manifest), 'utf8')) as object;
  expect(manifest).toMatchObject({ documents: [{ path: 'documents/sbom.spdx.json', size: 27 }] });

  const verify = () => verifyRelease({ location: project.output, events: noEvents, now: new Date() });
  expect((await verify()).releases).toHaveLength(1);
  await writeFile(copy, '{"spdxVersion":"SPDX-2.2"}\n');
  await expect(verify()).rejects.toMatchObject({ code: 'trust/corrupt-file' });
});

test('two files of one name, and one that is not there', async () => {
  await expect(readDocuments(['/a/sbom.json', '/b/sbom.json'])).rejects.toMatchObject({
    code: 'input/unreadable',
  });
  const one = join(scratch, 'one.json');
  await writeFile(one, '{}');
  await expect(readDocuments([one, '/b/one.json'])).rejects.toMatchObject({
    code: 'input/duplicate-document',
  });
  expect((await readDocuments([one, one])).files).toHaveLength(1);
});

test('ostree.metadata is in the commit, after the version', async () => {
  const project = await makeProject(join(scratch, 'metadata'));
  const file = await prepareRelease(project, { release: 1, programs: 2 });
  const text = await readFile(file, 'utf8');
  await writeFile(
    file,
    text.replace('osname: gateway }', 'osname: gateway, metadata: ["yocto.layers=meta:abc"] }'),
  );
  const { commit } = await assembleRelease({
    config: await loadConfig(file),
    version: '1.0',
    events: noEvents,
    now: new Date(),
  });
  const { metadata } = await readCommit(openStore(join(project.output, 'ostree')), commit);
  expect(metadata.slice(0, 2)).toEqual([
    ['version', { signature: 's', value: '1.0' }],
    ['yocto.layers', { signature: 's', value: 'meta:abc' }],
  ]);
});

/** tuf-js, a TUF client of its own making, against what we write, over HTTP. */
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Updater } from 'tuf-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TufTarget } from '../../src/formats/tuf.ts';
import { encodeTufFile, hashedTargetPath } from '../../src/formats/tuf.ts';
import { openStore } from '../../src/platform/store.ts';
import { sha256Hex } from '../../src/trust/ed25519.ts';
import { rotateRoot } from '../../src/trust/tuf-root.ts';
import type { TufPlan, TufUpdateInput } from '../../src/trust/tuf-update.ts';
import { writeTufUpdate } from '../../src/trust/tuf-update.ts';
import { readTufState } from '../../src/trust/tuf-verify.ts';
import type { StaticServer } from '../support/http-server.ts';
import { serveDirectory } from '../support/http-server.ts';
import { DAY, KEYS, SIGNERS, firstRoot, roleOf, signer, targetOf, update } from './tuf-fixture.ts';

/** tuf-js looks at the real clock. */
const now = (): number => Math.floor(Date.now() / 1000);

let base: string;
let release: string;
let server: StaticServer;
beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'treewright-tufjs-'));
  release = join(base, 'release');
  await mkdir(join(release, 'tuf'), { recursive: true });
  server = await serveDirectory(release);
});
afterEach(async () => {
  await server.close();
  rmSync(base, { recursive: true, force: true });
});

/** Publishes targets as the release does: the files under their hashed names first, then the metadata. */
async function publish(
  content: Readonly<Record<string, string>>,
  input: Partial<TufUpdateInput> = {},
): Promise<TufPlan> {
  const targets = new Map<string, TufTarget>();
  for (const [name, text] of Object.entries(content)) {
    const bytes = Buffer.from(text);
    targets.set(name, targetOf(bytes, { version: text }));
    const path = join(release, hashedTargetPath(name, sha256Hex(bytes)));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
  }
  const current = await readTufState(openStore(join(release, 'tuf')));
  const plan = await update(current, {
    now: now(),
    targets,
    ...(current === undefined ? { root: await firstRoot({}, SIGNERS.root, now()) } : {}),
    ...input,
  });
  await writeTufUpdate(join(release, 'tuf'), plan);
  return plan;
}

/** A client with its own metadata folder, which starts from the root that the device was given. */
async function client(name: string): Promise<() => Updater> {
  const metadataDir = join(base, name);
  await mkdir(join(metadataDir, 'files'), { recursive: true });
  await writeFile(join(metadataDir, 'root.json'), await readFile(join(release, 'tuf', '1.root.json')));
  return () =>
    new Updater({
      metadataDir,
      metadataBaseUrl: `${server.url}/tuf`,
      targetDir: join(metadataDir, 'files'),
      targetBaseUrl: server.url,
      config: { fetchRetries: 0 },
    });
}

async function download(updater: Updater, name: string): Promise<string> {
  const info = await updater.getTargetInfo(name);
  if (info === undefined) throw new Error(`no target ${name}`);
  return readFile(await updater.downloadTarget(info), 'utf8');
}

const NAME = 'releases/1.0/release.json';

describe('tuf-js', () => {
  test('reads the metadata and downloads a target whose name has directories', async () => {
    await publish({ [NAME]: 'one', 'gateway-1': '' });
    const updater = (await client('a'))();
    expect(await download(updater, NAME)).toBe('one');
    expect((await updater.getTargetInfo(NAME))?.custom).toEqual({ version: 'one' });
    expect((await updater.getTargetInfo('gateway-1'))?.length).toBe(0);
    expect(await updater.getTargetInfo('absent')).toBeUndefined();
    expect(server.requests.map(({ path, status }) => `${status} ${path}`)).toEqual([
      '404 /tuf/2.root.json',
      '200 /tuf/timestamp.json',
      '200 /tuf/1.snapshot.json',
      '200 /tuf/1.targets.json',
      `200 /${hashedTargetPath(NAME, sha256Hex(Buffer.from('one')))}`,
    ]);
  });

  test('follows from one version to the next, with what it remembers', async () => {
    await publish({ [NAME]: 'one' });
    const updater = await client('a');
    expect(await download(updater(), NAME)).toBe('one');
    await publish({ [NAME]: 'two', 'releases/2.0/release.json': 'new' });
    expect(await download(updater(), NAME)).toBe('two');
    expect(await download(updater(), 'releases/2.0/release.json')).toBe('new');
    await expect(download((await client('fresh'))(), NAME)).resolves.toBe('two');
  });

  test('stays on the old version while an update is half written', async () => {
    await publish({ [NAME]: 'one' });
    const updater = await client('a');
    const state = await readTufState(openStore(join(release, 'tuf')));
    const plan = await update(state, { now: now(), targets: new Map() });
    for (let count = 0; count < plan.files.length; count++) {
      await writeTufUpdate(join(release, 'tuf'), { ...plan, files: plan.files.slice(0, count) });
      expect(await download(updater(), NAME)).toBe('one');
    }
    await writeTufUpdate(join(release, 'tuf'), plan);
    expect(await updater().getTargetInfo(NAME)).toBeUndefined();
  });

  test('follows a rotation of every key', async () => {
    await publish({ [NAME]: 'one' });
    const updater = await client('a');
    expect(await download(updater(), NAME)).toBe('one');
    const fresh = {
      root: [signer(11)],
      targets: [signer(12)],
      snapshot: [signer(13)],
      timestamp: [signer(14)],
    };
    const state = await readTufState(openStore(join(release, 'tuf')));
    if (state === undefined) throw new Error('no state');
    const root = await rotateRoot(state.root, {
      keys: {
        root: roleOf(fresh.root),
        targets: roleOf(fresh.targets),
        snapshot: roleOf(fresh.snapshot),
        timestamp: roleOf(fresh.timestamp),
      },
      signers: [...SIGNERS.root, ...fresh.root],
      now: now(),
      validity: DAY * 365,
    });
    await publish({ [NAME]: 'two' }, { root, signers: fresh });
    expect(await download(updater(), NAME)).toBe('two');
  });

  test('accepts a role that two of three keys sign, and refuses one signature of it', async () => {
    const three = [signer(21), signer(22), signer(23)];
    const root = await firstRoot({ ...KEYS, timestamp: roleOf(three, 2) }, SIGNERS.root, now());
    const { state } = await publish(
      { [NAME]: 'one' },
      { root, signers: { ...SIGNERS, timestamp: three.slice(0, 2) } },
    );
    expect(await download((await client('a'))(), NAME)).toBe('one');
    const { signed, signatures } = state.published.timestamp;
    await writeFile(join(release, 'tuf', 'timestamp.json'), encodeTufFile(signed, signatures.slice(1)));
    await expect((await client('b'))().refresh()).rejects.toThrow(/signed by 1\/2 keys/);
  });

  test.each(['timestamp.json', '1.snapshot.json', '1.targets.json'])('refuses a changed %s', async (name) => {
    await publish({ [NAME]: 'one' });
    const path = join(release, 'tuf', name);
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('"version":1', '"version":2'));
    await expect(download((await client('a'))(), NAME)).rejects.toThrow();
    await writeFile(path, text);
    await expect(download((await client('b'))(), NAME)).resolves.toBe('one');
  });

  test('refuses a changed target file, and one that is too long', async () => {
    await publish({ [NAME]: 'one' });
    const path = join(release, hashedTargetPath(NAME, sha256Hex(Buffer.from('one'))));
    for (const content of ['eno', 'one and more']) {
      await writeFile(path, content);
      await expect(download((await client(content.replaceAll(' ', '')))(), NAME)).rejects.toThrow();
    }
  });

  test('refuses to go back to an earlier version', async () => {
    const first = await publish({ [NAME]: 'one' });
    const updater = await client('a');
    await publish({ [NAME]: 'two' });
    expect(await download(updater(), NAME)).toBe('two');
    await writeTufUpdate(join(release, 'tuf'), { ...first, files: first.files.slice(1) });
    await expect(updater().refresh()).rejects.toThrow(/version 1 is less than current version 2/);
  });

  test('refuses what has expired', async () => {
    await publish({ [NAME]: 'one' }, { now: now() - 8 * DAY });
    await expect((await client('a'))().refresh()).rejects.toThrow(/expired/);
  });
});

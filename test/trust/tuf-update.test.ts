import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromUtf8 } from '../../src/core/bytes.ts';
import type { TufTarget } from '../../src/formats/tuf.ts';
import { openStore } from '../../src/platform/store.ts';
import { sha256Hex } from '../../src/trust/ed25519.ts';
import { createRoot, rotateRoot } from '../../src/trust/tuf-root.ts';
import type { TufPlan } from '../../src/trust/tuf-update.ts';
import { writeTufUpdate } from '../../src/trust/tuf-update.ts';
import { readTufState, verifyTufRepository } from '../../src/trust/tuf-verify.ts';
import {
  DAY,
  KEYS,
  NOW,
  SIGNERS,
  VALIDITY,
  apply,
  firstPlan,
  firstRoot,
  roleOf,
  signer,
  storeOf,
  targetOf,
  update,
} from './tuf-fixture.ts';

const bad = (code: string, message = /./): Error =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error;
const names = (plan: TufPlan): string[] => plan.files.map(([name]) => name);
const json = (plan: TufPlan, name: string): { signed: Record<string, unknown>; signatures: unknown[] } => {
  const bytes = plan.files.find(([file]) => file === name)?.[1];
  return JSON.parse(fromUtf8(bytes ?? new Uint8Array(0)) ?? '') as ReturnType<typeof json>;
};
const targetsNamed = (...list: string[]): ReadonlyMap<string, TufTarget> =>
  new Map(list.map((name) => [name, targetOf(Buffer.from(name), { name })]));

describe('the first update', () => {
  test('has both name forms, timestamp.json last, and the plain names hold the same bytes', async () => {
    const plan = await firstPlan();
    expect(names(plan)).toEqual([
      '1.root.json',
      '1.targets.json',
      '1.snapshot.json',
      'targets.json',
      'snapshot.json',
      'timestamp.json',
    ]);
    const files = apply(plan);
    expect(files.get('targets.json')).toEqual(files.get('1.targets.json'));
    expect(files.get('snapshot.json')).toEqual(files.get('1.snapshot.json'));
    expect(plan.diagnostics).toEqual([]);
  });

  test('says what it must, in canonical bytes without a newline', async () => {
    const plan = await firstPlan();
    for (const [name, bytes] of plan.files) {
      const text = fromUtf8(bytes) ?? '';
      expect(text).toMatch(/^\{"signatures":.*\}$/);
      expect(text, name).not.toMatch(/[^\x21-\x7e]/);
    }
    expect(json(plan, 'timestamp.json').signed).toEqual({
      _type: 'timestamp',
      spec_version: '1.0.33',
      version: 1,
      expires: '2026-11-30T00:00:00Z',
      meta: {
        'snapshot.json': {
          version: 1,
          length: plan.state.published.snapshot.bytes.length,
          hashes: { sha256: sha256Hex(plan.state.published.snapshot.bytes) },
        },
      },
    });
    expect(json(plan, 'snapshot.json').signed['meta']).toEqual({
      'targets.json': {
        version: 1,
        length: plan.state.published.targets.bytes.length,
        hashes: { sha256: sha256Hex(plan.state.published.targets.bytes) },
      },
    });
    const root = json(plan, '1.root.json');
    expect(root.signed).toMatchObject({ _type: 'root', consistent_snapshot: true, version: 1 });
    expect(Object.keys(root.signed['keys'] as object).sort()).toEqual(
      Object.values(SIGNERS)
        .map(([one]) => one.keyid as string)
        .sort(),
    );
    expect(root.signatures).toHaveLength(1);
  });

  test('the same input gives the same bytes', async () => {
    expect((await firstPlan()).files).toEqual((await firstPlan()).files);
  });

  test('needs a root', async () => {
    await expect(update(undefined, { targets: new Map() })).rejects.toThrow(bad('trust/no-root'));
  });
});

describe('the next update', () => {
  test('counts from what was published, keeps unknown members and does not write the root again', async () => {
    const first = await firstPlan();
    const second = await update(first.state, { targets: targetsNamed('a', 'b') });
    expect(names(second)).toEqual([
      '2.targets.json',
      '2.snapshot.json',
      'targets.json',
      'snapshot.json',
      'timestamp.json',
    ]);
    expect(json(second, 'timestamp.json').signed['version']).toBe(2);
    expect([...second.state.published.targets.signed.targets.keys()]).toEqual(['a', 'b']);
  });

  test('a server that holds the timestamp key alone renews the timestamp alone', async () => {
    const first = await firstPlan();
    const later = { now: NOW + 5 * DAY, signers: { timestamp: SIGNERS.timestamp } };
    const second = await update(first.state, later);
    expect(json(second, 'timestamp.json').signed).toMatchObject({
      version: 2,
      expires: '2026-12-05T00:00:00Z',
      meta: { 'snapshot.json': { version: 1 } },
    });
    expect(second.state.published.targets).toBe(first.state.published.targets);
    const verified = await verifyTufRepository(storeOf(apply(second, apply(first))), { now: NOW + 11 * DAY });
    expect(verified.timestamp.signed.version).toBe(2);
  });

  test('with the targets key and no new targets, everything is signed again and the targets stay', async () => {
    const first = await firstPlan();
    const second = await update(first.state, { now: NOW + 80 * DAY });
    expect(second.state.published.targets.signed).toMatchObject({
      version: 2,
      expires: '2027-05-12T00:00:00Z',
    });
    expect(second.state.published.targets.signed.targets).toEqual(
      first.state.published.targets.signed.targets,
    );
  });

  test('what is taken over may not have expired', async () => {
    const first = await firstPlan();
    const input = { now: NOW + 31 * DAY, signers: { timestamp: SIGNERS.timestamp } };
    await expect(update(first.state, input)).rejects.toThrow(
      bad('trust/expired', /snapshot version 1.*role snapshot/),
    );
  });

  test('new targets without the key of a role they touch are refused, naming the role', async () => {
    const first = await firstPlan();
    for (const role of ['targets', 'snapshot', 'timestamp'] as const) {
      const signers = { ...SIGNERS, [role]: undefined };
      await expect(update(first.state, { targets: targetsNamed('a'), signers })).rejects.toThrow(
        bad('trust/missing-signer', new RegExp(`role ${role} needs 1 .*at hand for it are none`)),
      );
      const wrong = { ...SIGNERS, [role]: [signer(99)] };
      await expect(update(first.state, { targets: targetsNamed('a'), signers: wrong })).rejects.toThrow(
        bad('trust/missing-signer', new RegExp(signer(99).keyid.slice(0, 16))),
      );
    }
  });
});

describe('what is refused or announced', () => {
  test.each(['../x', 'a b', 'a%2fb', 'a?b', 'a#b', 'é', 'a\nb', '', '/a', 'a//b', 'a\\b'])(
    'the target name %j',
    async (name) => {
      await expect(update((await firstPlan()).state, { targets: targetsNamed(name) })).rejects.toThrow(
        bad('input/bad-target-name'),
      );
    },
  );

  test('names that stock releases have', async () => {
    const list = ['gateway-1.0', 'a/b/c.json', 'gateway_1.0+git~rc1@x:y=z,(1)!'];
    await expect(
      update((await firstPlan()).state, { targets: targetsNamed(...list) }),
    ).resolves.toBeDefined();
  });

  test('custom data that clients sign differently', async () => {
    const { state } = await firstPlan();
    const targets = new Map([['a', targetOf(Buffer.from(''), { note: 'é' })]]);
    await expect(update(state, { targets })).rejects.toThrow(
      bad('input/not-canonical', /\/targets\/a\/custom\/note/),
    );
  });

  test('targets metadata is noted beyond 64 KiB, warned of beyond 4 MiB, refused beyond 8 MiB', async () => {
    const { state } = await firstPlan();
    const sized = (bytes: number): Promise<TufPlan> =>
      update(state, {
        targets: new Map([['a', targetOf(Buffer.from(''), { filler: 'x'.repeat(bytes) })]]),
      });
    expect((await sized(60_000)).diagnostics).toEqual([]);
    expect((await sized(65_536)).diagnostics).toMatchObject([
      { severity: 'note', code: 'trust/metadata-large' },
    ]);
    expect((await sized(4 * 1024 * 1024)).diagnostics).toMatchObject([
      { severity: 'warning', code: 'trust/metadata-large' },
    ]);
    await expect(sized(8 * 1024 * 1024)).rejects.toThrow(bad('trust/metadata-too-large', /remove targets/));
  });

  test.each([0, -1, 1.5, NaN])('a validity of %s seconds', async (timestamp) => {
    await expect(update((await firstPlan()).state, { validity: { ...VALIDITY, timestamp } })).rejects.toThrow(
      bad('config/bad-validity'),
    );
  });

  test('an expired root, and one that soon will be', async () => {
    const { state } = await firstPlan();
    await expect(update(state, { now: NOW + 365 * DAY })).rejects.toThrow(
      bad('trust/expired', /root version 1/),
    );
    expect((await update(state, { now: NOW + 336 * DAY })).diagnostics).toMatchObject([
      { severity: 'warning', code: 'trust/root-expires-soon' },
    ]);
  });
});

describe('roots', () => {
  test('a root needs no private key but its own', async () => {
    const root = await createRoot({ keys: KEYS, signers: SIGNERS.root, now: NOW, validity: DAY });
    expect(root.signed).toMatchObject({ version: 1, expires: '2026-11-24T00:00:00Z' });
    await expect(
      createRoot({ keys: KEYS, signers: SIGNERS.targets, now: NOW, validity: DAY }),
    ).rejects.toThrow(bad('trust/missing-signer', /role root/));
  });

  test.each([0, 2, 1.5, NaN])('a threshold of %s for one key is refused', async (threshold) => {
    await expect(firstRoot({ targets: roleOf([signer(2)], threshold) })).rejects.toThrow(
      bad('config/bad-threshold', /role targets/),
    );
  });

  test('one key given twice counts once towards the threshold', async () => {
    await expect(firstRoot({ targets: roleOf([signer(2), signer(2)], 2) })).rejects.toThrow(
      bad('config/bad-threshold'),
    );
  });

  test('two of three must sign where the threshold is two', async () => {
    const three = [signer(21), signer(22), signer(23)];
    const root = await firstRoot({ targets: roleOf(three, 2) });
    const with2 = { ...SIGNERS, targets: three.slice(1) };
    const plan = await update(undefined, { root, targets: targetsNamed('a'), signers: with2 });
    expect(plan.state.published.targets.signatures).toHaveLength(2);
    await expect(verifyTufRepository(storeOf(apply(plan)), { now: NOW })).resolves.toBeDefined();
    const with1 = { ...SIGNERS, targets: three.slice(2) };
    await expect(update(undefined, { root, targets: targetsNamed('a'), signers: with1 })).rejects.toThrow(
      bad('trust/missing-signer', /role targets needs 2/),
    );
    const sameTwice = { ...SIGNERS, targets: [signer(21), signer(21)] };
    await expect(update(undefined, { root, targets: new Map(), signers: sameTwice })).rejects.toThrow(
      bad('trust/missing-signer'),
    );
  });

  test('a rotation is signed by the old and the new keys, and the roles again behind it', async () => {
    const first = await firstPlan();
    const fresh = {
      root: [signer(11)],
      targets: [signer(12)],
      snapshot: [signer(13)],
      timestamp: [signer(14)],
    };
    const keys = {
      root: roleOf(fresh.root),
      targets: roleOf(fresh.targets),
      snapshot: roleOf(fresh.snapshot),
      timestamp: roleOf(fresh.timestamp),
    };
    const input = { keys, now: NOW, validity: 365 * DAY };
    for (const signers of [SIGNERS.root, fresh.root]) {
      await expect(rotateRoot(first.state.root, { ...input, signers })).rejects.toThrow(
        bad('trust/missing-signer'),
      );
    }
    const root = await rotateRoot(first.state.root, { ...input, signers: [...fresh.root, ...SIGNERS.root] });
    expect(root.signatures).toHaveLength(2);
    await expect(update(first.state, { root, signers: SIGNERS })).rejects.toThrow(
      bad('trust/missing-signer'),
    );
    const second = await update(first.state, { root, signers: fresh });
    expect(names(second)[0]).toBe('2.root.json');
    const files = apply(second, apply(first));
    for (const trusted of ['1.root.json', '2.root.json']) {
      const trustedRoot = files.get(trusted) ?? new Uint8Array(0);
      await expect(verifyTufRepository(storeOf(files), { trustedRoot, now: NOW })).resolves.toMatchObject({
        root: { signed: { version: 2 } },
        warnings: [],
      });
    }
  });

  test('a rotation with the same keys renews the expiry with one signature', async () => {
    const { state } = await firstPlan();
    const renewed = await rotateRoot(state.root, {
      keys: KEYS,
      signers: SIGNERS.root,
      now: NOW + 360 * DAY,
      validity: 365 * DAY,
    });
    expect(renewed.signatures).toHaveLength(1);
    const plan = await update(state, { root: renewed, now: NOW + 400 * DAY });
    expect(plan.state.root.signed.version).toBe(2);
  });

  test('a role whose key goes away is signed again even if nothing else of it changes', async () => {
    const first = await firstPlan();
    const root = await rotateRoot(first.state.root, {
      keys: { ...KEYS, targets: roleOf([signer(12)]) },
      signers: SIGNERS.root,
      now: NOW,
      validity: 365 * DAY,
    });
    const signers = { timestamp: SIGNERS.timestamp, snapshot: SIGNERS.snapshot };
    await expect(update(first.state, { root, signers })).rejects.toThrow(
      bad('trust/threshold', /1\.targets\.json/),
    );
  });

  test('a root of someone else is not published as the next one', async () => {
    const first = await firstPlan();
    const stranger = await firstRoot({ root: roleOf([signer(66)]) }, [signer(66)]);
    await expect(update(first.state, { root: stranger })).rejects.toThrow(bad('trust/version-mismatch'));
    const claims2 = await rotateRoot(stranger, {
      keys: { ...KEYS, root: roleOf([signer(66)]) },
      signers: [signer(66)],
      now: NOW,
      validity: DAY,
    });
    await expect(update(first.state, { root: claims2 })).rejects.toThrow(
      bad('trust/threshold', /2\.root\.json/),
    );
  });
});

describe('on disk', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'treewright-tuf-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  test('what was written reads back as the state to go on from', async () => {
    const tuf = join(dir, 'tuf');
    const store = openStore(tuf);
    expect(await readTufState(store)).toBeUndefined();
    const first = await firstPlan();
    await writeTufUpdate(tuf, first);
    expect((await readdir(tuf)).sort()).toEqual(names(first).sort());
    const state = await readTufState(store);
    const second = await update(state, { targets: targetsNamed('b') });
    await writeTufUpdate(tuf, second);
    await expect(verifyTufRepository(store, { now: NOW })).resolves.toMatchObject({
      targets: { signed: { version: 2 } },
    });
    expect(await readFile(join(tuf, '1.targets.json'))).toEqual(
      Buffer.from(first.state.published.targets.bytes),
    );
  });

  test('killed after any file: the old or the new state verifies, and the next run completes', async () => {
    const first = await firstPlan();
    const second = await update(first.state, { targets: targetsNamed('b') });
    for (let count = 0; count <= second.files.length; count++) {
      const files = apply(second, apply(first), count);
      const done = count === second.files.length;
      const found = await verifyTufRepository(storeOf(files), { now: NOW });
      expect(found.targets.signed.version).toBe(done ? 2 : 1);
      // aktualizr reads the plain names; the verifier says when they are ahead of the timestamp.
      const ahead = found.warnings.filter(({ code }) => code === 'trust/interrupted-update').length;
      expect(ahead).toBe(done ? 0 : Math.max(0, count - 2));

      const again = await update(await readTufState(storeOf(files)), { targets: targetsNamed('c') });
      const after = await verifyTufRepository(storeOf(apply(again, files)), { now: NOW });
      expect(after.targets.signed.version).toBe(done ? 3 : 2);
      expect([...after.targets.signed.targets.keys()]).toEqual(['c']);
      expect(after.warnings).toMatchObject([{ code: 'trust/first-use' }]);
    }
  });

  test('the very first update killed after any file can be done again', async () => {
    const plan = await firstPlan();
    for (let count = 0; count < plan.files.length; count++) {
      const files = apply(plan, new Map(), count);
      const state = await readTufState(storeOf(files));
      expect(state?.published).toBeUndefined();
      const input = state === undefined ? { root: await firstRoot() } : {};
      const again = await update(state, { ...input, targets: targetsNamed('z') });
      const after = await verifyTufRepository(storeOf(apply(again, files)), { now: NOW });
      expect(after.targets.signed.version).toBe(1);
    }
  });

  test('a rotation killed after any file can be completed', async () => {
    const first = await firstPlan();
    const fresh = { ...SIGNERS, targets: [signer(12)], timestamp: [signer(14)] };
    const root = await rotateRoot(first.state.root, {
      keys: { ...KEYS, targets: roleOf(fresh.targets), timestamp: roleOf(fresh.timestamp) },
      signers: SIGNERS.root,
      now: NOW,
      validity: 365 * DAY,
    });
    const plan = await update(first.state, { root, signers: fresh });
    for (let count = 0; count < plan.files.length; count++) {
      const files = apply(plan, apply(first), count);
      const state = await readTufState(storeOf(files));
      const again = await update(state, { ...(count === 0 ? { root } : {}), signers: fresh });
      const after = await verifyTufRepository(storeOf(apply(again, files)), { now: NOW });
      expect([after.root.signed.version, after.targets.signed.version]).toEqual([2, 2]);
    }
  });

  test('a state that was tampered with is not built upon', async () => {
    await writeTufUpdate(dir, await firstPlan());
    const file = join(dir, '1.targets.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace('releases/1', 'releases/2'));
    await expect(readTufState(openStore(dir))).rejects.toThrow(
      bad('trust/hash-mismatch', /1\.targets\.json/),
    );
  });

  test('a trusted root keeps the whole repository of a stranger from being built upon', async () => {
    const stranger = await update(undefined, {
      root: await firstRoot({ root: roleOf([signer(66)]) }, [signer(66)]),
      targets: targetsNamed('evil'),
    });
    const mine = await firstRoot();
    const rotated = await rotateRoot(mine, { keys: KEYS, signers: SIGNERS.root, now: NOW, validity: DAY });
    await writeTufUpdate(dir, stranger);
    // Version 1 of either has the same number; the stranger's next version cannot follow the trusted one.
    const theirs = await rotateRoot(stranger.state.root, {
      keys: { ...KEYS, root: roleOf([signer(66)]) },
      signers: [signer(66)],
      now: NOW,
      validity: DAY,
    });
    await writeFile(join(dir, '2.root.json'), theirs.bytes);
    await expect(readTufState(openStore(dir), { trustedRoot: mine.bytes })).rejects.toThrow(
      bad('trust/threshold', /2\.root\.json/),
    );
    await writeFile(join(dir, '2.root.json'), rotated.bytes);
    await expect(readTufState(openStore(dir), { trustedRoot: mine.bytes })).resolves.toMatchObject({
      root: { signed: { version: 2 } },
    });
  });
});

import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { utf8 } from '../../src/core/bytes.ts';
import { encodeCanonicalJson } from '../../src/formats/canonical-json.ts';
import type { TufDocument, TufMeta, TufModels, TufRole } from '../../src/formats/tuf.ts';
import { decodeTufFile, ed25519TufKey, encodeTufFile } from '../../src/formats/tuf.ts';
import { openStore } from '../../src/platform/store.ts';
import { sha256Hex } from '../../src/trust/ed25519.ts';
import { rotateRoot } from '../../src/trust/tuf-root.ts';
import { signTuf, signingsFor } from '../../src/trust/tuf-sign.ts';
import type { TufPlan } from '../../src/trust/tuf-update.ts';
import { writeTufUpdate } from '../../src/trust/tuf-update.ts';
import type { VerifiedTuf } from '../../src/trust/tuf-verify.ts';
import { readTufState, verifyTargetBytes, verifyTufRepository } from '../../src/trust/tuf-verify.ts';
import type { Files } from './tuf-fixture.ts';
import {
  DAY,
  KEYS,
  NOW,
  SIGNERS,
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

let plan: TufPlan;
let files: Files;
beforeEach(async () => {
  plan = await firstPlan();
  files = apply(plan);
});

const verify = (changed: Files = files, now = NOW): Promise<VerifiedTuf> =>
  verifyTufRepository(storeOf(changed), { trustedRoot: plan.state.root.bytes, now });

/** A role's file with other content, properly signed. */
async function resigned<R extends 'targets' | 'snapshot' | 'timestamp'>(
  role: R,
  change: Partial<TufModels[R]>,
): Promise<TufDocument<TufModels[R]>> {
  const model = { ...plan.state.published[role].signed, ...change } as TufModels[R];
  return signTuf<R>(model, signingsFor(plan.state.root.signed, role, SIGNERS[role]));
}

describe('a whole repository', () => {
  test('gives the four files and no warning under a trusted root', async () => {
    const verified = await verify();
    expect(verified.warnings).toEqual([]);
    expect(verified.root.bytes).toEqual(files.get('1.root.json'));
    expect([...verified.targets.signed.targets.keys()]).toEqual(['releases/1/release.json']);
    expect(verified.snapshot.signed.version).toBe(1);
    expect(verified.timestamp.signed.version).toBe(1);
  });

  test('without a trusted root believes 1.root.json, and says so', async () => {
    const { warnings } = await verifyTufRepository(storeOf(files), { now: NOW });
    expect(warnings).toMatchObject([{ severity: 'warning', code: 'trust/first-use' }]);
  });

  test('a trusted root of any version in the chain will do, and the chain need not start at it', async () => {
    const second = await rotateRoot(plan.state.root, {
      keys: KEYS,
      signers: SIGNERS.root,
      now: NOW,
      validity: 365 * DAY,
    });
    files.set('2.root.json', second.bytes);
    files.delete('1.root.json');
    for (const trustedRoot of [plan.state.root.bytes, second.bytes]) {
      const verified = await verifyTufRepository(storeOf(files), { trustedRoot, now: NOW });
      expect(verified.root.signed.version).toBe(2);
    }
    await expect(verifyTufRepository(storeOf(files), { now: NOW })).rejects.toThrow(
      bad('trust/missing-metadata', /1\.root\.json/),
    );
  });
});

describe('every byte counts', () => {
  test.each([
    '1.root.json',
    '1.targets.json',
    '1.snapshot.json',
    'timestamp.json',
    'targets.json',
    'snapshot.json',
  ])('a change anywhere in %s is found and the file named', async (name) => {
    const original = files.get(name) ?? new Uint8Array(0);
    for (let at = 0; at < original.length; at += name === '1.root.json' ? 37 : 11) {
      const changed = Uint8Array.from(original);
      changed[at] = (changed[at] ?? 0) ^ 1;
      // Without a trusted root: the repository's own copy of it must be checked too.
      const attempt = verifyTufRepository(storeOf(new Map([...files, [name, changed]])), { now: NOW });
      const failure = await attempt.then(
        () => undefined,
        (error: unknown) => error as { code: string; message: string },
      );
      expect(failure, `byte ${at} of ${name}`).toBeDefined();
      expect(failure?.code).toMatch(/^trust\//);
      // A key taken out of the root by a changed byte shows in the first file that it should have signed.
      if (name !== '1.root.json') expect(failure?.message).toContain(name);
    }
  });

  test.each(['1.targets.json', '1.snapshot.json', 'timestamp.json'])('%s missing', async (name) => {
    files.delete(name);
    await expect(verify()).rejects.toThrow(
      bad('trust/missing-metadata', new RegExp(name.replaceAll('.', '\\.'))),
    );
  });

  test.each(['1.targets.json', '1.snapshot.json', 'timestamp.json', '1.root.json'])(
    '%s cut short',
    async (name) => {
      files.set(name, (files.get(name) ?? new Uint8Array(0)).slice(0, -1));
      await expect(verifyTufRepository(storeOf(files), { now: NOW })).rejects.toThrow(
        bad(name.startsWith('1.') && name !== '1.root.json' ? 'trust/hash-mismatch' : 'trust/bad-metadata'),
      );
    },
  );
});

describe('signatures', () => {
  test.each(['targets', 'snapshot', 'timestamp'] as const)(
    '%s signed with another role’s key',
    async (role) => {
      const document = plan.state.published[role];
      const wrong = role === 'targets' ? signer(3) : signer(2);
      const forged = await signTuf<typeof role>(document.signed, [{ keyid: wrong.keyid, signer: wrong }]);
      replaceChain(role, forged.bytes);
      // Everything above it is signed again with the true keys, so that its own signature alone is wrong.
      await sealAbove(role);
      await expect(verify()).rejects.toThrow(
        bad('trust/threshold', new RegExp(`${role}\\.json .*expected 1`)),
      );
    },
  );

  const replaceChain = (role: 'targets' | 'snapshot' | 'timestamp', bytes: Uint8Array): void => {
    files.set(role === 'timestamp' ? 'timestamp.json' : `1.${role}.json`, bytes);
    files.set(`${role}.json`, bytes);
  };
  const metaOf = (bytes: Uint8Array): TufMeta => ({
    version: 1,
    length: bytes.length,
    hashes: { sha256: sha256Hex(bytes) },
    extra: {},
  });
  const sealAbove = async (role: TufRole): Promise<void> => {
    if (role === 'targets') {
      const meta = new Map([['targets.json', metaOf(files.get('1.targets.json') ?? utf8(''))]]);
      replaceChain('snapshot', (await resigned('snapshot', { meta })).bytes);
    }
    if (role === 'targets' || role === 'snapshot') {
      const snapshot = metaOf(files.get('1.snapshot.json') ?? utf8(''));
      replaceChain('timestamp', (await resigned('timestamp', { snapshot })).bytes);
    }
  };

  test('one key under two ids is one key', async () => {
    const key = signer(2);
    const root = plan.state.root.signed;
    const twice = {
      ...root,
      keys: new Map([
        ...root.keys,
        ['k1', ed25519TufKey(key.public)],
        ['k2', ed25519TufKey(key.public)],
      ] as const),
      roles: new Map([
        ...root.roles,
        ['targets', { keyids: ['k1', 'k2'], threshold: 2, extra: {} }],
      ] as const),
    };
    const tricky = await signTuf<'root'>(twice, signingsFor(root, 'root', SIGNERS.root));
    const targets = await signTuf<'targets'>(plan.state.published.targets.signed, [
      { keyid: 'k1', signer: key },
      { keyid: 'k2', signer: key },
    ]);
    replaceChain('targets', targets.bytes);
    await sealAbove('targets');
    await expect(
      verifyTufRepository(storeOf(files), { trustedRoot: tricky.bytes, now: NOW }),
    ).rejects.toThrow(bad('trust/threshold', /1 valid signature.*expected 2/));
  });

  test('a signature under an unknown key id neither helps nor hurts', async () => {
    const stranger = signer(77);
    const { signed } = plan.state.published.timestamp;
    const both = await signTuf<'timestamp'>(signed, [
      { keyid: stranger.keyid, signer: stranger },
      { keyid: signer(4).keyid, signer: signer(4) },
    ]);
    files.set('timestamp.json', both.bytes);
    await expect(verify()).resolves.toBeDefined();
    const alone = await signTuf<'timestamp'>(signed, [{ keyid: stranger.keyid, signer: stranger }]);
    files.set('timestamp.json', alone.bytes);
    await expect(verify()).rejects.toThrow(bad('trust/threshold', /0 valid/));
  });

  test('a true signature under another key’s id does not count', async () => {
    const { signed } = plan.state.published.timestamp;
    const mislabelled = await signTuf<'timestamp'>(signed, [{ keyid: signer(3).keyid, signer: signer(4) }]);
    files.set('timestamp.json', mislabelled.bytes);
    await expect(verify()).rejects.toThrow(bad('trust/threshold'));
  });

  test('no signatures at all', async () => {
    files.set('timestamp.json', encodeTufFile(plan.state.published.timestamp.signed, []));
    await expect(verify()).rejects.toThrow(bad('trust/threshold', /0 valid/));
  });

  test('keys of other kinds in the root are passed over, not counted', async () => {
    const root = plan.state.root.signed;
    const rsa = { keytype: 'rsa', scheme: 'rsassa-pss-sha256', public: 'ab'.repeat(32), extra: {} };
    const mixed = {
      ...root,
      keys: new Map([...root.keys, ['rsa-key', rsa]] as const),
      roles: new Map([
        ...root.roles,
        ['timestamp', { keyids: ['rsa-key', signer(4).keyid], threshold: 1, extra: {} }],
      ] as const),
    };
    const signed = await signTuf<'root'>(mixed, signingsFor(root, 'root', SIGNERS.root));
    await expect(
      verifyTufRepository(storeOf(files), { trustedRoot: signed.bytes, now: NOW }),
    ).resolves.toBeDefined();
  });

  test('metadata that others wrote with spaces and characters beyond ASCII verifies', async () => {
    const json = {
      ...(JSON.parse(Buffer.from(plan.state.published.timestamp.signedBytes).toString()) as object),
      'x-note': 'héllo\n😀',
    };
    const sig = await signer(4).sign(encodeCanonicalJson(json, 'any'));
    const text = JSON.stringify(
      { signed: json, signatures: [{ keyid: signer(4).keyid, sig: Buffer.from(sig).toString('hex') }] },
      null,
      2,
    );
    files.set('timestamp.json', utf8(`${text}\n`));
    await expect(verify()).resolves.toMatchObject({
      timestamp: { signed: { extra: { 'x-note': 'héllo\n😀' } } },
    });
  });

  test('an older snapshot, or a mix of two releases, is refused', async () => {
    const second = await update(plan.state, { targets: new Map([['b', targetOf(utf8('b'))]]) });
    const both = apply(second, files);
    const mixed: (readonly [string, string])[] = [
      ['2.snapshot.json', '1.snapshot.json'],
      ['2.targets.json', '1.targets.json'],
    ];
    for (const [to, from] of mixed) {
      const changed = new Map([...both, [to, both.get(from) ?? utf8('')] as const]);
      await expect(verify(changed)).rejects.toThrow(bad('trust/hash-mismatch', new RegExp(to)));
    }
  });

  test('digests that agree do not excuse another version number', async () => {
    const snapshot = { ...metaOf(files.get('1.snapshot.json') ?? utf8('')), version: 7 };
    files.set('7.snapshot.json', files.get('1.snapshot.json') ?? utf8(''));
    replaceChain('timestamp', (await resigned('timestamp', { snapshot })).bytes);
    await expect(verify()).rejects.toThrow(bad('trust/version-mismatch', /7\.snapshot\.json says version 1/));
  });

  test('a meta without length and hashes is checked by signature and version', async () => {
    const { version, extra } = metaOf(utf8(''));
    replaceChain(
      'snapshot',
      (await resigned('snapshot', { meta: new Map([['targets.json', { version, extra }]]) })).bytes,
    );
    await sealAbove('snapshot');
    await expect(verify()).resolves.toBeDefined();
    replaceChain('targets', utf8('{}'));
    await expect(verify()).rejects.toThrow(bad('trust/bad-metadata', /1\.targets\.json/));
  });

  test('a meta with digests of unknown kinds only is refused', async () => {
    const meta = new Map([['targets.json', { version: 1, hashes: { md5: 'ab' }, extra: {} }]]);
    replaceChain('snapshot', (await resigned('snapshot', { meta })).bytes);
    await sealAbove('snapshot');
    await expect(verify()).rejects.toThrow(bad('trust/hash-mismatch', /md5.*none is sha256 or sha512/));
  });

  test('a snapshot that does not list targets.json', async () => {
    replaceChain('snapshot', (await resigned('snapshot', { meta: new Map() })).bytes);
    await sealAbove('snapshot');
    await expect(verify()).rejects.toThrow(bad('trust/bad-metadata', /does not list targets\.json/));
  });

  test('delegated metadata is announced as unchecked', async () => {
    const meta = new Map<string, TufMeta>([
      ['targets.json', metaOf(files.get('1.targets.json') ?? utf8(''))],
      ['team.json', { version: 1, extra: {} }],
    ]);
    replaceChain('snapshot', (await resigned('snapshot', { meta })).bytes);
    await sealAbove('snapshot');
    expect((await verify()).warnings).toMatchObject([{ code: 'trust/delegations-unchecked' }]);
  });
});

describe('times', () => {
  test.each([
    ['timestamp.json', 7],
    ['1.snapshot.json', 30],
    ['1.targets.json', 90],
    ['1.root.json', 365],
  ])('%s is good until the second it expires', async (name, days) => {
    // The others are made to live longer, so that this one is the first to go.
    const longest = { targets: 9999 * DAY, snapshot: 9999 * DAY, timestamp: 9999 * DAY };
    const role = name.replace(/^1\.|\.json/g, '').replace('.json', '');
    const one = await update(undefined, {
      root: plan.state.root,
      targets: new Map(),
      validity: role === 'root' ? longest : { ...longest, [role]: days * DAY },
    });
    const changed = apply(one);
    await expect(verify(changed, NOW + Math.min(days, 365) * DAY - 1)).resolves.toBeDefined();
    await expect(verify(changed, NOW + days * DAY)).rejects.toThrow(
      bad('trust/expired', new RegExp(`^${name.replaceAll('.', '\\.')} expired on`)),
    );
  });

  test('an expired root in the middle of the chain is followed', async () => {
    const short = await firstRoot({}, SIGNERS.root, NOW - 400 * DAY);
    const next = await rotateRoot(short, {
      keys: KEYS,
      signers: SIGNERS.root,
      now: NOW,
      validity: 365 * DAY,
    });
    files.set('2.root.json', next.bytes);
    await expect(
      verifyTufRepository(storeOf(files), { trustedRoot: short.bytes, now: NOW }),
    ).resolves.toMatchObject({ root: { signed: { version: 2 } } });
  });

  test('expired metadata is still a state to go on from', async () => {
    const state = await readTufState(storeOf(files));
    expect(state?.published?.timestamp.signed.version).toBe(1);
    const input = { now: NOW + 100 * DAY };
    await expect(verify(files, input.now)).rejects.toThrow(bad('trust/expired'));
    const renewed = apply(await update(state, input), files);
    await expect(verify(renewed, input.now)).resolves.toMatchObject({ targets: { signed: { version: 2 } } });
  });
});

describe('roots', () => {
  const rotation = { keys: KEYS, now: NOW, validity: 365 * DAY };

  test('a gap in the chain ends it at the older root', async () => {
    const second = await rotateRoot(plan.state.root, { ...rotation, signers: SIGNERS.root });
    const third = await rotateRoot(second, { ...rotation, signers: SIGNERS.root });
    files.set('3.root.json', third.bytes);
    expect((await verify()).root.signed.version).toBe(1);
    files.set('2.root.json', second.bytes);
    expect((await verify()).root.signed.version).toBe(3);
  });

  test('a next root with the wrong number, an old key only, or a new key only is refused', async () => {
    const fresh = [signer(11)];
    const next = await rotateRoot(plan.state.root, {
      ...rotation,
      keys: { ...KEYS, root: roleOf(fresh) },
      signers: [...SIGNERS.root, ...fresh],
    });
    files.set('2.root.json', files.get('1.root.json') ?? utf8(''));
    await expect(verify()).rejects.toThrow(bad('trust/version-mismatch', /2\.root\.json/));
    for (const keep of [0, 1]) {
      const signatures = next.signatures.filter((_, i) => i === keep);
      files.set('2.root.json', encodeTufFile(next.signed, signatures));
      await expect(verify()).rejects.toThrow(bad('trust/threshold', /2\.root\.json/));
    }
    files.set('2.root.json', next.bytes);
    await expect(verify()).resolves.toMatchObject({ root: { signed: { version: 2 } } });
  });

  test('a repository made by someone else fails under the trusted root', async () => {
    const theirs = [signer(31), signer(32), signer(33), signer(34)] as const;
    const [root, targets, snapshot, timestamp] = theirs;
    const stranger = await update(undefined, {
      root: await firstRoot(
        {
          root: roleOf([root]),
          targets: roleOf([targets]),
          snapshot: roleOf([snapshot]),
          timestamp: roleOf([timestamp]),
        },
        [root],
      ),
      targets: new Map(),
      signers: { targets: [targets], snapshot: [snapshot], timestamp: [timestamp] },
    });
    await expect(verify(apply(stranger))).rejects.toThrow(bad('trust/threshold', /timestamp\.json/));
  });

  test('a first root that is not version 1, or not signed by itself', async () => {
    const second = await rotateRoot(plan.state.root, { ...rotation, signers: SIGNERS.root });
    files.set('1.root.json', second.bytes);
    await expect(verifyTufRepository(storeOf(files), { now: NOW })).rejects.toThrow(
      bad('trust/version-mismatch', /1\.root\.json/),
    );
    files.set('1.root.json', encodeTufFile(plan.state.root.signed, []));
    await expect(verifyTufRepository(storeOf(files), { now: NOW })).rejects.toThrow(
      bad('trust/threshold', /1\.root\.json/),
    );
    await expect(verifyTufRepository(storeOf(files), { trustedRoot: utf8('{}'), now: NOW })).rejects.toThrow(
      bad('trust/bad-metadata', /the trusted root/),
    );
  });

  test('a chain without end is given up', async () => {
    // Signed once per version; every file is a true successor of the one before.
    let last = plan.state.root;
    for (let i = 0; i < 1025; i++) {
      const model = { ...last.signed, version: last.signed.version + 1 };
      last = await signTuf<'root'>(model, signingsFor(model, 'root', SIGNERS.root));
      files.set(`${model.version}.root.json`, last.bytes);
    }
    await expect(verify()).rejects.toThrow(bad('trust/too-many-roots'));
    files.delete('1025.root.json');
    expect((await verify()).root.signed.version).toBe(1024);
  });
});

describe('plain names', () => {
  test('a missing one is a warning: the clients that need it are few', async () => {
    files.delete('targets.json');
    expect((await verify()).warnings).toMatchObject([{ severity: 'warning', code: 'trust/plain-name' }]);
  });

  test('an older release under the plain name is refused', async () => {
    const second = await update(plan.state, { targets: new Map() });
    const changed = apply(second, files);
    changed.set('targets.json', files.get('1.targets.json') ?? utf8(''));
    await expect(verify(changed)).rejects.toThrow(bad('trust/plain-name', /targets\.json has version 1/));
  });

  test('other content of the same version, truly signed, is refused', async () => {
    const other = await resigned('targets', { targets: new Map() });
    await expect(verify(new Map([...files, ['targets.json', other.bytes]]))).rejects.toThrow(
      bad('trust/plain-name', /targets\.json has version 1/),
    );
  });

  test('a next version that the role’s key did not sign is no interrupted update', async () => {
    const { signed } = plan.state.published.targets;
    const stranger = signer(66);
    const forged = await signTuf<'targets'>({ ...signed, version: 2 }, [
      { keyid: stranger.keyid, signer: stranger },
    ]);
    await expect(verify(new Map([...files, ['targets.json', forged.bytes]]))).rejects.toThrow(
      bad('trust/threshold', /^targets\.json/),
    );
    const own = await resigned('targets', { version: 2 });
    await expect(verify(new Map([...files, ['targets.json', own.bytes]]))).resolves.toMatchObject({
      warnings: [{ code: 'trust/interrupted-update' }],
    });
  });

  test('without consistent snapshots the plain names are the ones that are read', async () => {
    const model = { ...plan.state.root.signed, consistentSnapshot: false };
    const root = await signTuf<'root'>(model, signingsFor(model, 'root', SIGNERS.root));
    const options = { trustedRoot: root.bytes, now: NOW };
    files.delete('1.targets.json');
    files.delete('1.snapshot.json');
    await expect(verifyTufRepository(storeOf(files), options)).resolves.toMatchObject({ warnings: [] });
    files.delete('targets.json');
    await expect(verifyTufRepository(storeOf(files), options)).rejects.toThrow(
      bad('trust/missing-metadata', /targets\.json/),
    );
  });
});

describe('a store on disk', () => {
  let dir: string;
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'treewright-tuf-'));
    await writeTufUpdate(dir, plan);
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  test.each(['timestamp.json', '1.snapshot.json', '1.targets.json', '2.root.json'])(
    'an endless %s is not read',
    async (name) => {
      await writeFile(join(dir, name), Buffer.alloc(9 * 1024 * 1024, ' '));
      await expect(
        verifyTufRepository(openStore(dir), { trustedRoot: plan.state.root.bytes, now: NOW }),
      ).rejects.toThrow(bad('trust/metadata-too-large', new RegExp(name)));
    },
  );

  test('trouble in reading keeps its own code', async () => {
    const broken = {
      location: 'broken',
      read: () => Promise.reject(Object.assign(new Error('disk on fire'), { code: 'EIO' })),
    };
    await expect(verifyTufRepository(broken, { now: NOW })).rejects.toThrow('disk on fire');
  });
});

describe('target files', () => {
  const bytes = utf8('{"commit":"x"}');
  test('length and digest are checked', () => {
    const target = targetOf(bytes);
    expect(() => verifyTargetBytes('a', target, bytes)).not.toThrow();
    const refused = bad('trust/target-mismatch', /the target a /);
    expect(() => verifyTargetBytes('a', target, bytes.subarray(1))).toThrow(refused);
    expect(() => verifyTargetBytes('a', target, utf8('{"commit":"y"}'))).toThrow(refused);
    expect(() => verifyTargetBytes('a', { ...target, hashes: { md5: 'ab' } }, bytes)).toThrow(refused);
    const two = { ...target, hashes: { ...target.hashes, sha512: 'ab' } };
    expect(() => verifyTargetBytes('a', two, bytes)).toThrow(refused);
  });

  test('the decoder keeps what verification needs', () => {
    const { signed } = decodeTufFile('targets', files.get('1.targets.json') ?? utf8(''), 'x');
    expect(() =>
      verifyTargetBytes('r', signed.targets.get('releases/1/release.json') ?? targetOf(bytes), utf8('{}')),
    ).not.toThrow();
  });
});

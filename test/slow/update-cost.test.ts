/** What an update costs: told by the release, and counted at a web server while real clients update. */
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pc from 'picocolors';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deltaPlanText } from '../../src/cli/delta-plan.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Checksum } from '../../src/core/checksum.ts';
import type { Event } from '../../src/core/events.ts';
import { noEvents } from '../../src/core/events.ts';
import { openStore, subStore } from '../../src/platform/store.ts';
import type { ReleaseReport } from '../../src/release/publish-content.ts';
import { planReleaseDeltas } from '../../src/release/plan-deltas.ts';
import { verifyRelease } from '../../src/release/verify.ts';
import { listReleases, ostreeTarget } from '../../src/release/catalog.ts';
import { decodeSummary } from '../../src/formats/ostree-summary.ts';
import { readTufState } from '../../src/trust/tuf-verify.ts';
import type { Suite } from '../reference/tools.ts';
import { describeReference, runTool } from '../reference/tools.ts';
import { serveDirectory } from '../support/http-server.ts';
import type { TestProject } from '../support/release.ts';
import { makeProject, makeRelease, prepareRelease } from '../support/release.ts';

let scratch: string;
let project: TestProject;
let first: ReleaseReport;
let second: ReleaseReport;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-cost-'));
  project = await makeProject(scratch);
  first = await makeRelease(project, { release: 1, programs: 5 });
  second = await makeRelease(project, { release: 2, programs: 5 });
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const verify = (output: string) => verifyRelease({ location: output, events: noEvents, now: new Date() });

/** Another project with the same two releases and the same keys. */
async function copyOfProject(name: string): Promise<TestProject> {
  const directory = join(scratch, name);
  await mkdir(directory);
  await cp(project.output, join(directory, 'release'), { recursive: true });
  return { directory, output: join(directory, 'release'), keys: project.keys };
}

function costFrom(report: ReleaseReport, version: string | undefined) {
  const cost = report.updateCost?.updates.find((update) => update.version === version);
  if (cost === undefined) throw new Error(`there is no cost of the update from ${version ?? 'nothing'}`);
  return cost;
}

describeReference('counted at the server', ['trixie:ostree', 'bookworm:ostree'], () => {
  /** Requests and bytes of a pull by a client that follows the branch and has `from`. */
  async function counted(
    suite: Suite,
    output: string,
    from: Checksum,
  ): Promise<{ requests: number; bytes: number }> {
    const server = await serveDirectory(output);
    const repo = await mkdtemp(join(scratch, 'client-'));
    try {
      const ostree = (...args: string[]) => runTool('ostree', [...args, `--repo=${repo}`], { suite });
      await ostree('init', '--mode=bare-user');
      await ostree('remote', 'add', '--no-gpg-verify', 'origin', `${server.url}/ostree`);
      await ostree('pull-local', join(output, 'ostree'), from);
      await ostree('refs', '--create=origin:gateway/stable', from);
      server.requests.splice(0);
      await ostree('pull', 'origin', 'gateway/stable');
      const answered = server.requests.filter(({ status }) => status === 200);
      return { requests: answered.length, bytes: answered.reduce((sum, { bytes }) => sum + bytes, 0) };
    } finally {
      await server.close();
    }
  }

  test('an update through the delta takes exactly what is told', async () => {
    const { delta } = costFrom(second, '1.0');
    expect(await counted('trixie', project.output, first.commit)).toEqual({
      requests: delta?.requests,
      bytes: delta?.bytes,
    });
  });

  test('an update without a delta takes exactly what is told', async () => {
    const copy = await copyOfProject('loose');
    const extra = 'deltas: { from: { last: 0 } }\n';
    const third = await makeRelease(copy, { release: 3, programs: 5, extra });
    const { delta, loose } = costFrom(third, '2.0');
    expect(delta).toBeUndefined();
    for (const suite of ['trixie', 'bookworm'] as const) {
      expect(await counted(suite, copy.output, second.commit), suite).toEqual(loose);
    }
  });
});

describe('what is told', () => {
  test('stands in a file that the manifest vouches for', async () => {
    const path = join(project.output, 'releases/2.0/update-cost.json');
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(JSON.parse(JSON.stringify(second.updateCost)));
  });

  test('the device writes each new object in whole blocks', () => {
    const { objects, boot } = costFrom(second, '1.0').deviceWrites;
    expect(objects % 4096).toBe(0);
    expect(objects).toBeGreaterThan(costFrom(second, '1.0').loose.bytes / 2);
    // The same kernel: nothing is copied to /boot.
    expect(boot).toBe(0);
    expect(costFrom(first, undefined).deviceWrites.boot).toBe(first.updateCost?.boot.one);
  });

  test('the document of aktualizr-lite is named by the OSTree target', async () => {
    const state = await readTufState(openStore(join(project.output, 'tuf')));
    const targets = state?.published?.targets.signed.targets ?? new Map<string, never>();
    const entry = listReleases(targets).at(-1);
    const named = entry === undefined ? undefined : targets.get(ostreeTarget(entry))?.custom?.['delta-stats'];
    const { sha256, size } = named as unknown as { sha256: string; size: number };
    const bytes = await readFile(join(project.output, 'ostree/delta-stats', sha256));
    expect(bytes.length).toBe(size);
    const delta = second.deltas[0];
    expect(JSON.parse(bytes.toString())).toEqual({
      [second.commit]: { [first.commit]: { size: delta?.bytes, u_size: expect.any(Number) as unknown } },
    });
  });
});

describe('limits', () => {
  test('beyond one the release is not published, the dearest files are named, and the one before stays', async () => {
    const copy = await copyOfProject('limits');
    const summary = await readFile(join(copy.output, 'ostree/summary'));
    const extra = 'limits: { max-download: 1kB, max-requests: 3, max-device-writes: 4KiB, max-boot: 1B }\n';
    const failure = await makeRelease(copy, { release: 3, programs: 5, extra }).then(
      () => undefined,
      (error: unknown) => error as { code: string; message: string },
    );
    expect(failure?.code).toBe('input/over-limit');
    for (const key of ['max-download', 'max-requests', 'max-device-writes', 'max-boot']) {
      expect(failure?.message).toContain(`limits.${key} allows`);
    }
    expect(failure?.message).toMatch(/ {2}usr\/\S+: about \d+ bytes, changed/);
    expect(await readFile(join(copy.output, 'ostree/summary'))).toEqual(summary);
    expect((await verify(copy.output)).releases.map(({ version }) => version)).toEqual(['1.0', '2.0']);

    // What the refused release has left behind does not get into the next one.
    const third = await makeRelease(copy, { release: 3, programs: 5 });
    expect((await verify(copy.output)).releases).toHaveLength(3);
    const listed = decodeSummary(await readFile(join(copy.output, 'ostree/summary'))).deltas;
    expect(listed.filter(([name]) => name.endsWith(third.commit))).toHaveLength(third.deltas.length);
  });
});

describe('deltas of old releases', () => {
  test('are removed after nothing names them, and the releases stay whole', async () => {
    const copy = await copyOfProject('stale');
    // Within limits, so that it is published.
    const limits =
      'limits: { max-download: 10MB, max-requests: 100, max-device-writes: 20MB, max-boot: 1GB }';
    const extra = `deltas: { keep: 2 }\n${limits}\n`;
    const third = await makeRelease(copy, { release: 3, programs: 5, extra });
    const targets = async (): Promise<Set<string | undefined>> => {
      const { deltas } = decodeSummary(await readFile(join(copy.output, 'ostree/summary')));
      return new Set(deltas.map(([name]) => name.split('-').at(-1)));
    };
    expect(await targets()).toEqual(new Set([second.commit, third.commit]));
    const repo = subStore(openStore(copy.output), 'ostree');
    expect(await repo.head(`${first.deltas[0]?.path ?? ''}/superblock`, 1)).toBeUndefined();
    expect(await repo.head(`${second.deltas[0]?.path ?? ''}/superblock`, 1)).toBeDefined();
    const indexes = await readdir(join(copy.output, 'ostree/delta-indexes'), { recursive: true });
    expect(indexes.filter((name) => name.endsWith('.index'))).toHaveLength(2);
    const { releases } = await verify(copy.output);
    expect(releases.map(({ deltas }) => deltas)).toEqual([0, second.deltas.length, third.deltas.length]);

    // One that the summary lists must be there.
    await rm(join(copy.output, 'ostree', second.deltas[0]?.path ?? 'none'), { recursive: true });
    await expect(verify(copy.output)).rejects.toMatchObject({ code: 'trust/missing-delta' });
  });
});

describe('the plan of the newest release', () => {
  const everything = async (output: string): Promise<string[]> =>
    (await readdir(output, { recursive: true })).sort();

  test('is told without anything being written', async () => {
    const config = await loadConfig(
      await prepareRelease(project, {
        release: 2,
        programs: 5,
        extra: 'deltas: { from: { versions: ["0.1"], last: 5 } }\n',
      }),
    );
    const before = await everything(project.output);
    const events: Event[] = [];
    const plan = await planReleaseDeltas({ config, events: (event) => events.push(event) });
    expect(await everything(project.output)).toEqual(before);
    expect(plan).toMatchObject({
      version: '2.0',
      to: second.commit,
      unknown: [{ version: '0.1', devices: 0 }],
    });
    expect(plan.deltas.map(({ version, decision }) => [version, decision])).toEqual([
      ['1.0', 'make'],
      [undefined, 'make'],
    ]);
    const [delta] = second.deltas;
    expect(plan.deltas[0]?.looseBytes).toBe(delta?.looseBytes);
    expect((plan.deltas[0]?.expectedBytes ?? 0) / (delta?.bytes ?? 1)).toBeGreaterThan(0.7);
    expect((plan.deltas[0]?.expectedBytes ?? 0) / (delta?.bytes ?? 1)).toBeLessThan(1.3);
    const text = deltaPlanText(plan, pc.createColors(false));
    expect(text).toMatch(/from 1\.0 +1 device .* chosen\n/);
    expect(text).toMatch(/from nothing .* chosen\n/);
    expect(text).toMatch(/unknown +0\.1: the objects they lack, at most /);
  });

  test('needs a release', async () => {
    await mkdir(join(scratch, 'empty'));
    const empty = await makeProject(join(scratch, 'empty'));
    const config = await loadConfig(await prepareRelease(empty, { release: 1, programs: 1 }));
    await expect(planReleaseDeltas({ config, events: noEvents })).rejects.toMatchObject({
      code: 'usage/no-such-version',
    });
  });
});

describe('the plan in a release', () => {
  test('a budget keeps what saves most, a census counts, unknown versions are told', async () => {
    const copy = await copyOfProject('fleet');
    await writeFile(join(copy.directory, 'fleet.csv'), 'version,count\n2.0,5\n# old\n1.0,900\n0.7,12\n');
    const size = second.deltas[0]?.bytes ?? 0;
    const events: Event[] = [];
    const third = await makeRelease(copy, {
      release: 3,
      programs: 5,
      events,
      extra: `deltas: { from: { fleet: fleet.csv }, budget: ${Math.ceil(size * 1.7)}B }\n`,
    });
    expect(third.deltas.map(({ fromVersion }) => fromVersion)).toEqual(['1.0']);
    expect(costFrom(third, '1.0').devices).toBe(900);
    expect(costFrom(third, '2.0').delta).toBeUndefined();
    const told = events.flatMap((event) => (event.type === 'diagnostic' ? [event.diagnostic] : []));
    expect(told.find(({ severity }) => severity === 'warning')?.message).toMatch(
      /^no delta from 0\.7: no release .*; 12 devices with it download .* requests; /,
    );
    expect(told.filter(({ code }) => code === 'input/delta-too-large').map(({ message }) => message)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^no delta from 2\.0: .*deltas\.budget/),
        expect.stringMatching(/^no delta from nothing: .*deltas\.budget/),
      ]),
    );
    expect((await verify(copy.output)).releases).toHaveLength(3);
  });
});

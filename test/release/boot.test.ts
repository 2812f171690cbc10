/** What a release says about its boot: the commit's own variables, what would not fit, and `boot explain`. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { Diagnostic } from '../../src/core/diagnostics.ts';
import { noEvents } from '../../src/core/events.ts';
import { openStore } from '../../src/platform/store.ts';
import { assembleRelease } from '../../src/release/assemble.ts';
import { planRelease } from '../../src/release/boot-plan.ts';
import type { ExplainReport } from '../../src/release/explain.ts';
import { explainRelease } from '../../src/release/explain.ts';
import type { ReleaseReport } from '../../src/release/publish-content.ts';
import { readCommitText } from '../../src/boot/commit-files.ts';
import type { TestProject } from '../support/release.ts';
import { makeProject, prepareRelease, treewright } from '../support/release.ts';

let scratch: string;
let project: TestProject;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'treewright-boot-'));
  project = await makeProject(join(scratch, 'product'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** A configuration for release N with other boot settings; `memory` is image_size in the header of the kernel. */
async function configure(release: number, boot: string, memory = 500_000, extra = ''): Promise<string> {
  const file = await prepareRelease(project, { release, programs: 1 });
  const build = join(project.directory, `build-${release}`);
  const kernel = await readFile(join(build, 'Image'));
  kernel.writeBigUInt64LE(BigInt(memory), 16);
  await writeFile(join(build, 'Image'), kernel);
  await writeFile(join(build, 'display.dtbo'), Buffer.from('d00dfeed00000000', 'hex'));
  const text = (await readFile(file, 'utf8'))
    .replace(/^boot: .*$/m, `boot: ${boot}`)
    .replace('device-trees: [', `device-trees: [${join(build, 'display.dtbo')}, `);
  await writeFile(file, `${text}deltas: { from-nothing: false, from: { last: 0 } }\n${extra}`);
  return file;
}

async function release(
  number: number,
  boot: string,
  options: { memory?: number; extra?: string; told?: Diagnostic[] } = {},
): Promise<ReleaseReport> {
  const file = await configure(number, boot, options.memory, options.extra);
  return assembleRelease({
    config: await loadConfig(file),
    version: `${number}.0`,
    events: (event) => {
      if (event.type === 'diagnostic') options.told?.push(event.diagnostic);
    },
    now: new Date(),
  });
}

const BOARD = 'board: qemu-arm64, root: LABEL=root';
const textOf = (commit: ReleaseReport['commit'], path: string) =>
  readCommitText(openStore(join(project.output, 'ostree')), commit, path);

describe('three releases', () => {
  let reports: ReleaseReport[];
  const told: Diagnostic[] = [];
  beforeAll(async () => {
    reports = [
      await release(1, `{ ${BOARD}, kargs: [quiet], commit-kargs: [loglevel=3], overlays: [display.dtbo] }`),
      await release(2, `{ ${BOARD}, kargs: [quiet], commit-kargs: ['dyndbg="file a.c +p"', loglevel=7] }`),
      await release(3, `{ ${BOARD}, rollback: { attempts: 5 } }`, { told }),
    ];
  });

  test('arguments and overlays travel with their commit', async () => {
    const [first, second, third] = reports.map(({ commit }) => commit);
    if (first === undefined || second === undefined || third === undefined) throw new Error('three releases');
    const uEnv = 'usr/lib/ostree-boot/uEnv.txt';
    const overlays = 'usr/lib/modules/6.1.0-test/dtb/overlays.txt';
    expect(await textOf(first, uEnv)).toBe('bootargs_extra=loglevel=3\n');
    expect(await textOf(first, overlays)).toBe('fdt_overlays=display.dtbo\n');
    expect(await textOf(second, uEnv)).toBe('bootargs_extra=dyndbg="file a.c +p" loglevel=7\n');
    expect(await textOf(second, overlays)).toBeUndefined();
    expect(await textOf(third, uEnv)).toBeUndefined();
  });

  test('another boot script than the one devices have is told', () => {
    expect(told.map(({ code }) => code)).toContain('input/boot-script-changed');
  });

  test('explain tells the first, the updated and the rolled-back boot', async () => {
    const config = await loadConfig(join(project.directory, 'treewright-2.yaml'));
    const explained = await explainRelease({ config, version: '2.0', events: noEvents, now: new Date() });
    const [first, updated, back] = explained.boots;
    expect(explained).toMatchObject({ counting: 'script', attempts: 3, previous: reports[0]?.commit });
    expect(first).toMatchObject({ commit: reports[1]?.commit, before: { upgrade_available: '0' } });
    expect(updated).toMatchObject({
      commit: reports[1]?.commit,
      before: { upgrade_available: '1', bootcount: '0' },
      after: { upgrade_available: '1', bootcount: '1', rollback: '0' },
    });
    expect(updated?.bootargs).toMatch(
      /^console=ttyAMA0 root=LABEL=root rw quiet ostree=\/ostree\/boot\.0\/gateway\/[0-9a-f]{64}\/0 dyndbg="file a.c \+p" loglevel=7$/,
    );
    expect(back).toMatchObject({
      commit: reports[0]?.commit,
      before: { upgrade_available: '1', bootcount: '3' },
      after: { upgrade_available: '0', bootcount: '0', rollback: '1' },
    });
    expect(back?.bootargs).toMatch(/ loglevel=3$/);
    expect(back?.loads.map(({ what }) => what)).toEqual(['device tree', 'overlay', 'initramfs', 'kernel']);
    expect(back?.command).toBe('booti ${kernel_addr_r} ${ramdisk_addr_r}:c350 0x43e00000');
  });

  test('the size of a FIT image counts where it is loaded', async () => {
    const config = await loadConfig(join(project.directory, 'treewright-2.yaml'));
    const { boot } = config;
    const commit = reports[1]?.commit;
    if (boot.board === undefined || commit === undefined) throw new Error('a board and a release');
    const store = openStore(join(project.output, 'ostree'));
    for (const [limits, told] of [
      [{ ramdisk: 100_000 }, true],
      [{ kernel: 100_000 }, false],
    ] as const) {
      const board = { ...boot.board, bootCommand: 'fit' as const, limits };
      const { diagnostics } = await planRelease({ ...config, boot: { ...boot, board } }, store, commit, {
        kargs: [],
        loader: 'u-boot',
        source: {},
      });
      expect(diagnostics.some(({ code }) => code === 'input/too-large-to-load')).toBe(told);
    }
  });

  test('the command prints the same, for people and as JSON', async () => {
    const args = ['boot', 'explain', '--config', join(project.directory, 'treewright-3.yaml')];
    const { exitCode, stdout } = await treewright(args);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/First boot of a new device: 3\.0 starts/);
    expect(stdout).toMatch(/Boot after the last attempt failed: 2\.0 starts/);
    const json = JSON.parse((await treewright([...args, '--json'])).stdout) as ExplainReport;
    expect(json.boots.map((boot) => boot.case)).toEqual(['first', 'updated', 'rolled-back']);
    const bad = await treewright(['boot', 'explain', '--config', join(scratch, 'absent.yaml')]);
    expect(bad.exitCode).toBe(3);
    const typo = await treewright(['boot', 'explian']);
    expect(typo.exitCode).toBe(2);
    expect(typo.stderr).toContain('explain');
  });
});

describe('refused before anything is published', () => {
  test.each([
    ['a kernel that runs into the initramfs', `{ ${BOARD} }`, 'input/too-large-to-load', 80_000_000, ''],
    [
      'kernel arguments that the kernel would cut off',
      `{ ${BOARD}, commit-kargs: [${'x'.repeat(2000)}] }`,
      'input/kernel-arguments-too-long',
      0,
      '',
    ],
    [
      'a /boot that is too small for two deployments',
      `{ ${BOARD} }`,
      'input/boot-too-small',
      0,
      'image: { boot-partition: 4MiB }\n',
    ],
    ['an overlay that is not there', `{ ${BOARD}, overlays: [none.dtbo] }`, 'input/not-deployable', 0, ''],
  ])('%s', async (_, boot, code, memory, extra) => {
    await expect(release(9, boot, { memory, extra })).rejects.toMatchObject({ code });
    const { stdout } = await treewright(['verify', project.output, '--json']);
    const { releases } = JSON.parse(stdout) as { releases: { version: string }[] };
    expect(releases.map(({ version }) => version)).not.toContain('9.0');
  });
});

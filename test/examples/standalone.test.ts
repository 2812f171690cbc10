/** examples/standalone: the commands of its README, as they stand there, on a generated root filesystem. */
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeReference, referenceTool, runTool } from '../reference/tools.ts';
import type { StaticServer } from '../support/http-server.ts';
import { serveDirectory } from '../support/http-server.ts';
import { PROJECT } from '../support/project.ts';
import { TREEWRIGHT_PROGRAM, runShell, shellBlocks, writePrograms } from '../support/shell-blocks.ts';
import { writeSmallRootfs } from '../support/small-rootfs.ts';

const EXAMPLE = join(PROJECT, 'examples/standalone');
const PARTS = /\/deltas\/.*\/\d+$/;

let scratch: string;
let product: string;
let server: StaticServer;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tw-standalone-'));
  product = join(scratch, 'product');
  await cp(EXAMPLE, product, { recursive: true });
  await mkdir(join(product, 'release'));
  server = await serveDirectory(join(product, 'release'));
});
afterAll(async () => {
  await server.close();
  await rm(scratch, { recursive: true, force: true });
});

const build = (release: number) => writeSmallRootfs(join(product, 'images'), { release, programs: 2 });

interface Manifest {
  readonly ostree: { readonly commit: string };
  readonly apps: readonly { readonly name: string }[];
  readonly deltas: readonly { readonly fromVersion?: string }[];
}
const manifest = async (version: string): Promise<Manifest> =>
  JSON.parse(await readFile(join(product, 'release/releases', version, 'release.json'), 'utf8')) as Manifest;

describeReference('the README, from keys to an update', ['ed25519:ostree', 'trixie:ostree'], () => {
  test('each of its blocks does what it says', async () => {
    const bin = await writePrograms(join(scratch, 'bin'), {
      treewright: TREEWRIGHT_PROGRAM,
      ostree: `exec '${referenceTool('ostree', 'ed25519')}' "$@"`,
    });
    const run = (block: string | undefined) =>
      runShell(block ?? '', { cwd: product, bin, env: { UPDATES: server.url } });
    const blocks = shellBlocks(await readFile(join(product, 'README.md'), 'utf8'));
    expect(blocks).toHaveLength(3);
    const [make, device, update] = blocks;

    await build(1);
    expect(await run(make)).toMatch(/verified: gateway for imx8mm-evk, 1 release /);
    await run(device);
    const first = await manifest('1.0.0');
    expect(first.apps.map(({ name }) => name)).toEqual(['status']);

    await build(2);
    server.requests.splice(0);
    const listing = await run(update);
    expect(listing).toMatch(/verified: gateway for imx8mm-evk, 2 releases /);
    expect(listing).toMatch(/ \/usr\/bin\/bc$/m);
    expect((await manifest('1.1.0')).deltas.map(({ fromVersion }) => fromVersion)).toEqual(['1.0.0']);
    expect(server.requests.filter(({ path }) => PARTS.test(path)).map(({ status }) => status)).toContain(200);
  });

  test('a current libostree takes the delta and not one loose object', async () => {
    const repo = join(scratch, 'newer');
    const ostree = (...args: string[]) => runTool('ostree', [...args, `--repo=${repo}`], { suite: 'trixie' });
    await ostree('init', '--mode=bare-user');
    await ostree('remote', 'add', '--no-gpg-verify', 'origin', `${server.url}/ostree`);
    await ostree('pull', 'origin', (await manifest('1.0.0')).ostree.commit);
    server.requests.splice(0);
    await ostree('pull', 'origin', 'gateway/stable');
    const asked = server.requests.map(({ path }) => path);
    expect(asked.some((path) => PARTS.test(path))).toBe(true);
    expect(asked.filter((path) => path.endsWith('.filez'))).toEqual([]);
    await ostree('fsck');
  });
});

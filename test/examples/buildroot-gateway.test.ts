/** examples/buildroot-gateway: its fragment and configuration make a release in a build as Buildroot leaves it. */
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateKeys } from '../../src/trust/keys.ts';
import {
  EXTERNAL,
  HOOK,
  make,
  makeBuildroot,
  writeDotConfig,
  writeRootfs,
} from '../layers/buildroot-output.ts';
import { PROJECT } from '../support/project.ts';

const EXAMPLE = join(PROJECT, 'examples/buildroot-gateway');

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tw-gateway-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** Symbols that the external tree defines, in any of its files. */
async function ownSymbols(): Promise<Set<string>> {
  const files = (await readdir(EXTERNAL, { recursive: true })).filter((name) => name.endsWith('Config.in'));
  const texts = await Promise.all(files.map((name) => readFile(join(EXTERNAL, name), 'utf8')));
  return new Set([...texts.join('\n').matchAll(/^(?:menu)?config (\w+)$/gm)].map(([, name]) => name ?? ''));
}

test('every symbol of ours in fragments and defconfigs is one that Config.in has', async () => {
  const known = await ownSymbols();
  const defconfigs = (await readdir(join(EXTERNAL, 'configs'))).map((name) =>
    join(EXTERNAL, 'configs', name),
  );
  const fragments = [
    join(EXAMPLE, 'gateway.fragment'),
    join(EXTERNAL, 'board/treewright/defconfig.fragment'),
  ];
  for (const file of [...fragments, ...defconfigs]) {
    const names = [...(await readFile(file, 'utf8')).matchAll(/^#? ?(BR2_\w*TREEWRIGHT\w*)[= ]/gm)].map(
      ([, name]) => name ?? '',
    );
    expect(names.length, file).toBeGreaterThan(2);
    expect(
      names.filter((name) => !known.has(name)),
      file,
    ).toEqual([]);
  }
});

test('the build makes a release with the app, and the image of a device', async () => {
  const build = await makeBuildroot(scratch);
  await writeRootfs(build.output);
  const gateway = join(scratch, 'gateway');
  await cp(EXAMPLE, gateway, { recursive: true });
  await generateKeys(join(gateway, 'keys'));
  const fragment = await readFile(join(EXAMPLE, 'gateway.fragment'), 'utf8');
  // What external.mk adds, and the format that needs no tools.
  const hook = `BR2_ROOTFS_POST_IMAGE_SCRIPT="${HOOK}"\nBR2_ROOTFS_POST_SCRIPT_ARGS="--treewright-image=tar"`;
  await writeDotConfig(build.output, `${fragment}\n${hook}`);
  const { exitCode, stderr } = await make(build);
  expect(exitCode, stderr).toBe(0);
  const release = JSON.parse(
    await readFile(join(gateway, 'release/releases/2025.02.16/release.json'), 'utf8'),
  ) as Record<string, unknown>;
  expect(release).toMatchObject({
    product: 'gateway',
    machine: 'qemu-arm64',
    ostree: { branch: 'gateway/stable' },
    boot: { loader: 'u-boot', kargs: ['console=ttyAMA0', 'root=LABEL=root', 'rw', 'panic=10'] },
    apps: [{ name: 'status' }],
  });
  expect(await readdir(join(build.output, 'images'))).toContain('treewright.tar');
});

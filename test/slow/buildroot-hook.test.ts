/** The post-image hook of layers/br2-external, called as Buildroot calls it. */
import { execa } from 'execa';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generateKeys } from '../../src/trust/keys.ts';
import { treewright } from '../support/release.ts';
import type { BuildrootOutput } from '../layers/buildroot-output.ts';
import {
  EXTERNAL,
  HOOK,
  make,
  makeBuildroot,
  writeDotConfig,
  writeRootfs,
} from '../layers/buildroot-output.ts';

let scratch: string;
let build: BuildrootOutput;
let product: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tw-hook-'));
  build = await makeBuildroot(scratch);
  product = join(scratch, 'product');
  await mkdir(product);
  await generateKeys(join(product, 'keys'));
  // The source is another one: the hook's own build goes before it.
  await writeFile(
    join(product, 'treewright.yaml'),
    'product: gateway\nmachine: board\nsource: { buildroot: ./elsewhere }\ndeltas: { from-nothing: false }\n',
  );
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const showInfo = (): string => join(build.output, 'build/treewright/show-info.json');
const releases = (): Promise<string[]> => readdir(join(product, 'release/releases'));

interface Manifest {
  readonly version: string;
  readonly source: { readonly packages: number };
  readonly ostree: { readonly branch: string; readonly parent?: string };
}
const manifest = async (version: string, output = join(product, 'release')): Promise<Manifest> =>
  JSON.parse(await readFile(join(output, 'releases', version, 'release.json'), 'utf8')) as Manifest;

/** Lines that a failed step of make prints besides make's own. */
const told = (stderr: string): string[] => stderr.split('\n').filter((line) => !line.startsWith('make'));

describe('alone, with options among the arguments of all hooks', () => {
  const args = '--device-type board -v --artifact-name x --treewright-config=../product/treewright.yaml';

  test('the release of images/ is there, in the version of Buildroot', async () => {
    await writeDotConfig(build.output, `BR2_ROOTFS_POST_SCRIPT_ARGS="${args}"`);
    const { exitCode, stdout, stderr } = await make(build);
    expect(stderr).not.toContain('warning');
    expect({ exitCode, stdout }).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('the build goes on') as string,
    });
    expect(await manifest('2025.02.16')).toMatchObject({
      source: { kind: 'buildroot', init: 'busybox', kernel: '6.1.44', packages: 1 },
      ostree: { branch: 'gateway/board/stable' },
    });
  });

  test('the same build again makes no new one, a changed build the next one with the first as parent', async () => {
    expect((await make(build)).exitCode).toBe(0);
    expect(await releases()).toEqual(['2025.02.16']);
    await writeRootfs(build.output, 'a change');
    const { exitCode, stderr } = await make(build);
    expect(exitCode).toBe(0);
    expect((await releases()).sort()).toEqual(['2025.02.16', '2025.02.16-build.2']);
    expect((await manifest('2025.02.16-build.2')).ostree.parent).toBeDefined();
    const written = Number(/(\d+) of \d+ objects written/.exec(stderr)?.[1]);
    expect(written).toBeLessThan(8);
  });

  test('packages come from make show-info when it is asked for', async () => {
    const options = '--treewright-show-info --treewright-version=3.0';
    await writeDotConfig(build.output, `BR2_ROOTFS_POST_SCRIPT_ARGS="${args} ${options}"`);
    expect((await make(build)).exitCode).toBe(0);
    expect(JSON.parse(await readFile(showInfo(), 'utf8'))).toHaveProperty('busybox');
    expect((await manifest('3.0')).source.packages).toBe(1);
    const bom = join(product, 'release/releases/3.0/sbom.cdx.json');
    expect(JSON.parse(await readFile(bom, 'utf8'))).toMatchObject({
      bomFormat: 'CycloneDX',
      metadata: { component: { name: 'gateway', version: '3.0' } },
      components: [
        {
          name: 'busybox',
          version: '1.37.0',
          licenses: [{ license: { name: 'GPL-2.0' } }, { license: { name: 'bzip2-1.0.4' } }],
          purl: 'pkg:generic/busybox@1.37.0',
        },
      ],
    });
    const whole = await readFile(bom);
    await writeFile(bom, `${whole.toString()} `);
    const verify = ['verify', join(product, 'release'), '--root', join(product, 'keys/root.json')];
    expect((await treewright(verify)).stderr).toContain('sbom.cdx.json');
    await writeFile(bom, whole);
    expect((await treewright(verify)).exitCode).toBe(0);
  });
});

describe('a failure stops make with a line that says what to do', () => {
  const config = '--treewright-config=../product/treewright.yaml';
  const fails = async (args: string, more = '', without?: RegExp): Promise<string[]> => {
    await writeDotConfig(build.output, `BR2_ROOTFS_POST_SCRIPT_ARGS="${args}"\n${more}`, without);
    const { exitCode, stdout, stderr } = await make(build);
    expect(exitCode).not.toBe(0);
    expect(stdout).not.toContain('the build goes on');
    return told(stderr);
  };

  test('no rootfs.tar in the configuration, though an old one lies there', async () => {
    expect(await fails(config, '', /ROOTFS_TAR/)).toEqual([
      expect.stringMatching(/^treewright: BR2_TARGET_ROOTFS_TAR is not set: .*images\/rootfs\.tar/),
    ]);
  });

  test('a mistyped option of ours, a configuration that is not there, a wrong image format', async () => {
    expect(await fails('--treewright-confg=x')).toEqual([
      'treewright: there is no option --treewright-confg',
    ]);
    expect(await fails('--treewright-config=none.yaml')).toEqual([
      expect.stringMatching(/^treewright: the configuration .*\/none\.yaml is not there/),
    ]);
    expect((await fails(`${config} --treewright-image=cd`)).at(-1)).toMatch(/expected disk, ext4/);
  });

  test('what treewright refuses: a fixed version with another tree; a list of packages of before is not used', async () => {
    expect(await readFile(showInfo(), 'utf8')).not.toBe('');
    await writeRootfs(build.output, 'another change');
    const lines = await fails(`${config} --treewright-version=3.0`);
    expect(lines.join('\n')).toContain('input/version-exists');
    expect(lines.at(-1)).toBe(
      'treewright: no release was made: treewright ended with exit code 4, see above',
    );
  });

  test('or is told and passed over with --treewright-warn', async () => {
    await writeDotConfig(
      build.output,
      'BR2_ROOTFS_POST_SCRIPT_ARGS="--treewright-config=none.yaml --treewright-warn"',
    );
    const { exitCode, stderr } = await make(build);
    expect(exitCode).toBe(0);
    expect(told(stderr).at(-1)).toMatch(/WARNING: no release was made; the build goes on$/);
  });

  test('a Node.js that is too old, and none', async () => {
    const old = join(scratch, 'old-node');
    await writeFile(old, '#!/bin/sh\necho v18.19.1\n');
    await chmod(old, 0o755);
    await writeDotConfig(build.output, `BR2_ROOTFS_POST_SCRIPT_ARGS="${config}"`);
    const named = await make(build, { TREEWRIGHT_NODE: old });
    expect(told(named.stderr)[0]).toBe(
      `treewright: TREEWRIGHT_NODE is not a Node.js of 20.19 or newer: ${old} (v18.19.1)`,
    );
    const wrapper = join(build.output, 'host/bin/treewright');
    const { stderr, exitCode } = await execa('/bin/sh', [wrapper], {
      env: { PATH: join(scratch, 'buildroot') },
      extendEnv: false,
      reject: false,
    });
    expect(stderr).toMatch(
      /^treewright: Node\.js 20\.19 or newer is needed; there is none in PATH\. .*NODEJS=y/,
    );
    expect(exitCode).toBe(6);
  });

  test('called by hand', async () => {
    const { exitCode, stderr } = await execa(HOOK, [], { env: { BR2_CONFIG: '' }, reject: false });
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: expect.stringContaining('BR2_ROOTFS_POST_IMAGE_SCRIPT') as string,
    });
  });
});

describe('with the symbols of the external tree', () => {
  const symbols = `BR2_TREEWRIGHT=y
BR2_TREEWRIGHT_CONFIG=""
BR2_TREEWRIGHT_PRODUCT=""
BR2_TREEWRIGHT_OUTPUT="$(BASE_DIR)-symbols"
BR2_TREEWRIGHT_KEYS="$(TOPDIR)/../keys"
BR2_TREEWRIGHT_BRANCH="gateway/nightly"
BR2_TREEWRIGHT_OSNAME="os"
BR2_TREEWRIGHT_VERSION_LITERAL=y
BR2_TREEWRIGHT_VERSION_TEXT="7.0"
BR2_TREEWRIGHT_FAIL=y
BR2_TREEWRIGHT_SET="deltas.from-nothing=false boot.rollback.attempts=2"
BR2_TREEWRIGHT_EXTRA_ARGS="--quiet"`;

  test('a release needs no configuration file, and arguments go before symbols', async () => {
    await generateKeys(join(scratch, 'keys'));
    await writeDotConfig(
      build.output,
      `${symbols}\nBR2_ROOTFS_POST_SCRIPT_ARGS="--treewright-version=8.0 --treewright-branch=gateway/beta"`,
    );
    const { exitCode, stderr } = await make(build);
    expect({ exitCode, stderr: told(stderr).filter((line) => !line.startsWith('note')) }).toEqual({
      exitCode: 0,
      stderr: [''],
    });
    expect(await manifest('8.0', `${build.output}-symbols`)).toMatchObject({
      product: 'gateway',
      machine: 'board',
      ostree: { branch: 'gateway/beta', osname: 'os' },
    });
  });

  test('$(NAME) that hooks do not have is named', async () => {
    await writeDotConfig(build.output, symbols.replace('$(BASE_DIR)', '$(NONESUCH)'));
    const { exitCode, stderr } = await make(build);
    expect(exitCode).not.toBe(0);
    expect(told(stderr)).toEqual(['treewright: BR2_TREEWRIGHT_OUTPUT: hooks have no variable $(NONESUCH)']);
  });

  test('every symbol that the hook reads is one of Config.in, with a help text where it is not plain', async () => {
    const hook = await readFile(HOOK, 'utf8');
    const text = await readFile(join(EXTERNAL, 'Config.in'), 'utf8');
    const defined = [...text.matchAll(/^(?:menu)?config BR2_TREEWRIGHT_(\w+)$/gm)].map((match) => match[1]);
    const read = [...hook.matchAll(/\b(?:setting|on) ([A-Z][A-Z_]+)\b/g)].map((match) => match[1]);
    const formats = ['IMAGE_DISK', 'IMAGE_EXT4', 'IMAGE_TAR', 'IMAGE_GENIMAGE'];
    const defaults = ['VERSION_CONFIG', 'IMAGE_NONE', 'FAIL'];
    expect([...read, ...formats, ...defaults].sort()).toEqual([...defined].sort());
  });
});

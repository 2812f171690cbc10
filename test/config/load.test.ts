import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Diagnostic } from '../../src/core/diagnostics.ts';
import { isTreewrightError } from '../../src/core/errors.ts';
import { loadConfig, parseConfig } from '../../src/config/load.ts';

const FILE = '/project/treewright.yaml';
const MINIMAL = 'product: gateway\nmachine: board\nsource: { buildroot: ./output }\n';

/** The faults of a text as `line:column: message`. */
async function faultsOf(text: string): Promise<string[]> {
  try {
    await parseConfig(text, 'c.yaml');
  } catch (error) {
    if (!isTreewrightError(error)) throw error;
    expect(error.code).toBe('config/invalid');
    const faults = error.data['faults'] as readonly string[];
    for (const fault of faults) expect(error.message).toContain(fault);
    return faults.map((fault) => fault.replace(/^c\.yaml:/, ''));
  }
  return [];
}

async function warningsOf(text: string): Promise<string[]> {
  const found: Diagnostic[] = [];
  await parseConfig(text, FILE, (diagnostic) => found.push(diagnostic));
  return found.map(
    ({ code, where }) => `${where?.kind === 'text' ? `${where.line}:${where.column}` : ''} ${code}`,
  );
}

describe('a valid configuration', () => {
  it('needs three keys and fills in every default', async () => {
    expect(await parseConfig(MINIMAL, FILE)).toEqual({
      file: FILE,
      product: 'gateway',
      machine: 'board',
      source: { kind: 'buildroot', output: '/project/output' },
      version: { kind: 'from-source' },
      ostree: { branch: 'gateway/board/stable', osname: 'gateway', layout: 'ostree', metadata: {} },
      boot: {
        loader: 'u-boot',
        kargs: [],
        commitKargs: [],
        overlays: [],
        initramfs: { make: 'when-needed', compression: 'none', modules: [] },
        rollback: { attempts: 3, profile: 'ostree' },
      },
      device: { scripts: false },
      image: { label: 'root', margin: { ratio: 1 }, sysrootReadonly: false, seedVar: true },
      deltas: { from: { last: 3, versions: [] }, fromNothing: true, maxRatio: 0.8, keep: 3 },
      limits: {},
      apps: [],
      documents: [],
      signing: {
        keys: '/project/keys',
        expires: { root: 157_680_000, targets: 31_536_000, snapshot: 7_776_000, timestamp: 2_592_000 },
      },
      output: '/project/release',
    });
  });

  it('takes every key, with paths relative to the file', async () => {
    const config = await parseConfig(
      `
product: gateway
machine: verdin-imx8mm
source:
  rootfs: rootfs.tar.zst
  kernel: ../boot/Image
  kernel-release: 6.6.52
  initramfs: /abs/initramfs.img
  device-trees: [a.dtb, b.dtbo]
version: "1.10"
ostree: { branch: gateway/stable, osname: gw, layout: meta-updater, metadata: [build.job=1=2], continues: old }
boot: { loader: u-boot, kargs: [console=ttymxc0, quiet, 'dyndbg="file a.c +p"'], rollback: { attempts: 5 } }
deltas: { from: { last: 0 }, from-nothing: false, max-ratio: 0.5 }
apps: [{ compose: ./apps/shop/docker-compose.yml }, { compose: x.yml, name: other }]
signing: { keys: /keys, expires: { root: 10y, targets: 90d, snapshot: 2w, timestamp: 12h } }
output: ../out
`,
      FILE,
    );
    expect(config).toMatchObject({
      source: {
        kind: 'rootfs',
        rootfs: '/project/rootfs.tar.zst',
        kernel: '/boot/Image',
        kernelRelease: '6.6.52',
        initramfs: '/abs/initramfs.img',
        deviceTrees: ['/project/a.dtb', '/project/b.dtbo'],
      },
      version: { kind: 'literal', version: '1.10' },
      ostree: {
        branch: 'gateway/stable',
        osname: 'gw',
        layout: 'meta-updater',
        metadata: { 'build.job': '1=2' },
        continues: '/project/old',
      },
      boot: { kargs: ['console=ttymxc0', 'quiet', 'dyndbg="file a.c +p"'], rollback: { attempts: 5 } },
      deltas: { from: { last: 0, versions: [] }, fromNothing: false, maxRatio: 0.5, keep: 3 },
      limits: {},
      apps: [
        { name: 'shop', compose: '/project/apps/shop/docker-compose.yml' },
        { name: 'other', compose: '/project/x.yml' },
      ],
      signing: {
        keys: '/keys',
        expires: { root: 315_360_000, targets: 7_776_000, snapshot: 1_209_600, timestamp: 43_200 },
      },
      output: '/out',
    });
  });

  it('reads anchors, aliases and merge keys', async () => {
    const config = await parseConfig(
      `product: &name gateway
machine: *name
source: { yocto: deploy, image: core-image-minimal }
signing:
  expires:
    targets: &long 180d
    snapshot: *long
apps:
  - &shop { compose: ./a/c.yml, name: shop }
  - { <<: *shop, name: second }
`,
      FILE,
    );
    expect(config.machine).toBe('gateway');
    expect(config.source).toEqual({ kind: 'yocto', deploy: '/project/deploy', image: 'core-image-minimal' });
    expect(config.signing.expires.snapshot).toBe(180 * 86_400);
    expect(config.apps[1]).toEqual({ name: 'second', compose: '/project/a/c.yml' });
  });

  it('takes a key without a value for an absent one', async () => {
    expect(await parseConfig(`${MINIMAL}boot:\napps:\nsigning:\n  expires:\n`, FILE)).toEqual(
      await parseConfig(MINIMAL, FILE),
    );
  });
});

describe('faults', () => {
  it('are all reported at once, in the order of the lines', async () => {
    expect(
      await faultsOf(`produkt: gateway
machine: größe
source: { buildroot: ./output, yocto: deploy }
version: 1.10
ostree:
  branch: /gateway
  osname: a/b
  layout: debian
boot:
  loader: grub
  kargs: console=ttyS0
  rollback: { attempts: "three", tries: 4 }
deltas: { from: { last: -1 }, max_ratio: 0.8, from-nothing: yes }
apps:
  - compose: ./a/docker-compose.yml
    name: Shop
  - ./b/docker-compose.yml
signing:
  expires: { targets: 90, timestamp: soon, root: 101y }
kargs: [quiet]
`),
    ).toMatchInlineSnapshot(`
      [
        "1:1: product is missing; expected a name of ASCII letters, digits, ".", "_", "+" and "-" that begins with a letter or digit, at most 100 long",
        "1:1: unknown key "produkt"; did you mean "product"?",
        "2:10: machine: expected a name of ASCII letters, digits, ".", "_", "+" and "-" that begins with a letter or digit, at most 100 long, found "größe"",
        "3:32: source has buildroot and yocto; expected exactly one of buildroot, yocto or rootfs, such as { buildroot: ./output } or { yocto: tmp/deploy/images/MACHINE }",
        "4:10: version: expected from-source, or a version of letters, digits, ".", "_", "-", "+" and "~" that begins with a letter or digit, at most 100 long, found the number 1.1; write "1.10" in quotes",
        "6:11: ostree.branch: expected an OSTree ref: parts joined by "/", each of letters, digits, "_", "-" and ".", none beginning with "-" or ".", found "/gateway"",
        "7:11: ostree.osname: expected a single directory name of letters, digits, "_", "-", "." and "+", found "a/b"",
        "8:11: ostree.layout: expected one of ostree, meta-updater, none, found "debian"",
        "10:11: boot.loader: expected one of u-boot, extlinux, none, found "grub"",
        "11:10: boot.kargs: expected a list of kernel arguments such as [console=ttymxc0, quiet], found "console=ttyS0"; write [console=ttyS0]",
        "12:25: boot.rollback.attempts: expected a whole number from 1 to 9, found "three"",
        "12:34: unknown key "tries" in boot.rollback; expected one of attempts, profile, counting",
        "13:25: deltas.from.last: expected a whole number from 0 to 100, found the number -1",
        "13:31: unknown key "max_ratio" in deltas; did you mean "max-ratio"?",
        "13:61: deltas.from-nothing: expected true or false, found "yes"",
        "16:11: apps[0].name: expected a name of lower-case letters and digits, joined by single "_" or "-", as docker compose and registries want it, found "Shop"",
        "17:5: apps[1]: expected an app such as { compose: ./apps/shop/docker-compose.yml }, found "./b/docker-compose.yml"",
        "19:23: signing.expires.targets: expected a duration such as 90d, 12h or 30m (units: m h d w y), at most 100y, found the number 90; write 90d for days",
        "19:38: signing.expires.timestamp: expected a duration such as 90d, 12h or 30m (units: m h d w y), at most 100y, found "soon"",
        "19:50: signing.expires.root: expected a duration such as 90d, 12h or 30m (units: m h d w y), at most 100y, found "101y"",
        "20:1: unknown key "kargs"; "kargs" belongs under boot",
      ]
    `);
  });

  it('says what is missing and where', async () => {
    expect(await faultsOf('machine: board\nsource:\n  image: core-image\n')).toMatchInlineSnapshot(`
      [
        "1:1: product is missing; expected a name of ASCII letters, digits, ".", "_", "+" and "-" that begins with a letter or digit, at most 100 long",
        "2:1: source: expected exactly one of buildroot, yocto or rootfs, such as { buildroot: ./output } or { yocto: tmp/deploy/images/MACHINE }, found only image",
      ]
    `);
    expect(await faultsOf('product:\nmachine: board\nsource: { buildroot: }\n')).toMatchInlineSnapshot(`
      [
        "1:1: product has no value; expected a name of ASCII letters, digits, ".", "_", "+" and "-" that begins with a letter or digit, at most 100 long",
        "3:11: source.buildroot has no value; expected the path of Buildroot's output directory, the one with images/ and .config",
      ]
    `);
  });

  it('tells which kind of source a key goes with', async () => {
    expect(
      await faultsOf(
        'product: p\nmachine: m\nsource:\n  buildroot: o\n  kernel: Image\n  image: i\n  initrmafs: x\n',
      ),
    ).toMatchInlineSnapshot(`
      [
        "6:3: unknown key "image" in source; it goes with yocto, not with buildroot",
        "7:3: unknown key "initrmafs" in source; did you mean "initramfs"?",
      ]
    `);
    expect(await faultsOf('product: p\nmachine: m\nsource: { buildrot: o }\n')).toMatchInlineSnapshot(`
      [
        "3:11: unknown key "buildrot" in source; did you mean "buildroot"?",
      ]
    `);
    expect(await faultsOf('product: p\nmachine: m\nsource: { rootfs: o, device_trees: [] }\n'))
      .toMatchInlineSnapshot(`
      [
        "3:22: unknown key "device_trees" in source; did you mean "device-trees"?",
      ]
    `);
    expect(await faultsOf('product: p\nmachine: m\nsource: ./output\n')).toMatchInlineSnapshot(`
      [
        "3:9: source: expected exactly one of buildroot, yocto or rootfs, such as { buildroot: ./output } or { yocto: tmp/deploy/images/MACHINE }, found "./output"",
      ]
    `);
  });

  it('come from the YAML itself with a position', async () => {
    expect(await faultsOf('product: a\nproduct: b\n')).toMatchInlineSnapshot(`
      [
        "2:1: this key is here for the second time; keep one of them",
      ]
    `);
    expect(await faultsOf('product: a\nboot:\n\tloader: none\n')).toMatchInlineSnapshot(`
      [
        "3:1: a tab indents this line; YAML allows only spaces",
      ]
    `);
    expect(await faultsOf('product: [a\nmachine: b\n')).toMatchInlineSnapshot(`
      [
        "2:1: the indentation does not fit: Flow sequence in block collection must be sufficiently indented and end with a ]",
      ]
    `);
    expect(await faultsOf('product: *nobody\n')).toMatchInlineSnapshot(`
      [
        "1:1: machine is missing; expected a name of ASCII letters, digits, ".", "_", "+" and "-" that begins with a letter or digit, at most 100 long",
        "1:1: source is missing; expected exactly one of buildroot, yocto or rootfs, such as { buildroot: ./output } or { yocto: tmp/deploy/images/MACHINE }",
        "1:10: the alias *nobody has no anchor",
      ]
    `);
    expect(await faultsOf(`${MINIMAL}---\nproduct: b\n`)).toMatchInlineSnapshot(`
      [
        "4:1: a second document begins here; the file must hold one",
      ]
    `);
    expect(await faultsOf('- a\n- b\n')).toMatchInlineSnapshot(`
      [
        "1:1: expected keys product, machine, source, ..., found a list",
      ]
    `);
    expect(await faultsOf('# only a comment\n')).toMatchInlineSnapshot(`
      [
        "1:1: the file is empty; \`treewright init\` writes one that fits",
      ]
    `);
    expect(await faultsOf(`${MINIMAL}output: !env HOME\n`)).toMatchInlineSnapshot(`
      [
        "4:9: the tag is not known here: Unresolved tag: !env",
      ]
    `);
    expect(await faultsOf(`${MINIMAL}1: x\n`)).toMatchInlineSnapshot(`
      [
        "4:1: keys must be text; put the key in quotes",
      ]
    `);
  });

  it('stop an alias that expands without end', async () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
    for (let i = 1; i < 8; i++) {
      const before = String.fromCharCode(96 + i);
      const name = String.fromCharCode(97 + i);
      bomb.push(`${name}: &${name} [${Array(10).fill(`*${before}`).join(', ')}]`);
    }
    expect((await faultsOf(bomb.join('\n'))).join('\n')).toContain('too large or too deep');
    expect((await faultsOf('a: &a\n  b: *a\n')).join('\n')).toContain('too large or too deep');
  });

  it('treat __proto__ as the unknown key that it is', async () => {
    expect(await faultsOf(`${MINIMAL}__proto__: { polluted: true }\n`)).toHaveLength(1);
    expect(Object.prototype).not.toHaveProperty('polluted');
  });

  it('find apps that share a name, given or taken from the folder', async () => {
    expect(await faultsOf(`${MINIMAL}apps: [{ compose: a/c.yml, name: x }, { compose: b/c.yml, name: x }]\n`))
      .toMatchInlineSnapshot(`
      [
        "4:65: apps[1].name: apps[0] is named "x" as well; give each app its own name",
      ]
    `);
    expect(await faultsOf(`${MINIMAL}apps: [{ compose: a/c.yml, name: b }, { compose: b/c.yml }]\n`))
      .toMatchInlineSnapshot(`
      [
        "4:50: apps[1].compose: its folder gives it the name "b", which apps[0] has already; add name:",
      ]
    `);
  });

  it('say what extlinux.conf has no place for', async () => {
    const extlinux = (more: string): Promise<string[]> =>
      faultsOf(`${MINIMAL}boot: { loader: extlinux, ${more} }\n`);
    expect(await extlinux('overlays: [a.dtbo]')).toEqual([
      expect.stringMatching(/^4:37: boot\.overlays: libostree writes no FDTOVERLAYS/),
    ]);
    expect(await extlinux('rollback: { counting: script }')).toEqual([
      expect.stringMatching(/^4:49: boot\.rollback\.counting: there is no script with loader: extlinux/),
    ]);
    expect(await extlinux('rollback: { counting: u-boot }')).toEqual([]);
    const attempts = `${MINIMAL}boot: { loader: extlinux, rollback: { attempts: 2 } }\n`;
    expect(await warningsOf(attempts)).toEqual(['4:49 config/extlinux-attempts']);
  });

  it('refuse a FIT image with half a key, or keys that would be published', async () => {
    const fit = (text: string): string => `${MINIMAL}boot: { fit: ${text} }\n`;
    expect((await parseConfig(fit('{}'), FILE)).boot.fit).toEqual({ compression: 'none' });
    expect((await parseConfig(fit('{ keys: ./fit, key: dev, load: 0x48200000 }'), FILE)).boot.fit).toEqual({
      signing: { keys: '/project/fit', key: 'dev', algorithm: 'sha256,rsa2048' },
      compression: 'none',
      load: 0x4820_0000,
    });
    expect(await faultsOf(fit('{ key: dev }'))).toEqual([
      expect.stringMatching(/boot\.fit\.key: a signature needs both keys: .* and key:/),
    ]);
    expect(await faultsOf(fit('{ keys: ./fit }'))).toHaveLength(1);
    expect(await faultsOf(fit('{ keys: ./release/fit, key: dev }'))).toEqual([
      expect.stringMatching(/boot\.fit\.keys: the keys .* would be published with it/),
    ]);
    for (const wrong of ['{ key: ../dev, keys: k }', '{ algorithm: "sha1,rsa2048" }', '{ load: -1 }']) {
      expect(await faultsOf(fit(wrong)), wrong).toHaveLength(1);
    }
  });

  it('refuse keys that would be published', async () => {
    expect(await faultsOf(`${MINIMAL}signing: { keys: ./release/keys }\n`)).toHaveLength(1);
    expect(await faultsOf(`${MINIMAL}signing: { keys: ./release }\n`)).toHaveLength(1);
    expect(await faultsOf(`${MINIMAL}signing: { keys: ./release-keys }\n`)).toEqual([]);
    const rootfs = (path: string): Promise<string[]> =>
      faultsOf(`product: gateway\nmachine: board\nsource: { rootfs: ${path} }\n`);
    expect(await rootfs('.')).toEqual([
      expect.stringMatching(/signing\.keys: the keys .* would be installed on every device/),
      expect.stringContaining('each release would contain the ones before it'),
    ]);
    expect(await rootfs('..')).toHaveLength(2);
    expect(await rootfs('./rootfs')).toEqual([]);
    expect(await rootfs('./rootfs.tar')).toEqual([]);
  });

  it('refuse what libostree, U-Boot or TUF would not take', async () => {
    const bad = async (line: string): Promise<number> => (await faultsOf(`${MINIMAL}${line}\n`)).length;
    for (const branch of ['a//b', 'a/', '../x', '.a', '-a', 'a b', 'ü', '0123456789abcdef'.repeat(4), '""']) {
      expect(await bad(`ostree: { branch: ${branch} }`), branch).toBe(1);
    }
    for (const version of ['"1 2"', '../1', '"1/2"', '-1x', '"ü1"', '""'])
      expect(await bad(`version: ${version}`), version).toBe(1);
    for (const karg of ['"a b"', '"a\\nb"', "'x=\"y'", '""', '"ä"'])
      expect(await bad(`boot: { kargs: [${karg}] }`), karg).toBe(1);
    for (const span of ['0d', '1.5d', '90', '5s', '-1d', '"1 d"', '200y']) {
      expect(await bad(`signing: { expires: { root: ${span} } }`), span).toBe(1);
    }
  });
});

describe('warnings', () => {
  it('are silent for the defaults and for a usual release', async () => {
    expect(await warningsOf(MINIMAL)).toEqual([]);
    expect(
      await warningsOf(`${MINIMAL}version: from-source
ostree: { branch: gateway/stable, osname: gateway, layout: ostree }
boot: { loader: u-boot, kargs: [console=ttymxc0, quiet], rollback: { attempts: 3 } }
deltas: { from: { last: 3 }, max-ratio: 0.8 }
apps: [{ compose: ./apps/shop/docker-compose.yml }]
signing: { keys: ./keys, expires: { targets: 90d, timestamp: 7d } }
output: ./release
`),
    ).toEqual([]);
  });

  it('name what is legal and hardly meant', async () => {
    expect(
      await warningsOf(`product: p
machine: m
source: { buildroot: ./output }
boot: { loader: none, kargs: [ostree=/x, quiet, quiet], rollback: { attempts: 2 } }
deltas: { max-ratio: 2 }
signing: { expires: { timestamp: 1y, snapshot: 30d } }
output: ./output/release
`),
    ).toEqual([
      '6:34 config/expiry-order',
      '5:22 config/max-ratio',
      '4:67 config/no-boot-loader',
      '4:30 config/no-boot-loader',
      '4:31 config/reserved-karg',
      '4:49 config/repeated-karg',
      '7:9 config/output-in-build',
    ]);
  });
});

describe('the file', () => {
  let directory = '';
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'config-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('is read from disk and may begin with a byte order mark', async () => {
    const file = join(directory, 'treewright.yaml');
    await writeFile(file, `\ufeff${MINIMAL}`);
    expect((await loadConfig(file)).source).toEqual({ kind: 'buildroot', output: join(directory, 'output') });
  });

  it('is asked for with the way to make one when it is not there', async () => {
    const missing = loadConfig(join(directory, 'nowhere.yaml'));
    await expect(missing).rejects.toMatchObject({
      code: 'config/not-found',
      data: { hint: expect.stringContaining('treewright init') as unknown },
    });
  });

  it('must be UTF-8 text of a sane size', async () => {
    const binary = join(directory, 'binary.yaml');
    await writeFile(binary, Uint8Array.of(0x70, 0xff, 0xfe));
    await expect(loadConfig(binary)).rejects.toMatchObject({ code: 'config/unreadable' });
    const large = join(directory, 'large.yaml');
    await writeFile(large, '#'.repeat(1024 * 1024 + 1));
    await expect(loadConfig(large)).rejects.toMatchObject({ code: 'config/unreadable' });
    await expect(loadConfig(directory)).rejects.toMatchObject({ code: 'config/unreadable' });
  });
});

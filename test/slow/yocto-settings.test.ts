/** What the variables of meta-treewright and of meta-updater become, without a build. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { INIT_SCRIPT } from '../../src/boot/initramfs/init-script.ts';
import { CLASS, LAYER, runTask } from '../support/bitbake-task.ts';
import { PROJECT } from '../support/project.ts';

const read = (path: string): Promise<string> => readFile(join(PROJECT, path), 'utf8');

/** Expressions over the datastore, with these variables set. */
async function evaluate(set: Record<string, string>, ...print: string[]): Promise<readonly unknown[]> {
  const { values, failed } = await runTask({ release: 'scarthgap', set, print });
  expect(failed).toBe(false);
  return values;
}

const SETTINGS = 'treewright.settings.settings(d)';
const DEPLOY = '/build/tmp/deploy/images/shimarm64';

describe('without a variable', () => {
  test('what the build says is taken, everything else is left to the tool', async () => {
    const [settings, defaults, version, output] = await evaluate(
      { TOPDIR: '/build', DEPLOY_DIR_IMAGE: DEPLOY },
      SETTINGS,
      'treewright.settings.defaults(d)',
      "d.getVar('TREEWRIGHT_VERSION')",
      "d.getVar('TREEWRIGHT_OUTPUT')",
    );
    expect(settings).toEqual({
      'source.yocto': DEPLOY,
      'source.image': 'shim-image-shimarm64',
      'signing.keys': '/build/treewright/keys',
    });
    expect(defaults).toEqual({ product: 'nodistro', machine: 'shimarm64' });
    expect(version).toBe('nodistro.0-20261122120903');
    expect(output).toBe('/build/treewright/shim-image-shimarm64');
  });

  test('pkgdata and the document about the build are handed over', async () => {
    const [settings] = await evaluate(
      { TOPDIR: '/build', DEPLOY_DIR_IMAGE: DEPLOY, PKGDATA_DIR: '/build/tmp/pkgdata/shimarm64' },
      "treewright.settings.settings(d, '/work/build-info.json')",
    );
    expect(settings).toMatchObject({
      'source.pkgdata': '/build/tmp/pkgdata/shimarm64',
      'source.build-info': '/work/build-info.json',
      documents: ['/work/build-info.json'],
    });
  });

  test('multiconfigs have release directories of their own', async () => {
    expect(
      await evaluate({ TOPDIR: '/build', BB_CURRENT_MC: 'rescue' }, "d.getVar('TREEWRIGHT_OUTPUT')"),
    ).toEqual(['/build/treewright/shim-image-shimarm64-rescue']);
  });

  test('an initramfs is no product, has no task, and needs no archive', async () => {
    const print = ["d.getVarFlag('do_treewright', 'noexec')", "d.getVar('IMAGE_FSTYPES').split()"];
    expect(await evaluate({ INITRAMFS_IMAGE: 'shim-image', IMAGE_FSTYPES: 'cpio.gz' }, ...print)).toEqual([
      '1',
      ['cpio.gz'],
    ]);
    const [noexec] = await evaluate({}, ...print);
    expect(noexec).toBeNull();
  });

  test("wic's tools are built for a product with a kickstart file, and for nothing else", async () => {
    const tools = async (set: Record<string, string>): Promise<boolean> => {
      const print = ["d.getVar('DEPENDS').split()", "d.getVarFlag('do_treewright_wic', 'added')"];
      const [depends, added] = await evaluate({ WKS_FILE_DEPENDS: 'wic-tools-native', ...set }, ...print);
      expect(added !== null).toBe((depends as string[]).includes('wic-tools-native'));
      return added !== null;
    };
    expect(await tools({})).toBe(false);
    expect(await tools({ TREEWRIGHT_WKS: 'x.wks' })).toBe(true);
    expect(await tools({ TREEWRIGHT_WKS: 'x.wks', INITRAMFS_IMAGE: 'shim-image' })).toBe(false);
  });
});

describe("meta-updater's variables", () => {
  const UPDATER = {
    DEPLOY_DIR_IMAGE: DEPLOY,
    OSTREE_BRANCHNAME: 'verdin',
    OSTREE_OSNAME: 'torizon',
    OSTREE_BOOTLOADER: 'u-boot',
    OSTREE_KERNEL: 'Image.gz',
    OSTREE_KERNEL_ARGS: 'root=LABEL=otaroot rootfstype=ext4',
    OSTREE_DEPLOY_DEVICETREE: '1',
    OSTREE_DEVICETREE: 'freescale/imx8mm-evk.dtb',
    OSTREE_SYSROOT_READONLY: '1',
    SOTA_HARDWARE_ID: 'verdin-imx8mm',
    GARAGE_TARGET_NAME: 'shop/stable',
    GARAGE_TARGET_VERSION: '7',
    GARAGE_TARGET_EXPIRE_AFTER: '1Y2M',
  };

  test('mean what they mean there', async () => {
    const [settings, version] = await evaluate(UPDATER, SETTINGS, "d.getVar('TREEWRIGHT_VERSION')");
    expect(settings).toMatchObject({
      product: 'shop-stable',
      machine: 'verdin-imx8mm',
      'source.kernel': `${DEPLOY}/Image.gz`,
      'source.device-trees': [`${DEPLOY}/imx8mm-evk.dtb`],
      'ostree.branch': 'verdin',
      'ostree.osname': 'torizon',
      'ostree.layout': 'meta-updater',
      'boot.loader': 'u-boot',
      'boot.kargs': ['root=LABEL=otaroot', 'rootfstype=ext4'],
      'image.label': 'otaroot',
      'image.sysroot-readonly': true,
      'signing.expires.targets': '425d',
    });
    expect(version).toBe('7');
  });

  test('the old repository goes on while it has the branch, and a named one in any case', async () => {
    const repo = await mkdtemp(join(tmpdir(), 'tw-updater-'));
    const continued = async (set: Record<string, string>): Promise<unknown> =>
      ((await evaluate({ ...UPDATER, OSTREE_REPO: repo, ...set }, SETTINGS))[0] as Record<string, unknown>)[
        'ostree.continues'
      ];
    expect(await continued({})).toBeUndefined();
    expect(await continued({ TREEWRIGHT_CONTINUES: '/other' })).toBe('/other');
    await mkdir(join(repo, 'refs/heads'), { recursive: true });
    await writeFile(join(repo, 'refs/heads/verdin'), '0'.repeat(64));
    expect(await continued({})).toBe(repo);
    expect(await continued({ TREEWRIGHT_BRANCH: 'new' })).toBeUndefined();
    await rm(repo, { recursive: true });
  });

  test("this layer's own go before them", async () => {
    const [settings] = await evaluate(
      { ...UPDATER, TREEWRIGHT_BRANCH: 'shop/beta', TREEWRIGHT_LAYOUT: 'ostree', TREEWRIGHT_EXPIRES: '90d' },
      SETTINGS,
    );
    expect(settings).toMatchObject({
      'ostree.branch': 'shop/beta',
      'ostree.layout': 'ostree',
      'signing.expires.targets': '90d',
    });
  });

  test('that mean nothing here are told, one line each; their defaults are not', async () => {
    const [told] = await evaluate(
      { SOTA_PACKED_CREDENTIALS: '/secret/credentials.zip', BUILD_OTA_TARBALL: '0', GARAGE_TARGET_URL: 'x' },
      'treewright.settings.ignored(d)',
    );
    expect(told).toEqual([
      'SOTA_PACKED_CREDENTIALS has no meaning for treewright: nothing is pushed to a server: publish TREEWRIGHT_OUTPUT as it is',
      'GARAGE_TARGET_URL has no meaning for treewright: a release is one directory, wherever it is served',
    ]);
  });

  test('a boot loader that is not U-Boot is refused with the way out', async () => {
    const refused =
      'OSTREE_BOOTLOADER is "grub", and treewright writes files for U-Boot only; set TREEWRIGHT_BOOTLOADER = "none" ' +
      'when something else makes the boot entries';
    await expect(evaluate({ OSTREE_BOOTLOADER: 'grub' }, SETTINGS)).rejects.toThrow(refused);
    const [settings] = await evaluate({ OSTREE_BOOTLOADER: 'grub', TREEWRIGHT_BOOTLOADER: 'none' }, SETTINGS);
    expect(settings).toMatchObject({ 'boot.loader': 'none' });
  });

  test('all of them are understood, told, or defaults that need no word', async () => {
    const [understood, meaningless] = await evaluate(
      {},
      'treewright.variables.UNDERSTOOD',
      'list(treewright.variables.MEANINGLESS)',
    );
    const docs = await read('docs/migration.md');
    for (const name of [...(understood as string[]), ...(meaningless as string[])]) {
      expect(docs).toContain(`\`${name}\``);
    }
  });
});

test('the task runs again for the tool, the configuration, compose files and what is named', async () => {
  const [checksums] = await evaluate(
    {
      TREEWRIGHT_BUNDLE: join(PROJECT, 'package.json'),
      TREEWRIGHT_CONFIG: '/nowhere/treewright.yaml',
      TREEWRIGHT_APPS: `${join(PROJECT, 'examples/demo/apps/dashboard')} other:/x/compose.yml`,
      TREEWRIGHT_WATCH: '/x/keys',
    },
    'treewright.settings.file_checksums(d)',
  );
  expect((checksums as string).split(' ')).toEqual([
    `${join(PROJECT, 'package.json')}:True`,
    '/nowhere/treewright.yaml:False',
    '/x/keys:False',
    `${join(PROJECT, 'examples/demo/apps/dashboard')}:True`,
    '/x:False',
  ]);
});

test('the task waits for kernel, initramfs and, where images are made, the boot loader', async () => {
  const [depends] = await evaluate(
    {
      INITRAMFS_IMAGE: 'small-initramfs',
      TREEWRIGHT_IMAGES: 'disk',
      'PREFERRED_PROVIDER_virtual/bootloader': 'u-boot',
      TREEWRIGHT_NODE: 'native',
    },
    'treewright.settings.task_depends(d)',
  );
  expect((depends as string).split(' ')).toEqual([
    'virtual/kernel:do_deploy',
    'small-initramfs:do_image_complete',
    'u-boot:do_deploy',
    'nodejs-native:do_populate_sysroot',
    'xz-native:do_populate_sysroot',
  ]);
});

describe('documents and copies', () => {
  test('docs/yocto.md names every variable of the class and of the recipe, with its default', async () => {
    const docs = await read('docs/yocto.md');
    const recipe = await readFile(
      join(LAYER, 'recipes-treewright/treewright-device/treewright-device_1.0.bb'),
      'utf8',
    );
    const names = [
      ...`${await readFile(CLASS, 'utf8')}\n${recipe}`.matchAll(/^(TREEWRIGHT\w*) \?\?= /gm),
    ].map(([, name]) => name);
    expect(names.length).toBeGreaterThan(40);
    expect(names.filter((name) => !docs.includes(`\`${name ?? ''}\``))).toEqual([]);
  });

  test('what the class reads changes its signature', async () => {
    const [own] = await evaluate({}, 'treewright.variables.OWN');
    const names = [...(await readFile(CLASS, 'utf8')).matchAll(/^(TREEWRIGHT\w+) \?\?= /gm)].map(
      ([, name]) => name,
    );
    // Where things are, and how the task is run, are no part of what is made.
    const places = [
      'TREEWRIGHT_BUNDLE',
      'TREEWRIGHT_DIR',
      'TREEWRIGHT_OUTPUT',
      'TREEWRIGHT_KEYS',
      'TREEWRIGHT_MAKE_KEYS',
      'TREEWRIGHT_KEY_PASSPHRASE_FILE',
      'TREEWRIGHT_NETWORK',
      'TREEWRIGHT_WATCH',
    ];
    expect([...(own as string[]), ...places].sort()).toEqual(names.sort());
  });

  test("the layer's /init is the one that treewright puts into its own initramfs", async () => {
    const path = 'dynamic-layers/openembedded-layer/recipes-treewright/treewright-initrd/files/init';
    expect(await readFile(join(LAYER, path), 'utf8')).toBe(INIT_SCRIPT);
  });

  test('recipes name the licence text that lies in the layer', async () => {
    const digest = createHash('md5')
      .update(await readFile(join(LAYER, 'COPYING')))
      .digest('hex');
    expect(await readFile(join(LAYER, 'COPYING'), 'utf8')).toBe(await read('LICENSE'));
    for (const recipe of [
      'recipes-treewright/treewright-device/treewright-device_1.0.bb',
      'dynamic-layers/openembedded-layer/recipes-treewright/treewright-initrd/treewright-initrd_1.0.bb',
    ]) {
      expect(await readFile(join(LAYER, recipe), 'utf8')).toContain(`md5=${digest}`);
    }
  });

  test('the recipe installs every script of layers/device', async () => {
    const recipe = await readFile(
      join(LAYER, 'recipes-treewright/treewright-device/treewright-device_1.0.bb'),
      'utf8',
    );
    const names = await readdir(join(PROJECT, 'layers/device'));
    // The layer has the licence as its COPYING.
    for (const name of names.filter((file) => file !== 'LICENSE')) {
      expect(recipe).toContain(`file://${name}`);
      expect(recipe).toContain(`\${SOURCES}/${name}`);
    }
  });
});

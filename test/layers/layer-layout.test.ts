/** Where the layer's files are and what its recipes ask for, by the rules of the BitBake releases that it names. */
import { readFile, readdir } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { LAYER } from '../support/bitbake-task.ts';

/** Paths in the layer, sorted. */
let files: string[];
let layerConf: string;
beforeAll(async () => {
  const entries = await readdir(LAYER, { recursive: true, withFileTypes: true });
  files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(LAYER, join(entry.parentPath, entry.name)))
    .sort();
  layerConf = await readFile(join(LAYER, 'conf/layer.conf'), 'utf8');
});

/** What a recipe may ask for when this collection is there: checked in each release of LAYERSERIES_COMPAT. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  core: ['libubootenv-bin', 'busybox'],
  'openembedded-layer': ['ostree', 'ostree-switchroot'],
};
/** Recipes that a .bbappend may add to: BitBake stops at one without its recipe. */
const RECIPES: Readonly<Record<string, readonly string[]>> = {
  core: ['linux-yocto', 'u-boot'],
  'openembedded-layer': ['ostree'],
  sota: ['aktualizr'],
};

/** Collection whose presence a file needs: that of the folder in dynamic-layers. */
function collectionsOf(file: string): readonly string[] {
  const [first, collection = ''] = file.split('/');
  return first === 'dynamic-layers' ? ['core', 'treewright', collection] : ['core', 'treewright'];
}

/** Values as BitBake expands them where these collections are there, as far as dependencies use expansion. */
function expand(text: string, name: string, collections: readonly string[]): string {
  return text
    .replace(
      /\$\{@bb\.utils\.contains\('BBFILE_COLLECTIONS', '([\w-]+)', '([^']*)', '([^']*)', d\)\}/g,
      (_, wanted: string, yes: string, no: string) => (collections.includes(wanted) ? yes : no),
    )
    .replaceAll('${PN}', name)
    .replaceAll('${VIRTUAL-RUNTIME_base-utils}', 'busybox')
    .replaceAll('${ROOTFS_BOOTSTRAP_INSTALL}', '');
}

const DEPENDENCIES =
  /^(?:DEPENDS|RDEPENDS|RRECOMMENDS|RSUGGESTS|PACKAGE_INSTALL|IMAGE_INSTALL)\b[^=\n]*=\s*"([^"]*)"/gm;

/** Names that a recipe asks for and nobody provides. */
function missing(text: string, file: string, own: ReadonlySet<string>): string[] {
  const collections = collectionsOf(file);
  const known = new Set([...own, ...collections.flatMap((collection) => PACKAGES[collection] ?? [])]);
  const name = basename(file).replace(/_.*|\.bb$/, '');
  return [...text.matchAll(DEPENDENCIES)]
    .flatMap(([, value = '']) => expand(value, name, collections).split(/\s+/))
    .filter((word) => word !== '' && !known.has(word));
}

async function ownPackages(): Promise<Set<string>> {
  const names = new Set<string>();
  for (const file of files.filter((path) => path.endsWith('.bb'))) {
    const name = basename(file).replace(/_.*|\.bb$/, '');
    names.add(name);
    const [, more = ''] =
      /^PACKAGE_BEFORE_PN = "(.*)"$/m.exec(await readFile(join(LAYER, file), 'utf8')) ?? [];
    for (const word of more.replaceAll('${PN}', name).split(' ')) names.add(word);
  }
  return names;
}

test('what recipes ask for is there in each set of layers that they are read with', async () => {
  const recipes = files.filter((path) => path.endsWith('.bb'));
  const own = await ownPackages();
  expect(recipes.length).toBeGreaterThan(2);
  for (const file of recipes) {
    expect([file, missing(await readFile(join(LAYER, file), 'utf8'), file, own)]).toEqual([file, []]);
  }
  // BitBake refuses even what is only recommended, and ostree has no recipe in openembedded-core.
  const wrong = 'RRECOMMENDS:${PN} = "libubootenv-bin ostree"\n';
  expect(missing(wrong, 'recipes-treewright/treewright-device/treewright-device_1.0.bb', own)).toEqual([
    'ostree',
  ]);
});

test('what is added to has a recipe', () => {
  const appends = files.filter((path) => path.endsWith('.bbappend'));
  expect(appends.length).toBeGreaterThan(2);
  for (const file of appends) {
    const known = collectionsOf(file).flatMap((collection) => RECIPES[collection] ?? []);
    expect([file, known]).toEqual([
      file,
      expect.arrayContaining([basename(file).replace('_%.bbappend', '')]),
    ]);
  }
});

test('layer.conf finds each recipe, and none without its layer', () => {
  const patterns = [...layerConf.matchAll(/(?:([\w-]+):)?\$\{LAYERDIR\}\/(\S*\*\S*\.bb(?:append)?)/g)].map(
    ([, collection, glob = '']) => ({
      collection,
      pattern: new RegExp(`^${glob.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`),
    }),
  );
  expect(patterns.length).toBeGreaterThan(4);
  for (const file of files.filter((path) => /\.bb(?:append)?$/.test(path))) {
    const [first, folder] = file.split('/');
    const collection = first === 'dynamic-layers' ? folder : undefined;
    const found = patterns.filter(({ pattern }) => pattern.test(file)).map((entry) => entry.collection);
    expect([file, found]).toEqual([file, [collection]]);
  }
});

test('kickstart files are where OE looks for them', async () => {
  const kickstarts = files.filter((path) => /\.wks(?:\.in)?$/.test(path));
  expect(kickstarts.length).toBeGreaterThan(0);
  // From wrynose on BBPATH's `files/wic`, and only there: before, `wic` and `scripts/lib/wic/canned-wks`.
  expect(new Set(kickstarts.map((path) => dirname(path)))).toEqual(new Set(['files/wic']));
  // So that the releases before find them, the class names the folder.
  const text = await readFile(join(LAYER, 'classes-recipe/treewright.bbclass'), 'utf8');
  expect(text).toContain('\nWKS_SEARCH_PATH:append = ":${TREEWRIGHT_LAYERDIR}/files/wic"\n');
});

test('what yocto-check-layer reads is there and invents no address', async () => {
  const [readme, security] = await Promise.all(
    ['README.md', 'SECURITY.md'].map((name) => readFile(join(LAYER, name), 'utf8')),
  );
  expect(readme).toMatch(/maintainer/i);
  expect(readme).toMatch(/patch/i);
  // It wants an address of e-mail, unless the file refers to another README.
  expect(readme).toMatch(/README/);
  expect(`${readme ?? ''}${security ?? ''}`).not.toMatch(/@|\.example\b/);
});

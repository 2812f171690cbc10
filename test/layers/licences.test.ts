/** Buildroot's legal-info and BitBake take a licence from the package's own sources, which are parts of this repository. */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';

const read = (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

test.each(['layers/device/LICENSE', 'layers/meta-treewright/COPYING'])('%s is the licence', async (copy) => {
  expect(await read(copy)).toBe(await read('LICENSE'));
});

test('the package treewright-device names it for legal-info', async () => {
  const recipe = await read('layers/br2-external/package/treewright-device/treewright-device.mk');
  expect(recipe).toMatch(/^TREEWRIGHT_DEVICE_SITE = .*\/device$/m);
  expect(recipe).toMatch(/^TREEWRIGHT_DEVICE_LICENSE_FILES = LICENSE$/m);
});

/** What the package treewright-device of layers/br2-external makes of a kernel's configuration, by make itself. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programOutput } from '../support/program-output.ts';
import { EXTERNAL } from './buildroot-output.ts';

/** The helpers of package/pkg-utils.mk, as they behave: what is a module already stays one unless it is set. */
const BUILDROOT = String.raw`
define sep


endef
generic-package =
qstrip = $(strip $(subst ",,$(1)))
define KCONFIG_SET_OPT
	sed -i '/^\(# \)\?$(strip $(1))\>/d' config && echo '$(strip $(1))=$(strip $(2))' >>config
endef
KCONFIG_ENABLE_OPT = grep -q '^$(strip $(1))=[my]' config || { $(call KCONFIG_SET_OPT,$(1),y); }
`;

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tw-kernel-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

test('the kernel has all of linux.fragment built in, whatever the defconfig makes a module', async () => {
  const fragment = await readFile(join(EXTERNAL, 'board/treewright/linux.fragment'), 'utf8');
  const wanted = fragment.split('\n').filter((line) => /^CONFIG_\w+=y$/.test(line));
  expect(wanted).toContain('CONFIG_OVERLAY_FS=y');
  // As in arm64's defconfig, which has overlayfs as a module.
  await writeFile(
    join(scratch, 'config'),
    'CONFIG_OVERLAY_FS=m\nCONFIG_EXT4_FS=m\n# CONFIG_EROFS_FS is not set\nCONFIG_EXT4_FS_OTHER=m\n',
  );
  await writeFile(
    join(scratch, 'Makefile'),
    `${BUILDROOT}
BR2_EXTERNAL_TREEWRIGHT_PATH = ${EXTERNAL}
include ${EXTERNAL}/package/treewright-device/treewright-device.mk
all:
	$(TREEWRIGHT_DEVICE_LINUX_CONFIG_FIXUPS)
`,
  );
  await programOutput('make', ['-s', '-C', scratch]);
  const lines = (await readFile(join(scratch, 'config'), 'utf8')).trim().split('\n');
  expect(lines.sort()).toEqual(['CONFIG_EXT4_FS_OTHER=m', ...wanted].sort());
});

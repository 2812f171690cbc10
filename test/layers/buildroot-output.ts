/**
 * A Buildroot output directory after its packages are built, and a Makefile that calls the hook as Buildroot's own does
 * (Makefile, target-post-image; package/Makefile.in, EXTRA_ENV), with the variables that a real run was seen to have.
 */
import { execa } from 'execa';
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AARCH64, arm64Image, deviceTree, elfProgram, writeFiles } from '../sources/builds.ts';
import { PROJECT } from '../support/project.ts';

export const EXTERNAL = join(PROJECT, 'layers/br2-external');
export const HOOK = join(EXTERNAL, 'board/treewright/post-image.sh');

/** What `make show-info` prints of it. */
export const SHOW_INFO = {
  busybox: { type: 'target', virtual: false, version: '1.37.0', licenses: 'GPL-2.0, bzip2-1.0.4', install_target: true },
  'host-tar': { type: 'host', virtual: false, version: '1.35', licenses: 'GPL-3.0+' },
  skeleton: { type: 'target', virtual: true },
  'linux-headers': { type: 'target', virtual: false, version: '6.1.44', licenses: 'GPL-2.0', install_target: false },
  'rootfs-tar': { type: 'rootfs', image_name: 'rootfs.tar' },
}; // prettier-ignore

const MAKEFILE = `
TOPDIR := $(CURDIR)
qstrip = $(strip $(subst ",,$(1)))
define sep


endef
include $(O)/.config
export BR2_CONFIG = $(O)/.config
export TARGET_DIR = $(O)/target
export STAGING_DIR = $(O)/host/aarch64-buildroot-linux-gnu/sysroot
export HOST_DIR = $(O)/host
export BINARIES_DIR = $(O)/images
export BASE_DIR = $(O)
export BR2_VERSION = 2025.02.16
export BR2_VERSION_FULL = 2025.02.16
export BR2_REPRODUCIBLE
export BUILDROOT_CONFIG = /tmp/deprecated/The-BUILDROOT_CONFIG-environment-variable-was-renamed-to-BR2_CONFIG
export SHELL
Q = @
export Q
BUILD_DIR = $(O)/build
CONFIG_DIR = $(O)
EXTRA_ENV = PATH="$(HOST_DIR)/bin:$(HOST_DIR)/sbin:$(PATH)" BR2_DL_DIR=$(TOPDIR)/dl BUILD_DIR=$(BUILD_DIR) \\
	CONFIG_DIR=$(CONFIG_DIR) O=$(O) PARALLEL_JOBS=3

.PHONY: all target-post-image after
all: target-post-image after

target-post-image:
	@$(foreach s, $(call qstrip,$(BR2_ROOTFS_POST_IMAGE_SCRIPT)), \\
		echo ">>>   Executing post-image script $(s)"; \\
		$(EXTRA_ENV) $(s) $(BINARIES_DIR) $(call qstrip,$(BR2_ROOTFS_POST_SCRIPT_ARGS)) \\
			$(call qstrip,$(BR2_ROOTFS_POST_IMAGE_SCRIPT_ARGS))$(sep))

after: target-post-image
	@echo the build goes on
`;

const DOT_CONFIG = `#
# Automatically generated file; DO NOT EDIT.
# Buildroot 2025.02.16 Configuration
#
BR2_HAVE_DOT_CONFIG=y
BR2_ARCH="aarch64"
BR2_ARCH_IS_64=y
BR2_DEFCONFIG="/src/configs/board_defconfig"
BR2_INIT_BUSYBOX=y
BR2_TARGET_GENERIC_HOSTNAME="gateway"
BR2_LINUX_KERNEL=y
BR2_LINUX_KERNEL_IMAGE=y
BR2_TARGET_ROOTFS_TAR=y
BR2_ROOTFS_POST_IMAGE_SCRIPT="${HOOK}"
`;

export interface BuildrootOutput {
  /** `O`. */
  readonly output: string;
  /** Buildroot's top directory, where make and the hooks run. */
  readonly top: string;
}

/** Everything below `directory`. The host tool is installed as its package does, with the compiled sources as the module. */
export async function makeBuildroot(directory: string): Promise<BuildrootOutput> {
  const output = join(directory, 'output');
  const top = join(directory, 'buildroot');
  await writeFiles(directory, {
    'buildroot/Makefile': MAKEFILE,
    'output/Makefile': `show-info:\n\t@test -z "$(findstring j,$(filter-out --%,$(MAKEFLAGS)))"; cat ${join(output, 'info.json')}\n`,
    'output/info.json': JSON.stringify(SHOW_INFO),
    'output/images/Image': arm64Image('6.1.44'),
    'output/images/board.dtb': deviceTree('board'),
    'output/target/THIS_IS_NOT_YOUR_ROOT_FILESYSTEM': '',
    'output/build/packages-file-list.txt': 'busybox,./usr/bin/busybox\n',
    'output/host/lib/treewright/treewright.mjs': `process.argv[1] = ${JSON.stringify(join(PROJECT, 'dist/cli/main.js'))};\nawait import(process.argv[1]);\n`,
  });
  await mkdir(join(output, 'host/bin'));
  await copyFile(join(EXTERNAL, 'package/treewright/treewright.sh'), join(output, 'host/bin/treewright'));
  await writeRootfs(output);
  return { output, top };
}

/** images/rootfs.tar by the command of fs/tar/tar.mk; `extra` is a further file. */
export async function writeRootfs(output: string, extra?: string): Promise<void> {
  const tree = await mkdtemp(join(output, 'build/buildroot-fs-'));
  await writeFiles(tree, {
    'usr/bin/busybox': elfProgram(AARCH64),
    'usr/sbin/init': '-> ../bin/busybox',
    'usr/lib/ostree/ostree-prepare-root': elfProgram(AARCH64),
    'usr/lib/os-release': 'NAME=Buildroot\nID=buildroot\nVERSION_ID=2025.02.16\nPRETTY_NAME="Buildroot 2025.02.16"\n',
    'usr/lib/modules/6.1.44/modules.dep': '',
    'etc/os-release': '-> ../usr/lib/os-release',
    'etc/init.d/rcS': '#!/bin/sh\n',
    'var/lib/hello/state': 'kept',
    bin: '-> usr/bin',
    sbin: '-> usr/sbin',
    lib: '-> usr/lib',
    'dev/fd': '-> ../proc/self/fd',
    ...(extra === undefined ? {} : { 'usr/share/extra': extra }),
  }); // prettier-ignore
  await chmod(join(tree, 'usr/bin/busybox'), 0o4755);
  await execa(
    'sh',
    [
      '-c',
      'find . -print0 | LC_ALL=C sort -z | tar --pax-option=exthdr.name=%d/PaxHeaders/%f,atime:=0,ctime:=0 ' +
        '--owner=0 --group=0 -cf ../../images/rootfs.tar --null --no-recursion -T - --numeric-owner',
    ],
    { cwd: tree },
  );
  await rm(tree, { recursive: true });
}

export async function writeDotConfig(output: string, more: string, without?: RegExp): Promise<void> {
  const lines = DOT_CONFIG.split('\n').filter((line) => without?.test(line) !== true);
  await writeFile(join(output, '.config'), `${lines.join('\n')}${more}\n`);
}

export interface MakeResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `make -j2` in a clean environment. */
export async function make(
  { output, top }: BuildrootOutput,
  env: Readonly<Record<string, string>> = {},
): Promise<MakeResult> {
  const { exitCode, stdout, stderr } = await execa('make', ['-j2', '--no-print-directory', `O=${output}`], {
    cwd: top,
    env: { PATH: process.env['PATH'] ?? '', HOME: top, TERM: 'dumb', ...env },
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
  });
  return { exitCode: exitCode ?? -1, stdout, stderr };
}

/** The product of examples/ci as its repository would hold it, with a Buildroot whose `make` takes no time. */
import { cp, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT } from './project.ts';
import { writePrograms } from './shell-blocks.ts';
import type { SmallRootfsOptions } from './small-rootfs.ts';
import { writeSmallRootfs } from './small-rootfs.ts';

export const CI_EXAMPLE = join(PROJECT, 'examples/ci');

/** What `make` of the stand-in does: the configuration is the one it was given, the images are copied. */
const MAKEFILE = `
defconfig:
	mkdir -p $(O)/images
	cp $(BR2_DEFCONFIG) $(O)/.config
	printf 'BR2_HAVE_DOT_CONFIG=y\\nBR2_aarch64=y\\nBR2_LINUX_KERNEL_IMAGE=y\\n' >> $(O)/.config
	test -f $(BR2_EXTERNAL)/external.desc
	printf 'show-info:\\n\\t@cat $(CURDIR)/show-info.json\\n' > $(O)/Makefile
all:
	mkdir -p $(BR2_DL_DIR)
	cp $(CURDIR)/images/* $(O)/images/
.DEFAULT_GOAL := all
`;

/** Buildroot as far as examples/ci calls it: its output is the small root filesystem's. */
export async function writeBuildroot(directory: string, options: SmallRootfsOptions): Promise<void> {
  await mkdir(join(directory, 'configs'), { recursive: true });
  await writeFile(join(directory, 'configs/qemu_aarch64_virt_defconfig'), 'BR2_aarch64=y\n');
  await writeFile(join(directory, 'Makefile'), MAKEFILE);
  const info = { busybox: { type: 'target', virtual: false, version: '1.37.0', licenses: 'GPL-2.0' } };
  await writeFile(join(directory, 'show-info.json'), JSON.stringify(info));
  await writeSmallRootfs(join(directory, 'images'), options);
}

/** The files of the product's repository, without those that hold secrets. */
export async function writeProduct(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const name of ['treewright.yaml', 'gateway.fragment', 'apps'])
    await cp(join(PROJECT, 'examples/buildroot-gateway', name), join(directory, name), { recursive: true });
  for (const name of await readdir(CI_EXAMPLE)) {
    if (/\.sh$|^no-release\.yml$|^ssh_config$/.test(name))
      await cp(join(CI_EXAMPLE, name), join(directory, 'ci', name));
  }
  // The sources themselves, as a submodule would bring them.
  await cp(join(PROJECT, 'layers'), join(directory, 'treewright/layers'), { recursive: true });
  await mkdir(join(directory, 'tools'));
  await writeFile(
    join(directory, 'tools/treewright.mjs'),
    `process.argv[1] = ${JSON.stringify(join(PROJECT, 'dist/cli/main.js'))};\nawait import(process.argv[1]);\n`,
  );
}

export interface Machine {
  /** A directory to go first in PATH. */
  readonly bin: string;
  /** The home directory of the web server's machine, where `deploy@updates.example:` leads to. */
  readonly host: string;
  /** Every command line of the programs that are written down here. */
  arguments(): Promise<string>;
}

/** Programs of a machine of CI: what would leave the machine stays on it, and arguments are written down. */
export async function makeMachine(directory: string, buildroot: string): Promise<Machine> {
  const host = join(directory, 'host');
  await mkdir(host, { recursive: true });
  const log = join(directory, 'arguments');
  await writeFile(log, '');
  const noted = `printf '%s ' "$(basename "$0")" "$@" >>'${log}'; echo >>'${log}'\n`;
  const real = (name: string) => `${noted}exec "$(PATH=\${PATH#*:} command -v ${name})" "$@"`;
  const bin = await writePrograms(join(directory, 'bin'), {
    'apt-get': `${noted}exit 0`,
    git: `${noted}for directory; do :; done; cp -r '${buildroot}' "$directory"`,
    // The other machine: limited to a directory as the README says, reached only with the key and the host that CI wrote.
    ssh: `${noted}
[ "$1" = -F ] || exit 90
config=$2; shift 2
key=$(sed -n 's/^ *IdentityFile //p' "$config") known=$(sed -n 's/^ *UserKnownHostsFile //p' "$config")
[ "$(stat -c %a "$key" "$known" | tr '\\n' ' ')" = '600 600 ' ] && grep -q PRIVATE "$key" || exit 91
[ "$1" = -l ] && shift 2
grep -q "^$1 " "$known" || exit 92
shift
if command -v rrsync >/dev/null; then SSH_ORIGINAL_COMMAND="$*" exec rrsync '${host}'; fi
cd '${host}' && exec sh -c "$*"`,
    node: `${noted}exec '${process.execPath}' "$@"`,
    rsync: real('rsync'),
    tar: real('tar'),
    base64: real('base64'),
  });
  return { bin, host, arguments: () => readFile(log, 'utf8') };
}

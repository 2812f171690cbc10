/** The treewright.yaml that `treewright init` writes. */
import { relative } from 'node:path';
import type { SourceSpec } from '../sources/types.ts';
import { sourcePath } from './init-detect.ts';

export interface TemplateFacts {
  /** Folder of the file; paths in it are relative to that. */
  readonly dir: string;
  readonly product: string;
  readonly machine: string;
  /** False when the machine is a guess that the user must replace. */
  readonly machineKnown: boolean;
  /** Absent when no build output was found. */
  readonly source?: SourceSpec;
  readonly alternatives: readonly SourceSpec[];
}

/** Name of the JSON Schema beside the configuration. */
export const SCHEMA_FILE = 'treewright.schema.json';

export function configTemplate(facts: TemplateFacts): string {
  const { dir, product, machine, machineKnown, source, alternatives } = facts;
  const others = alternatives
    .map((other) => `# also found: { ${sourceLines(other, dir).join(', ')} }\n`)
    .join('');
  const lines = source === undefined ? ['buildroot: ./output'] : sourceLines(source, dir);
  const branch = `${product}/${machine}/stable`;
  return `# yaml-language-server: $schema=./${SCHEMA_FILE}
#
# How the releases of this product are made: \`treewright release\` reads this file.
# Paths are relative to it. What is left out has the default that is shown here.

# Names the update targets. ASCII letters, digits and . _ + -
product: ${scalar(product)}

# The hardware, which is also the TUF hardware id: a device takes only what names its own.
machine: ${scalar(machine)}${machineKnown ? '' : '   # not found in the build: put in the name that the devices report'}

# The finished build: exactly one of
#   buildroot: ./output
#   yocto: tmp/deploy/images/MACHINE     and, with several images there, image: core-image-minimal
#   rootfs: ./rootfs.tar.zst             an archive or a directory
# and, when the build does not hold them: kernel, kernel-release, initramfs, device-trees.
${source === undefined ? '# No build output was found when this file was written: correct the path.\n' : ''}${others}source:
${lines.map((line) => `  ${line}`).join('\n')}

# from-source takes the version that the build gives itself; a literal needs quotes when it looks like a number.
# \`treewright release --version 1.4.0\` goes before it.
version: from-source

ostree:
  branch: ${scalar(branch)}   # what devices follow
  osname: ${scalar(product)}   # the directory under /ostree/deploy
  layout: ostree   # or meta-updater, or none to commit the tree as it is

boot:
  loader: u-boot   # or extlinux, none
  # board: raspberrypi4   # what U-Boot and the disk of a board need; \`treewright image --format disk\` asks for one
  # root: LABEL=root   # where the root filesystem is; images need it
  kargs: []   # of the first installation, such as [console=ttymxc0, quiet]; commit-kargs: change with updates
  rollback:
    attempts: 3   # boots that may fail before the previous release is started again

# The update client, its trial of new deployments, and the image of a new device (\`treewright image\`).
# device: { scripts: true, watchdog: /dev/watchdog }
# image: { remote: { url: "https://updates.example/release/ostree" } }

deltas:
  from: { last: 3 }   # from that many earlier releases of the branch
  from-nothing: true   # and one for devices that have none of them
  max-ratio: 0.8   # drop a delta larger than this share of the objects it replaces

# docker-compose apps, every image pinned to a digest.
# apps:
#   - compose: ./apps/shop/docker-compose.yml

signing:
  keys: ./keys   # *.key are secret: keep them out of version control, and the root key off this machine
  expires:
    root: 5y
    targets: 1y
    snapshot: 90d
    timestamp: 30d   # devices refuse to update when no release or new signature came for so long

output: ./release
`;
}

function sourceLines(spec: SourceSpec, dir: string): string[] {
  const path = pathFrom(dir, sourcePath(spec));
  switch (spec.kind) {
    case 'buildroot':
      return [`buildroot: ${path}`];
    case 'yocto':
      return [`yocto: ${path}`, ...(spec.image === undefined ? [] : [`image: ${scalar(spec.image)}`])];
    case 'rootfs':
      return [`rootfs: ${path}`];
  }
}

/** Relative when that stays near, so that the project can be moved with its build. */
function pathFrom(dir: string, path: string): string {
  const way = relative(dir, path);
  if (way === '') return scalar('.');
  if (way.startsWith('../../..')) return scalar(path);
  return scalar(way.startsWith('..') ? way : `./${way}`);
}

/** A YAML scalar that is text whatever it looks like. */
export function scalar(text: string): string {
  const plain = /^[A-Za-z./][A-Za-z0-9_./+-]*$/.test(text);
  const special = /^(true|false|null|yes|no|on|off|y|n|\.inf|\.nan|\.)$/i.test(text);
  // JSON's double quotes are YAML's.
  return plain && !special ? text : JSON.stringify(text);
}

/**
 * Builds of Debian source packages inside a throw-away folder of unpacked packages, entered by chroot: as root, or as
 * root of a user namespace where the kernel grants one. Nothing of the system is changed.
 */
import { execa } from 'execa';
import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  downloadSource,
  downloadWithDependencies,
  openApt,
  unpackPackages,
} from '../support/debian-packages.ts';
import type { RootContext } from './roots.ts';

export interface SourceBuild {
  /** For messages. */
  readonly name: string;
  readonly suite: string;
  /** Name of the source package. */
  readonly source: string;
  /** Besides compiler, make and the small tools that every build uses. */
  readonly packages: readonly string[];
  /** Packages taken as installed, besides those that only serve installation. */
  readonly assumeInstalled?: readonly string[];
  /**
   * What /bin/sh runs in the folder. It finds the upstream source in /build/source.tar.xz, Debian's part in
   * /build/debian.tar.xz, and the number of jobs in JOBS.
   */
  readonly script: string;
}

/** What every build uses. */
export const BUILD_ESSENTIALS = [
  ...[
    'gcc',
    'libc6-dev',
    'make',
    'bison',
    'dash',
    'coreutils',
    'sed',
    'grep',
    'gawk',
    'findutils',
    'diffutils',
  ],
  ...['tar', 'xz-utils'],
];

/** How to be root inside the build folder, for the machines where each works; tried in turn. */
const ENTER_SCRIPT = `set -e
root=$1
if [ "$(id -u)" = 0 ] && mknod -m 666 "$root/dev/null" c 1 3 2>/dev/null && : 2>/dev/null >"$root/dev/null"; then
  exec chroot "$root" /bin/sh /build/build.sh
fi
rm -f "$root/dev/null"
exec unshare --user --map-root-user --mount /bin/sh -c \\
  'mount --rbind /dev "$1/dev" && exec chroot "$1" /bin/sh /build/build.sh' sh "$root"
`;

/** Runs the build; answers the path of the folder, in which the script left its results. */
export async function buildFromSource(
  { mirror, scratch, progress }: RootContext,
  { name, suite, source, packages, assumeInstalled = [], script }: SourceBuild,
): Promise<string> {
  const apt = await openApt({
    directory: join(scratch, 'apt'),
    mirror,
    suites: [suite],
    sources: true,
    assumeInstalled: [
      ...['adduser', 'base-passwd', 'debconf', 'dpkg', 'gnupg', 'passwd', 'perl', 'usrmerge'],
      ...assumeInstalled,
    ],
  });
  const files = await downloadSource(apt, source, join(scratch, 'source'));
  const debs = await downloadWithDependencies(apt, [...BUILD_ESSENTIALS, ...packages]);
  progress(`${name}: building ${source}`);
  const root = join(scratch, 'build-root');
  await unpackPackages(debs, root);
  for (const folder of ['build', 'dev', 'tmp']) await mkdir(join(root, folder), { recursive: true });
  // Made by maintainer scripts elsewhere.
  await symlink('gawk', join(root, 'usr/bin/awk'));
  await symlink('gcc', join(root, 'usr/bin/cc'));
  for (const [ending, copy] of [
    ['.orig.tar.xz', 'source.tar.xz'],
    ['.debian.tar.xz', 'debian.tar.xz'],
  ] as const) {
    const file = files.find((path) => path.endsWith(ending));
    if (file === undefined) throw new Error(`the source package of ${source} holds no ${ending}`);
    await copyFile(file, join(root, 'build', copy));
  }
  await writeFile(join(root, 'build/build.sh'), script);
  const built = await execa('/bin/sh', ['-c', ENTER_SCRIPT, 'sh', root], {
    stdin: 'ignore',
    all: true,
    reject: false,
    env: { JOBS: String(availableParallelism()) },
  });
  if (built.exitCode !== 0) {
    throw new Error(
      `building ${source} for ${name} failed (it needs root or user namespaces): ${built.all.split('\n').slice(-4).join(' | ')}`,
    );
  }
  return root;
}

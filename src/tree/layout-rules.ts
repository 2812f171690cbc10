/** Where each layout puts the directories that a device writes to. Both keep them in /var, which libostree preserves. */

export interface MovedDirectory {
  /** Path in the build's tree. */
  readonly from: string;
  /** Where the device has it. */
  readonly to: string;
  /** Target of the symlink left at `from`. */
  readonly link: string;
  /** Mode when the build has no such directory. */
  readonly permissions: number;
  /** False when the link is made only if the build has the directory. */
  readonly always: boolean;
}

export interface LayoutRules {
  readonly moved: readonly MovedDirectory[];
  /** Further directories that shall be there, by path and mode. */
  readonly base: readonly { readonly path: string; readonly permissions: number }[];
}

const LOCAL = ['bin', 'etc', 'games', 'include', 'lib', 'man', 'sbin', 'share', 'src'].map((name) => ({
  path: `var/usrlocal/${name}`,
  permissions: 0o755,
}));

function moved(from: string, to: string, permissions = 0o755, always = true): MovedDirectory {
  const up = '../'.repeat(from.split('/').length - 1);
  return { from, to, link: up + to, permissions, always };
}

/** libostree docs/adapting-existing.md, "System layout". It says nothing of /media, which is treated like /mnt. */
const OSTREE: LayoutRules = {
  moved: [
    moved('home', 'var/home'),
    moved('root', 'var/roothome', 0o700),
    moved('opt', 'var/opt'),
    moved('srv', 'var/srv'),
    moved('mnt', 'var/mnt'),
    moved('media', 'var/media', 0o755, false),
    moved('usr/local', 'var/usrlocal'),
  ],
  base: LOCAL,
};

/** meta-updater classes/image_types_ostree.bbclass, IMAGE_CMD:ostree. */
const META_UPDATER: LayoutRules = {
  moved: [
    moved('home', 'var/rootdirs/home'),
    moved('opt', 'var/rootdirs/opt'),
    moved('mnt', 'var/rootdirs/mnt'),
    moved('media', 'var/rootdirs/media'),
    moved('srv', 'var/rootdirs/srv'),
    moved('root', 'var/roothome', 0o700),
    moved('usr/local', 'var/usrlocal'),
  ],
  base: [{ path: 'var/rootdirs', permissions: 0o755 }, ...LOCAL],
};

export function layoutRules(layout: 'ostree' | 'meta-updater'): LayoutRules {
  return layout === 'ostree' ? OSTREE : META_UPDATER;
}

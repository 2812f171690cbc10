/**
 * /var of a stateroot, as `os-init` and the first `deploy` leave it, and what the build put there.
 * Source: libostree ostree-sysroot.c (ostree_sysroot_init_osname), ostree-sysroot-deploy.c (prepare_deployment_var).
 */
import { FACTORY } from '../../tree/factory.ts';
import type { Directory, FileTree } from '../../tree/types.ts';
import { emptyDirectory, lookup, rootStat, textFile } from '../../tree/walk.ts';
import { isLibostree } from '../libostree-version.ts';
import { copied } from './sysroot-deployment.ts';

export interface VarOptions {
  /** Copy the factory content of the layout, so that the first boot finds it. */
  readonly seed: boolean;
  readonly libostree?: string;
}

/** /var before the first boot. */
export function stateVar(commit: FileTree, { seed, libostree }: VarOptions): Directory {
  const made = emptyDirectory();
  if (isLibostree(libostree, 2024, 3)) {
    const own = commit.root.entries.get('var');
    if (own?.kind === 'directory') {
      for (const [name, node] of copied(own).entries) made.entries.set(name, node);
      // With tmpfiles.d, systemd makes the usual directories at each boot.
      if (lookup(commit, 'usr/lib/tmpfiles.d') === undefined) addUsual(made);
    }
  } else {
    addUsual(made);
  }
  // Says that there is nothing to relabel for SELinux; without it the next deployment walks all of /var.
  made.entries.set('.ostree-selabeled', textFile(''));
  const factory = seed ? lookup(commit, `${FACTORY}/var`) : undefined;
  if (factory?.kind === 'directory') {
    made.stat = factory.stat;
    merge(made, copied(factory));
  }
  made.entries.delete('.updated');
  return made;
}

function addUsual({ entries }: Directory): void {
  const tmp = entries.get('tmp');
  if (tmp?.kind === 'directory') tmp.stat = { ...tmp.stat, mode: rootStat.directory(0o1777).mode };
  else entries.set('tmp', emptyDirectory(rootStat.directory(0o1777)));
  for (const name of ['lib', 'log']) {
    if (!entries.has(name)) entries.set(name, emptyDirectory());
  }
  for (const [name, target] of [
    ['run', '../run'],
    ['lock', '../run/lock'],
  ] as const) {
    if (!entries.has(name)) entries.set(name, { kind: 'symlink', stat: rootStat.symlink(), target });
  }
}

function merge(target: Directory, source: Directory): void {
  for (const [name, node] of source.entries) {
    const present = target.entries.get(name);
    if (present?.kind === 'directory' && node.kind === 'directory') {
      present.stat = node.stat;
      merge(present, node);
    } else if (present?.kind !== 'symlink') {
      // /var/run and /var/lock lead to /run whatever a build has there.
      target.entries.set(name, node);
    }
  }
}

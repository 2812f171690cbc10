/** Turns the root filesystem a build made into one that libostree deploys. */
import type { DiagnosticSink } from '../core/diagnostics.ts';
import { collectFactory, storeFactory } from './factory.ts';
import { placeKernel } from './kernel-placement.ts';
import { layoutRules } from './layout-rules.ts';
import { seedEntries } from './seed-entries.ts';
import { writeSeeding } from './seeding.ts';
import type { FileTree, InitSystem, KernelFiles } from './types.ts';
import { mergeUsr } from './usr-merge.ts';
import { emptyDirectory, ensureDirectory, lookup, rootStat, textFile } from './walk.ts';

/**
 * `ostree` is what libostree's documentation recommends, `meta-updater` what meta-updater's images have,
 * `none` leaves the tree alone.
 */
export type LayoutName = 'ostree' | 'meta-updater' | 'none';

export interface LayoutInput {
  readonly tree: FileTree;
  readonly kernel?: KernelFiles;
  readonly init: InitSystem;
  /** For `usr/package.manifest` of the meta-updater layout. */
  readonly packages?: readonly { readonly name: string; readonly version: string }[];
  /** For `usr/share/sota/branchname` of the meta-updater layout. */
  readonly branch?: string;
}

/** Filled by the kernel and early user space at every boot. */
const MOUNT_POINTS = ['dev', 'proc', 'sys', 'run', 'tmp'];

/**
 * Applies a layout in place. Problems a deployment would hit go to `diagnostics` with severity `error`; the work
 * goes on so that all of them are told. The stat of stored files never changes.
 */
export function applyLayout(input: LayoutInput, layout: LayoutName, diagnostics: DiagnosticSink): void {
  if (layout === 'none') return;
  const { tree, kernel, init } = input;
  const rules = layoutRules(layout);
  emptyMountPoints(tree, diagnostics);
  mergeUsr(tree, diagnostics);
  placeKernel(tree, kernel, diagnostics);
  const factory = collectFactory(tree, rules, diagnostics);
  moveEtc(tree, diagnostics);
  const entries = seedEntries(factory, rules);
  storeFactory(tree, factory);
  writeSeeding(tree, init, layout, entries, diagnostics);
  if (layout === 'meta-updater') writeSotaFiles(input);
  ensureDirectory(tree, 'sysroot');
  replaceByLink(tree, 'ostree', 'sysroot/ostree');
}

function emptyMountPoints(tree: FileTree, diagnostics: DiagnosticSink): void {
  for (const name of MOUNT_POINTS) {
    const node = tree.root.entries.get(name);
    if (node?.kind === 'directory') {
      if (node.entries.size > 0) {
        diagnostics({
          severity: 'note',
          code: 'input/volatile-content',
          message: `/${name} had ${node.entries.size} entries, which were dropped: something is mounted over it at boot`,
        });
        node.entries.clear();
      }
    } else if (node === undefined) {
      tree.root.entries.set(name, emptyDirectory(rootStat.directory(name === 'tmp' ? 0o1777 : 0o755)));
    }
  }
}

/** libostree copies /usr/etc to a writable /etc, and refuses a tree that has both (ostree-sysroot-deploy.c). */
function moveEtc(tree: FileTree, diagnostics: DiagnosticSink): void {
  const etc = tree.root.entries.get('etc');
  const usr = ensureDirectory(tree, 'usr');
  const usrEtc = usr.entries.get('etc');
  if (etc === undefined) {
    if (usrEtc === undefined) {
      diagnostics({
        severity: 'error',
        code: 'input/no-etc',
        message: 'the tree has neither /etc nor /usr/etc',
      });
    }
    return;
  }
  const isLinkToUsrEtc = etc.kind === 'symlink' && /^\/?usr\/etc\/?$/.test(etc.target);
  if (isLinkToUsrEtc || (etc.kind === 'directory' && etc.entries.size === 0 && usrEtc !== undefined)) {
    tree.root.entries.delete('etc');
    return;
  }
  if (etc.kind !== 'directory') {
    diagnostics({
      severity: 'error',
      code: 'input/not-a-directory',
      message: `/etc must be a directory, but it is a ${etc.kind}`,
    });
    return;
  }
  if (usrEtc !== undefined && !(usrEtc.kind === 'directory' && usrEtc.entries.size === 0)) {
    diagnostics({
      severity: 'error',
      code: 'input/etc-and-usr-etc',
      message:
        'the tree has both /etc and /usr/etc, which libostree refuses; let the build put its configuration into /etc only',
    });
    return;
  }
  tree.root.entries.delete('etc');
  usr.entries.set('etc', etc);
}

function replaceByLink(tree: FileTree, name: string, target: string): void {
  tree.root.entries.set(name, { kind: 'symlink', stat: rootStat.symlink(), target });
}

/** What aktualizr's tools and meta-updater's users look for. */
function writeSotaFiles({ tree, packages, branch }: LayoutInput): void {
  if (packages !== undefined && packages.length > 0) {
    const lines = packages.map(({ name, version }) => `${name} ${version}\n`.replace(/ \n$/, '\n'));
    ensureDirectory(tree, 'usr').entries.set('package.manifest', textFile(lines.join('')));
  }
  if (branch !== undefined) {
    ensureDirectory(tree, 'usr/share/sota').entries.set('branchname', textFile(branch));
  }
  if (lookup(tree, 'usr/rootdirs') === undefined) ensureDirectory(tree, 'usr/rootdirs');
}

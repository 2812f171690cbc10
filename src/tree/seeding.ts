/** How the factory copy gets to /var on the device: systemd-tmpfiles, or a script that the init system runs. */
import type { DiagnosticSink } from '../core/diagnostics.ts';
import type { SeedEntry } from './seed-entries.ts';
import { OPENRC_SERVICE, seedInitScript, seedList, seedScript } from './seed-script.ts';
import { tmpfilesLines } from './tmpfiles.ts';
import type { FileTree, InitSystem } from './types.ts';
import { ensureDirectory, resolve, rootStat, textFile } from './walk.ts';

const PRIVATE = 'usr/lib/treewright';
const INIT_NAME = 'treewright-factory';

/** Expects /etc at usr/etc already. */
export function writeSeeding(
  tree: FileTree,
  init: InitSystem,
  layout: 'ostree' | 'meta-updater',
  entries: readonly SeedEntry[],
  diagnostics: DiagnosticSink,
): void {
  if (init === 'systemd') {
    writeTmpfiles(tree, layout, entries);
    return;
  }
  const { text, skipped } = seedList(entries);
  if (skipped.length > 0) {
    diagnostics({
      severity: 'warning',
      code: 'input/odd-name',
      message:
        `${skipped.length} names with a line break are copied to /var with their directory only, not one by one: ` +
        skipped
          .slice(0, 3)
          .map((path) => JSON.stringify(path))
          .join(', '),
    });
  }
  const own = ensureDirectory(tree, PRIVATE);
  own.entries.set('factory.list', textFile(text));
  own.entries.set('seed-factory', textFile(seedScript(text), 0o755));
  hookScript(tree, init, diagnostics);
}

/** meta-updater's devices have the directories of the layout in a file of a name that other layers may know. */
function writeTmpfiles(
  tree: FileTree,
  layout: 'ostree' | 'meta-updater',
  entries: readonly SeedEntry[],
): void {
  const conf = ensureDirectory(tree, 'usr/lib/tmpfiles.d').entries;
  if (layout === 'ostree') {
    conf.set(`${INIT_NAME}.conf`, textFile(tmpfilesLines(entries)));
    return;
  }
  const base = entries.filter((entry) => entry.base);
  ensureDirectory(tree, 'usr/etc/tmpfiles.d').entries.set(
    '00ostree-tmpfiles.conf',
    textFile(tmpfilesLines(base)),
  );
  conf.set(`${INIT_NAME}.conf`, textFile(tmpfilesLines(entries.filter((entry) => !entry.base))));
}

function hookScript(tree: FileTree, init: InitSystem, diagnostics: DiagnosticSink): void {
  const etc = 'usr/etc';
  const scripts = resolve(tree, `${etc}/init.d`);
  if (init === 'openrc') {
    ensureDirectory(tree, `${etc}/init.d`).entries.set(INIT_NAME, textFile(OPENRC_SERVICE, 0o755));
    link(tree, `${etc}/runlevels/boot`, INIT_NAME, `/etc/init.d/${INIT_NAME}`);
    return;
  }
  if ((init !== 'busybox' && init !== 'sysvinit') || scripts?.node.kind !== 'directory') {
    diagnostics({
      severity: 'warning',
      code: 'input/no-seeding',
      message:
        `the init system (${init}) is not one that treewright knows how to hook into; ` +
        `let it run /${PRIVATE}/seed-factory early at each boot, or /var stays empty on a new device`,
    });
    return;
  }
  const rcS = resolve(tree, `${etc}/rcS.d`);
  if (rcS?.node.kind === 'directory') {
    scripts.node.entries.set(INIT_NAME, textFile(seedInitScript(), 0o755));
    // After the root is mounted writable (S06 in Yocto's initscripts), before anything fills /var (S37); meta-updater's slot.
    link(tree, rcS.path, `S20${INIT_NAME}`, `../init.d/${INIT_NAME}`);
  } else {
    // Buildroot's rcS runs /etc/init.d/S??* in the order of their names.
    scripts.node.entries.set(`S00${INIT_NAME}`, textFile(seedInitScript(), 0o755));
  }
}

function link(tree: FileTree, directory: string, name: string, target: string): void {
  ensureDirectory(tree, directory).entries.set(name, { kind: 'symlink', stat: rootStat.symlink(), target });
}

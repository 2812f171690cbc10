/** The update command, the mark-good step and their services, put into a tree that is laid out. */
import type { DiagnosticSink } from '../core/diagnostics.ts';
import { utf8 } from '../core/bytes.ts';
import type { FileTree, InitSystem } from './types.ts';
import { ensureDirectory, lookup, resolve, rootStat } from './walk.ts';

/** Names of the files that are put in, as layers/device holds them. */
export const DEVICE_FILES = [
  'treewright-update',
  'mark-good',
  'extlinux-label',
  'mark-good.init',
  'watchdog.init',
  'treewright-mark-good.service',
  'treewright-update.service',
  'treewright-update.timer',
] as const;

export type DeviceFileName = (typeof DEVICE_FILES)[number];

export interface DeviceSettings {
  readonly watchdog?: { readonly device: string; readonly timeout: number };
  /** /etc/fw_env.config; absent when the board does not say where the environment is. */
  readonly fwEnvConfig?: string;
  /** False when nothing counts boot attempts, so that the boot loader need not be told about them. */
  readonly counted?: boolean;
}

export interface DeviceInput {
  readonly tree: FileTree;
  readonly init: InitSystem;
  readonly files: ReadonlyMap<DeviceFileName, Uint8Array>;
  readonly settings: DeviceSettings;
}

/** Adds what the tree does not have; what the build installed itself stays. */
export function addDeviceFiles(input: DeviceInput, diagnostics: DiagnosticSink): void {
  const { tree, init, settings } = input;
  const put = (path: string, bytes: Uint8Array, permissions: number): void => {
    const parts = path.split('/');
    const name = parts.pop() ?? path;
    const directory = ensureDirectory(tree, parts.join('/'));
    if (directory.entries.has(name)) return;
    directory.entries.set(name, {
      kind: 'file',
      stat: rootStat.file(permissions),
      content: { kind: 'inline', bytes },
    });
  };
  const install = (name: DeviceFileName, path: string, permissions = 0o755): void => {
    const bytes = input.files.get(name);
    if (bytes !== undefined) put(path, bytes, permissions);
  };
  install('treewright-update', 'usr/bin/treewright-update');
  install('mark-good', 'usr/lib/treewright/mark-good');
  install('extlinux-label', 'usr/lib/treewright/extlinux-label');
  ensureDirectory(tree, 'usr/lib/treewright/health.d');
  ensureDirectory(tree, 'usr/etc/treewright/health.d');
  put('usr/etc/treewright/update.conf', utf8(settingsText(settings)), 0o644);
  if (settings.fwEnvConfig !== undefined) addFwEnvConfig(tree, settings.fwEnvConfig, put, diagnostics);
  addServices(tree, init, settings, install, put, diagnostics);
  warnOfMissingPrograms(tree, diagnostics);
}

/** Read by the scripts as shell; values are paths and numbers. */
function settingsText({ watchdog, counted = true }: DeviceSettings): string {
  const lines = ['# Settings of treewright-update, mark-good and the watchdog, as shell variables.'];
  if (!counted) lines.push('COUNTING=none');
  if (watchdog !== undefined) {
    lines.push(`WATCHDOG=${watchdog.device}`, `WATCHDOG_TIMEOUT=${watchdog.timeout}`);
  }
  return `${lines.join('\n')}\n`;
}

type Put = (path: string, bytes: Uint8Array, permissions: number) => void;

function addFwEnvConfig(tree: FileTree, text: string, put: Put, diagnostics: DiagnosticSink): void {
  if (resolve(tree, 'usr/etc/fw_env.config') !== undefined) {
    diagnostics({
      severity: 'note',
      code: 'input/fw-env-config',
      message:
        "the build's own /etc/fw_env.config is kept; it must name the same place as the board, or attempts are not counted",
    });
    return;
  }
  put('usr/etc/fw_env.config', utf8(text), 0o644);
}

function addServices(
  tree: FileTree,
  init: InitSystem,
  { watchdog }: DeviceSettings,
  install: (name: DeviceFileName, path: string, permissions?: number) => void,
  put: Put,
  diagnostics: DiagnosticSink,
): void {
  const link = (directory: string, name: string, target: string): void => {
    const { entries } = ensureDirectory(tree, directory);
    if (!entries.has(name)) entries.set(name, { kind: 'symlink', stat: rootStat.symlink(), target });
  };
  if (init === 'systemd') {
    const units = 'usr/lib/systemd/system';
    install('treewright-mark-good.service', `${units}/treewright-mark-good.service`, 0o644);
    install('treewright-update.service', `${units}/treewright-update.service`, 0o644);
    install('treewright-update.timer', `${units}/treewright-update.timer`, 0o644);
    link(
      `${units}/multi-user.target.wants`,
      'treewright-mark-good.service',
      '../treewright-mark-good.service',
    );
    if (watchdog !== undefined) {
      const text = `[Manager]\nRuntimeWatchdogSec=${watchdog.timeout}\nWatchdogDevice=${watchdog.device}\n`;
      put('usr/lib/systemd/system.conf.d/50-treewright-watchdog.conf', utf8(text), 0o644);
      // systemd feeds the watchdog whether or not the boot gets anywhere.
      const limit = '[Unit]\nJobTimeoutSec=10min\nJobTimeoutAction=reboot-force\n';
      put(`${units}/multi-user.target.d/50-treewright-boot-limit.conf`, utf8(limit), 0o644);
    }
    return;
  }
  const scripts = 'usr/etc/init.d';
  const byLevel = resolve(tree, 'usr/etc/rcS.d')?.node.kind === 'directory';
  if ((init !== 'busybox' && init !== 'sysvinit') || lookup(tree, scripts)?.kind !== 'directory') {
    diagnostics({
      severity: 'warning',
      code: 'input/no-mark-good',
      message:
        `the init system (${init}) is not one that treewright knows how to hook into; let it run ` +
        '/usr/lib/treewright/mark-good at the end of each boot, or every update rolls back',
    });
    return;
  }
  if (byLevel) {
    install('mark-good.init', `${scripts}/treewright-mark-good`);
    for (const level of ['2', '3', '4', '5']) {
      link(`usr/etc/rc${level}.d`, 'S99treewright-mark-good', '../init.d/treewright-mark-good');
    }
    if (watchdog !== undefined) {
      install('watchdog.init', `${scripts}/treewright-watchdog`);
      link('usr/etc/rcS.d', 'S05treewright-watchdog', '../init.d/treewright-watchdog');
    }
    return;
  }
  // Buildroot's rcS runs these in the order of their names.
  install('mark-good.init', `${scripts}/S99treewright-mark-good`);
  if (watchdog !== undefined) install('watchdog.init', `${scripts}/S01treewright-watchdog`);
}

/** Programs without which an update cannot be made, or is not counted. */
const PROGRAMS = [
  {
    names: ['ostree'],
    code: 'input/no-ostree',
    message:
      'there is no program ostree on the device, so that nothing can update it: add ostree (Yocto) or BR2_PACKAGE_LIBOSTREE',
  },
  {
    names: ['fw_setenv'],
    code: 'input/no-fw-setenv',
    message:
      'there is no fw_setenv on the device, so that the boot loader cannot be told about updates and no attempt is counted: ' +
      'add libubootenv-bin (Yocto), BR2_PACKAGE_LIBUBOOTENV or BR2_PACKAGE_UBOOT_TOOLS_FWPRINTENV',
  },
] as const;

function warnOfMissingPrograms(tree: FileTree, diagnostics: DiagnosticSink): void {
  for (const { names, code, message } of PROGRAMS) {
    const found = names.some((name) =>
      ['usr/bin', 'usr/sbin'].some((place) => resolve(tree, `${place}/${name}`) !== undefined),
    );
    if (!found) diagnostics({ severity: 'warning', code, message });
  }
}

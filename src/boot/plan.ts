/** The boot plan of a release: everything a device's /boot holds after the commit was deployed there. */
import { isChecksum } from '../core/checksum.ts';
import type { Checksum } from '../core/checksum.ts';
import type { Diagnostic } from '../core/diagnostics.ts';
import { TreewrightError } from '../core/errors.ts';
import { formatBlsEntry } from '../formats/bls.ts';
import { lookup } from '../formats/gvariant.ts';
import { decodeOsRelease, osTitle } from '../formats/os-release.ts';
import type { Commit } from '../formats/ostree-objects.ts';
import type { ByteStore } from '../platform/store.ts';
import { readCommit } from '../repo/read.ts';
import type { Board, BoardArch, BootCommand, RollbackScheme } from './board.ts';
import { boardArch, bootCommandFor, checkBoard, distroBoard } from './board.ts';
import { readCommitText } from './commit-files.ts';
import type { Bootable, BootVersion, Deployment, Sysroot } from './deployments.ts';
import {
  bootDirectory,
  bootEntries,
  deploy,
  deploymentDirectory,
  emptySysroot,
  entryStyle,
} from './deployments.ts';
import type { BootLoader } from './extlinux.ts';
import {
  EXTLINUX_LINKS,
  checkExtlinux,
  extlinuxDiagnostics,
  isAboutScript,
  renderExtlinux,
} from './extlinux.ts';
import { planDiagnostics } from './findings.ts';
import type { FitSigning } from './fit/mkimage.ts';
import { configuredKernelArgs } from './kernel-args.ts';
import { kernelArch } from './kernel-format.ts';
import type { BootFile } from './kernel-layout.ts';
import { readKernelLayout } from './kernel-layout.ts';
import { renderUbootConfig } from './uboot-config.ts';

/** A commit that was deployed on the device before, and the one before that. */
export interface EarlierDeployment {
  readonly commit: Checksum;
  readonly previous?: EarlierDeployment;
}

export interface BootOptions {
  /** The stateroot. */
  readonly osname: string;
  /** Arguments of the first deployment; updates inherit them. */
  readonly kargs: readonly string[];
  /** What the device runs before this commit comes as an update; absent for a first installation. */
  readonly previous?: EarlierDeployment;
  /** N of boot/loader.N after the deployment. 1 for a first one, and the other one after each update. */
  readonly bootVersion?: BootVersion;
  /** Version of libostree on the device, such as `2025.2`: releases name boot entries differently. */
  readonly libostree?: string;
  /** As in `uname -m`; else what commit and kernel say. Ignored with `board`. */
  readonly arch?: string;
  /** The command that starts the kernel follows from the kernel's format where the board does not fix it. */
  readonly board?: Omit<Board, 'bootCommand'> & { readonly bootCommand?: BootCommand };
  /** `u-boot` when absent. */
  readonly loader?: BootLoader;
  readonly rollback?: Partial<RollbackScheme>;
  /** Whose signature boot.scr carries, for a U-Boot that checks it. */
  readonly signing?: FitSigning;
  /** Time in the header of boot.scr, seconds since 1970; the commit's when absent. */
  readonly timestamp?: number;
}

/** A symlink of the physical root. */
export interface BootLink {
  readonly path: string;
  readonly target: string;
}

/** One deployment of the plan. */
export interface PlannedDeployment extends Deployment {
  /** `ostree/deploy/<os>/deploy/<commit>.<serial>` */
  readonly directory: string;
  /** `boot/ostree/<os>-<bootcsum>`, where `layout.files` go. */
  readonly bootDirectory: string;
}

/** A file of loader/entries. */
export interface PlannedEntry {
  readonly fileName: string;
  readonly text: string;
}

export interface BootPlan {
  readonly osname: string;
  readonly commit: Checksum;
  readonly bootVersion: BootVersion;
  readonly subBootVersion: BootVersion;
  /** The new deployment first, then the one a rollback returns to. */
  readonly deployments: readonly PlannedDeployment[];
  /** Files of boot/ostree: path relative to the physical root, and bytes they take altogether. */
  readonly bootFiles: readonly BootFile[];
  readonly bootBytes: number;
  /** Links of the physical root: boot/boot, boot/loader, ostree/boot.N and what is below it. */
  readonly links: readonly BootLink[];
  readonly entries: readonly PlannedEntry[];
  readonly loader: BootLoader;
  /** boot/loader/uEnv.txt; absent with extlinux. */
  readonly uEnv?: string;
  /** boot/loader/syslinux.cfg, which boot/extlinux/extlinux.conf leads to; with extlinux only. */
  readonly extlinux?: string;
  readonly board: Board;
  readonly rollback: RollbackScheme;
  readonly signing?: FitSigning;
  readonly timestamp: number;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Plans what `ostree admin deploy` would write for `commit` on a device. `store` is rooted at the OSTree repository.
 *
 * Throws `input/no-kernel`, `input/several-kernels`, `input/legacy-kernel-layout`, `input/no-os-release` for a
 * commit that cannot be deployed, `config/...` for options, `trust/...` for a damaged repository.
 */
export async function planBoot(store: ByteStore, commit: Checksum, options: BootOptions): Promise<BootPlan> {
  checkOsname(options.osname);
  const kargs = configuredKernelArgs(options.kargs);
  const history = chronological({
    commit,
    ...(options.previous === undefined ? {} : { previous: options.previous }),
  });
  const bootables = new Map<Checksum, Bootable>();
  for (const each of history) {
    if (!bootables.has(each)) bootables.set(each, await readBootable(store, each));
  }
  const replay = (start: BootVersion): Sysroot =>
    history.reduce(
      (sysroot, each, i) => {
        const bootable = bootables.get(each);
        return bootable === undefined ? sysroot : deploy(sysroot, bootable, i === 0 ? kargs : undefined);
      },
      emptySysroot(options.osname, start),
    );
  const fromZero = replay(0);
  // Which version comes last depends only on the first one.
  const wanted = options.bootVersion ?? fromZero.bootVersion;
  const sysroot = wanted === fromZero.bootVersion ? fromZero : replay(1);

  const { timestamp, metadata } = await readCommit(store, commit);
  const { board, archKnown } = chooseBoard(sysroot, metadata, options);
  const loader = options.loader ?? 'u-boot';
  const script = loader === 'u-boot' && board.environment.kind !== 'none';
  const rollback: RollbackScheme = {
    counting: options.rollback?.counting ?? (script ? 'script' : 'none'),
    attempts: options.rollback?.attempts ?? 3,
    profile: options.rollback?.profile ?? 'ostree',
  };
  if (loader === 'extlinux') checkExtlinux(rollback);
  checkBoard(board, rollback);
  const entries = bootEntries(sysroot, entryStyle(options.libostree));
  const bootFiles = filesOf(sysroot);
  return {
    osname: options.osname,
    commit,
    bootVersion: sysroot.bootVersion,
    subBootVersion: sysroot.subBootVersion,
    deployments: sysroot.deployments.map((deployment) => ({
      ...deployment,
      directory: deploymentDirectory(sysroot.osname, deployment),
      bootDirectory: `boot/${bootDirectory(sysroot.osname, deployment)}`,
    })),
    bootFiles,
    bootBytes: bootFiles.reduce((sum, file) => sum + (file.kind === 'file' ? file.size : 0), 0),
    links: [...linksOf(sysroot), ...(loader === 'extlinux' ? EXTLINUX_LINKS : [])],
    entries: entries.map(({ fileName, fields }) => ({ fileName, text: formatBlsEntry(fields) })),
    loader,
    ...(loader === 'extlinux'
      ? { extlinux: renderExtlinux(entries) }
      : { uEnv: renderUbootConfig(entries, sysroot.configured[0]?.uEnv) }),
    board,
    rollback,
    ...(options.signing === undefined ? {} : { signing: options.signing }),
    timestamp: options.timestamp ?? timestamp,
    diagnostics:
      loader === 'extlinux'
        ? [
            ...planDiagnostics({ sysroot, board, archKnown: true }).filter((found) => !isAboutScript(found)),
            ...extlinuxDiagnostics(sysroot, rollback, options.rollback?.counting !== undefined),
          ]
        : planDiagnostics({ sysroot, board, archKnown }),
  };
}

function checkOsname(osname: string): void {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(osname)) return;
  throw new TreewrightError(
    'config/bad-osname',
    `ostree.osname ${JSON.stringify(osname)} is not a stateroot name: use letters, digits, ".", "_" and "-"`,
  );
}

/** The commits in the order in which they were deployed. */
function chronological(latest: EarlierDeployment): Checksum[] {
  const commits: Checksum[] = [];
  for (let at: EarlierDeployment | undefined = latest; at !== undefined; at = at.previous) {
    if (!isChecksum(at.commit)) {
      throw new TreewrightError('usage/bad-commit', `${JSON.stringify(at.commit)} is not a commit checksum`);
    }
    commits.unshift(at.commit);
  }
  return commits;
}

async function readBootable(store: ByteStore, commit: Checksum): Promise<Bootable> {
  const { metadata } = await readCommit(store, commit);
  const layout = await readKernelLayout(store, commit);
  // /etc of a deployment is a copy of /usr/etc, and of nothing else in a tree that deploys.
  const osRelease =
    (await readCommitText(store, commit, 'usr/lib/os-release')) ??
    (await readCommitText(store, commit, 'usr/etc/os-release')) ??
    (await readCommitText(store, commit, 'etc/os-release'));
  const title = osRelease === undefined ? undefined : osTitle(decodeOsRelease(osRelease));
  if (title === undefined) {
    throw new TreewrightError(
      'input/no-os-release',
      osRelease === undefined
        ? `commit ${commit} has neither /usr/lib/os-release nor /etc/os-release; OSTree needs one to name the boot entry`
        : `os-release of commit ${commit} has neither PRETTY_NAME nor ID; OSTree needs one to name the boot entry`,
      { data: { commit } },
    );
  }
  const version = lookup(metadata, 'version', 's');
  const uEnv = await readCommitText(store, commit, 'usr/lib/ostree-boot/uEnv.txt');
  const overlays = layout.files.some(({ path }) => path === 'dtb/overlays.txt')
    ? await readCommitText(store, commit, `usr/lib/modules/${layout.release}/dtb/overlays.txt`)
    : undefined;
  return {
    commit,
    title,
    layout,
    ...(typeof version === 'string' ? { version } : {}),
    ...(uEnv === undefined ? {} : { uEnv }),
    ...(overlays === undefined ? {} : { overlays }),
  };
}

function chooseBoard(
  sysroot: Sysroot,
  metadata: Commit['metadata'],
  options: BootOptions,
): { board: Board; archKnown: boolean } {
  const format = sysroot.deployments[0]?.layout.format ?? 'unknown';
  if (options.board !== undefined) {
    const { bootCommand, ...board } = options.board;
    return {
      board: { ...board, bootCommand: bootCommand ?? bootCommandFor(format, board.arch) },
      archKnown: true,
    };
  }
  const recorded = lookup(metadata, 'ostree.architecture', 's');
  const named = options.arch ?? (typeof recorded === 'string' ? recorded : undefined);
  const arch: BoardArch | undefined = boardArch(named ?? kernelArch(format) ?? '');
  const chosen = arch ?? 'arm64';
  return { board: distroBoard(chosen, bootCommandFor(format, chosen)), archKnown: arch !== undefined };
}

/** Files of all deployments once, since deployments with the same boot checksum share a directory. */
function filesOf(sysroot: Sysroot): BootFile[] {
  const files = new Map<string, BootFile>();
  for (const deployment of sysroot.deployments) {
    const directory = `boot/${bootDirectory(sysroot.osname, deployment)}`;
    files.set(directory, { kind: 'directory', path: directory });
    for (const file of deployment.layout.files) {
      const path = `${directory}/${file.path}`;
      files.set(path, { ...file, path });
    }
  }
  return [...files.values()];
}

function linksOf(sysroot: Sysroot): BootLink[] {
  const { osname, bootVersion, subBootVersion, deployments } = sysroot;
  const farm = `boot.${bootVersion}.${subBootVersion}`;
  return [
    { path: 'boot/boot', target: '.' },
    { path: 'boot/loader', target: `loader.${bootVersion}` },
    { path: `ostree/boot.${bootVersion}`, target: farm },
    ...deployments.map((deployment) => ({
      path: `ostree/${farm}/${osname}/${deployment.layout.bootcsum}/${deployment.bootSerial}`,
      target: `../../../deploy/${osname}/deploy/${deployment.commit}.${deployment.deploySerial}`,
    })),
  ];
}

/** Reads a build output: root filesystem, boot files, facts. */
import { readdir, stat } from 'node:fs/promises';
import type { EventSink } from '../core/events.ts';
import type { Diagnostic } from '../core/diagnostics.ts';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import type { ContentSink } from '../tree/types.ts';
import { findDeviceTrees } from './boot-files.ts';
import { buildrootInputs } from './buildroot.ts';
import { checkSource } from './check-source.ts';
import {
  containerRuntimes,
  detectInit,
  isUsrMerged,
  libostreeVersion,
  measure,
  readOsRelease,
} from './facts.ts';
import type { FactsCollector } from './facts-collector.ts';
import { createFactsCollector } from './facts-collector.ts';
import type { BuildInputs } from './inputs.ts';
import type { FoundKernel } from './kernel.ts';
import { findKernel } from './kernel.ts';
import { openArchive } from './open-archive.ts';
import { packageOwners } from './package-owners.ts';
import { readDirectory } from './read-directory.ts';
import type { RawTree, ReadTarOptions } from './read-tar.ts';
import { readTar } from './read-tar.ts';
import type { BuildFacts, BuildOutput, ReadOptions, SourceSpec } from './types.ts';
import { yoctoInputs } from './yocto.ts';

/** Progress is told each time this many bytes of the archive have been read. */
const PROGRESS_BYTES = 4 << 20;

/**
 * Reads `spec` and gives the content of every regular file, kernel and device trees included, to `sink`.
 *
 * What is wrong with the tree itself (no kernel, several, ...) comes as diagnostics of severity `error`, so that
 * `inspect` can tell all of it; the caller decides whether to go on. What cannot be read at all throws `input/...`.
 */
export async function readSource(
  spec: SourceSpec,
  sink: ContentSink,
  options: ReadOptions,
): Promise<BuildOutput> {
  const layout = options.layout ?? 'ostree';
  const found = await inputsOf(spec, options);
  const boot = {
    ...found.boot,
    // A kernel the user names is not the one that the build bundled an initramfs with.
    ...(spec.kernel === undefined ? {} : { kernel: spec.kernel, kernelName: undefined, bundled: false }),
    ...(spec.kernelRelease === undefined ? {} : { kernelRelease: spec.kernelRelease }),
    ...(spec.initramfs === undefined ? {} : { initramfs: spec.initramfs }),
    ...(spec.deviceTrees === undefined ? {} : { deviceTrees: await findDeviceTrees(spec.deviceTrees) }),
  };
  const facts = createFactsCollector();
  const raw = await readRootfs(found.rootfs, sink, options.events, {
    label: found.rootfs,
    layout,
    owner: options.owner ?? 'as-is',
    facts,
  });
  const owners = packageOwners(raw.tree, found.packageFiles ?? []);
  const { kernelName, ...rest } = boot;
  const kernel: FoundKernel =
    layout === 'none'
      ? { diagnostics: [] }
      : await findKernel(raw.tree, kernelName === undefined ? rest : { ...rest, kernelName }, sink, facts);
  const gathered = gatherFacts(found, raw, facts);
  const { osRelease } = gathered;
  options.events({
    type: 'done',
    stage: 'sources',
    summary: `${gathered.files} files, ${gathered.contentBytes} bytes`,
  });
  const diagnostics: Diagnostic[] = [
    ...found.diagnostics,
    ...raw.diagnostics,
    ...kernel.diagnostics,
    ...checkSource(raw.tree, osRelease),
  ];
  return {
    kind: found.kind,
    tree: raw.tree,
    ...(kernel.kernel === undefined ? {} : { kernel: kernel.kernel }),
    facts: { ...gathered, osRelease: osRelease ?? {} },
    owners,
    documents: found.documents ?? [],
    diagnostics,
  };
}

async function inputsOf(spec: SourceSpec, options: ReadOptions): Promise<BuildInputs> {
  switch (spec.kind) {
    case 'buildroot':
      return buildrootInputs(spec, options.env ?? {});
    case 'yocto':
      return yoctoInputs(spec);
    case 'rootfs':
      return {
        kind: (await isDirectory(spec.rootfs)) ? 'directory' : 'archive',
        rootfs: spec.rootfs,
        boot: { searched: 'named' },
        packages: [],
        diagnostics: [],
      };
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw new TreewrightError(
      'input/unreadable',
      `${path} cannot be read (${systemErrorCode(error) ?? 'unknown error'})`,
      { cause: error, data: { path } },
    );
  }
}

async function readRootfs(
  path: string,
  sink: ContentSink,
  events: EventSink,
  options: ReadTarOptions,
): Promise<RawTree> {
  if (await isDirectory(path)) {
    await refuseBuildrootTarget(path);
    return readDirectory(path, sink, { ...options, events });
  }
  const archive = await openArchive(path);
  let told = 0;
  const progress = (done: number): void => {
    if (done - told < PROGRESS_BYTES && done !== archive.size) return;
    told = done;
    events({ type: 'progress', stage: 'sources', what: 'read', done, total: archive.size, unit: 'bytes' });
  };
  return readTar(archive.chunks(progress), sink, options);
}

/** Buildroot marks its target/ so that nobody takes it for the root filesystem. */
async function refuseBuildrootTarget(path: string): Promise<void> {
  if (!(await readdir(path)).includes('THIS_IS_NOT_YOUR_ROOT_FILESYSTEM')) return;
  throw new TreewrightError(
    'input/buildroot-target',
    `${path} is Buildroot's target/ directory: owners, device nodes and setuid bits are missing in it. ` +
      'Give the output directory, whose images/rootfs.tar has them',
    { data: { path } },
  );
}

function gatherFacts(
  found: BuildInputs,
  raw: RawTree,
  collector: FactsCollector,
): Omit<BuildFacts, 'osRelease'> & { osRelease: BuildFacts['osRelease'] | undefined } {
  const { tree } = raw;
  const osRelease = readOsRelease(tree, collector);
  const arch = found.arch ?? collector.architecture();
  const version = found.version ?? osRelease?.['IMAGE_VERSION'] ?? osRelease?.['VERSION_ID'];
  const libostree = libostreeVersion(tree, found.packages);
  return {
    ...(found.machine === undefined ? {} : { machine: found.machine }),
    ...(arch === undefined ? {} : { arch }),
    ...(version === undefined ? {} : { version }),
    osRelease,
    init: detectInit(tree),
    usrMerged: isUsrMerged(tree),
    packages: found.packages,
    ...measure(tree),
    ...(found.tool === undefined ? {} : { tool: found.tool }),
    ...(found.kernelSource === undefined ? {} : { kernelSource: found.kernelSource }),
    layers: found.layers ?? [],
    ...(libostree === undefined ? {} : { libostree }),
    containerRuntimes: containerRuntimes(tree),
  };
}

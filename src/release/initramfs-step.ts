/** The initramfs of a release: the build's, one made here, or none. */
import type { InitramfsConfig } from '../config/types.ts';
import type { Diagnostic } from '../core/diagnostics.ts';
import type { EventSink } from '../core/events.ts';
import { contentOpener } from '../boot/image/content.ts';
import { PREPARE_ROOT, buildInitramfs } from '../boot/initramfs/build.ts';
import { collectBytes } from '../core/bytes.ts';
import { decodeElfDynamic } from '../formats/elf-dynamic.ts';
import type { ByteStore } from '../platform/store.ts';
import type { FileTree } from '../tree/types.ts';
import { ensureDirectory, resolve, rootStat } from '../tree/walk.ts';

export interface InitramfsStep {
  /** Arranged, and not written yet. */
  readonly tree: FileTree;
  readonly kernelRelease: string;
  /** Answers a store with the content of the tree. */
  readonly staged: () => Promise<ByteStore>;
  readonly config: InitramfsConfig;
  readonly events: EventSink;
}

/** Makes the initramfs when it is needed, and puts it beside the kernel. */
export async function addInitramfs({
  tree,
  kernelRelease,
  staged,
  config,
  events,
}: InitramfsStep): Promise<void> {
  if (config.make === 'never') return;
  const directory = ensureDirectory(tree, `usr/lib/modules/${kernelRelease}`);
  // An empty one stands for a kernel that brings its own.
  const present = ['initramfs.img', 'initramfs'].some((name) => directory.entries.has(name));
  if (config.make === 'when-needed' && present) return;
  const prepareRoot = resolve(tree, PREPARE_ROOT)?.node;
  if (config.make === 'when-needed' && prepareRoot?.kind !== 'file') return;
  const openContent = contentOpener(await staged());
  if (config.make === 'when-needed' && prepareRoot?.kind === 'file') {
    // A static one starts without any library, as init= of the kernel; what is no program of this world, too.
    const elf = decodeElfDynamic(await collectBytes(openContent(prepareRoot)));
    if (elf?.interpreter === undefined) return;
  }
  events({ type: 'stage', stage: 'boot', title: 'Making the initramfs' });
  const made = await buildInitramfs({
    tree,
    openContent,
    kernelRelease,
    compression: config.compression,
    modules: config.modules,
  });
  for (const diagnostic of made.diagnostics) events({ type: 'diagnostic', diagnostic });
  directory.entries.delete('initramfs');
  directory.entries.set('initramfs.img', {
    kind: 'file',
    stat: rootStat.file(),
    content: { kind: 'inline', bytes: made.bytes },
  });
  if (present) events({ type: 'diagnostic', diagnostic: REPLACED });
  events({
    type: 'done',
    stage: 'boot',
    summary: `initramfs of ${made.programs.length} programs, ${made.libraries.length} libraries, ${made.modules.length} modules`,
  });
}

const REPLACED: Diagnostic = {
  severity: 'note',
  code: 'input/initramfs-replaced',
  message: "the build's initramfs is replaced, because boot.initramfs.make is always",
};

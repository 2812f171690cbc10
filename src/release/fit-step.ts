/** The FIT image of a release, in place of the kernel, initramfs and device trees it is made of. */
import type { FitConfig } from '../config/types.ts';
import { boardArch } from '../boot/board.ts';
import type { FitSettings } from '../boot/fit/kernel.ts';
import { makeKernelFit } from '../boot/fit/kernel.ts';
import type { FitSigning } from '../boot/fit/mkimage.ts';
import { contentOpener, contentSize } from '../boot/image/content.ts';
import { KERNEL_HEAD_SIZE, kernelArch, kernelFormat } from '../boot/kernel-format.ts';
import type { Diagnostic, DiagnosticSink } from '../core/diagnostics.ts';
import type { EventSink } from '../core/events.ts';
import { concatBytes } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';
import { decodeFit } from '../formats/fit-image.ts';
import { FIT_ALGORITHMS } from '../formats/fit-source.ts';
import type { ByteStore } from '../platform/store.ts';
import type { FileTree, KernelFiles, RegularFile } from '../tree/types.ts';
import { ensureDirectory, rootStat } from '../tree/walk.ts';

export interface FitStepSettings extends FitConfig {
  readonly overlays: readonly string[];
  /** As `uname -m` or a board has it, for a kernel that does not say it itself. */
  readonly arch?: string;
}

export interface FitStep {
  /** Arranged, with its initramfs, and not written yet. */
  readonly tree: FileTree;
  readonly kernel: KernelFiles;
  /** Answers a store with the content of the tree. */
  readonly staged: () => Promise<ByteStore>;
  readonly settings: FitStepSettings;
  readonly events: EventSink;
  readonly report: DiagnosticSink;
}

/** Who signs, as `boot.fit` says it; undefined when nobody does. */
export function fitSigning(fit: FitConfig | undefined): FitSigning | undefined {
  if (fit?.signing === undefined) return undefined;
  const { keys, key, algorithm } = fit.signing;
  const known = FIT_ALGORITHMS.find((name) => name === algorithm);
  if (known === undefined) {
    throw new TreewrightError('config/fit-algorithm', `boot.fit.algorithm: there is no ${algorithm}`);
  }
  return { keys, key, algorithm: known };
}

/**
 * Makes `usr/lib/modules/<release>/vmlinuz` a FIT image. `initramfs.img` stays as an empty file, without which
 * libostree would add `init=` to the kernel arguments.
 */
export async function addFit({ tree, kernel, staged, settings, events, report }: FitStep): Promise<void> {
  const directory = ensureDirectory(tree, `usr/lib/modules/${kernel.release}`);
  const image = directory.entries.get('vmlinuz');
  if (image?.kind !== 'file') return;
  const open = contentOpener(await staged());
  const format = kernelFormat(await head(open(image), KERNEL_HEAD_SIZE));
  if (format === 'fit') {
    report(await describeFit(open(image), settings));
    return;
  }
  const signing = fitSigning(settings);
  events({
    type: 'stage',
    stage: 'boot',
    title: `Making the ${signing === undefined ? '' : 'signed '}FIT image`,
  });
  const initramfs = ['initramfs.img', 'initramfs']
    .map((name) => directory.entries.get(name))
    .find((file): file is RegularFile => file?.kind === 'file' && contentSize(file) > 0);
  const { compression, load, overlays } = settings;
  const made: FitSettings = {
    ...(signing === undefined ? {} : { signing }),
    compression,
    ...(load === undefined ? {} : { load }),
    ...(settings.default === undefined ? {} : { default: settings.default }),
    overlays,
  };
  const arch = kernelArch(format) ?? settings.arch;
  const bytes = await makeKernelFit(
    {
      release: kernel.release,
      arch: boardArch(arch ?? '') ?? 'arm64',
      format,
      kernel: open(image),
      ...(initramfs === undefined ? {} : { initramfs: open(initramfs) }),
      deviceTrees: new Map([...kernel.deviceTrees].map(([path, file]) => [path, open(file)])),
    },
    made,
  );
  for (const name of ['initramfs', 'devicetree', 'dtb']) directory.entries.delete(name);
  directory.entries.set('vmlinuz', inline(bytes));
  directory.entries.set('initramfs.img', inline(new Uint8Array(0)));
  if (signing === undefined) report(UNSIGNED);
  events({
    type: 'done',
    stage: 'boot',
    summary: `FIT image of ${(bytes.length / 1e6).toFixed(1)} MB, ${kernel.deviceTrees.size} device trees`,
  });
}

/** Larger images are not read for a description. */
const MAX_DESCRIBED = 512 << 20;

/** What the build's own image holds, and whether it is signed when the boot script is. */
async function describeFit(
  content: AsyncIterable<Uint8Array>,
  settings: FitStepSettings,
): Promise<Diagnostic> {
  const { images, configurations } = decodeFit(await head(content, MAX_DESCRIBED));
  const unsigned = configurations.filter(({ signatures }) => !signatures.some((length) => length > 0));
  const facts = [
    `${configurations.length} configurations (${configurations.map(({ name }) => name).join(', ')})`,
    images.some(({ type }) => type === 'ramdisk') ? 'an initramfs' : 'no initramfs',
  ].join(' and ');
  const message = `the kernel is a FIT image of the build, with ${facts}, and stays as it is`;
  if (settings.signing === undefined || unsigned.length === 0) {
    return { severity: 'note', code: 'input/fit-of-the-build', message };
  }
  return {
    severity: 'warning',
    code: 'input/fit-unsigned',
    message:
      `${message}; not signed: ${unsigned.map(({ name }) => name).join(', ')}. The boot script is signed, so its U-Boot will ` +
      'probably refuse them: let the build sign its image, or give the plain kernel to boot.fit',
  };
}

const UNSIGNED = {
  severity: 'note',
  code: 'config/fit-unsigned',
  message:
    'the FIT image has hashes and no signature, so it is safe from damage only: boot.fit.keys and boot.fit.key sign it',
} as const;

async function head(content: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of content) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= limit) break;
  }
  return concatBytes(chunks).subarray(0, limit);
}

function inline(bytes: Uint8Array): RegularFile {
  return { kind: 'file', stat: rootStat.file(), content: { kind: 'inline', bytes } };
}

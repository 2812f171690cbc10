/** The FIT image of a deployment: kernel, initramfs, device trees and overlays in one file. */
import { gzipSync } from 'node:zlib';
import { collectBytes, concatBytes } from '../../core/bytes.ts';
import { TreewrightError } from '../../core/errors.ts';
import type { FitArch, FitConfiguration, FitImage } from '../../formats/fit-source.ts';
import { createGzipWriter } from '../../formats/gzip.ts';
import { fitNodeName } from '../../formats/fit-source.ts';
import type { KernelFormat } from '../kernel-format.ts';
import type { FitSigning } from './mkimage.ts';
import { makeFit } from './mkimage.ts';

export interface FitSettings {
  /** Absent: hashes only. */
  readonly signing?: FitSigning;
  readonly compression: 'none' | 'gzip';
  /** Where the kernel is put and started. Absent: U-Boot finds the place itself. */
  readonly load?: number;
  /** The device tree, by its name, of the configuration that U-Boot takes when it is told none. */
  readonly default?: string;
  /** Overlays that every configuration applies, by their names. */
  readonly overlays: readonly string[];
}

export type Content = AsyncIterable<Uint8Array>;

export interface KernelFitParts {
  readonly release: string;
  readonly arch: FitArch;
  readonly format: KernelFormat;
  readonly kernel: Content;
  readonly initramfs?: Content;
  /** Device trees and overlays by their paths, such as `freescale/x.dtb` and `overlays/y.dtbo`. */
  readonly deviceTrees: ReadonlyMap<string, Content>;
}

/**
 * Configurations are named as Yocto names them, `conf-<device tree>`, and one of an overlay alone `conf-<overlay>`,
 * which the boot script adds to the chosen one. Without device trees there is one, `conf-1`.
 *
 * @throws TreewrightError `config/fit-...` for settings, `input/fit-...` for parts that no FIT image can hold
 */
export async function makeKernelFit(parts: KernelFitParts, settings: FitSettings): Promise<Uint8Array> {
  const { release, arch, format, initramfs, deviceTrees } = parts;
  checkKernel(parts, settings);
  const images: FitImage[] = [];
  const files = new Map<string, Uint8Array | Content>();
  const nodes = new Map<string, string>();
  const withOverlays = [...deviceTrees.keys()].some(isOverlay);
  for (const [path, content] of deviceTrees) {
    const name = fitNodeName('fdt-', shortName(path));
    const file = `device-tree-${nodes.size}`;
    if (images.some((image) => image.name === name)) {
      throw new TreewrightError(
        'input/fit-name',
        `two device trees would have the name ${name} inside the FIT image; one of them is ${path}`,
        { data: { path } },
      );
    }
    nodes.set(shortName(path), name);
    // U-Boot before 2025.10 applies no overlay to a tree inside the image. A compressed one is unpacked elsewhere,
    // with room to grow, so that no board must name a place (doc/usage/fit/kernel_fdts_compressed.rst).
    const compress = withOverlays && !isOverlay(path);
    const compression = compress ? 'gzip' : 'none';
    images.push({ name, description: path, type: 'flat_dt', arch, compression, file });
    files.set(file, compress ? gzipTree(await collectBytes(content)) : content);
  }
  if (initramfs !== undefined) {
    // U-Boot passes it on as it is; the kernel knows how it is compressed.
    images.push({ name: 'ramdisk-1', description: 'initramfs', type: 'ramdisk', arch, file: 'initramfs' });
    files.set('initramfs', initramfs);
  }
  // The last one: U-Boot from 2024.04 moves it up to the next 2 MiB in place, over whatever follows.
  images.push({
    name: 'kernel-1',
    description: `Linux ${release}`,
    type: settings.load === undefined ? 'kernel_noload' : 'kernel',
    arch,
    compression: format === 'gzip' ? 'gzip' : settings.compression,
    ...(settings.load === undefined ? {} : { load: settings.load }),
    file: 'kernel',
  });
  const compress = settings.compression === 'gzip' && format !== 'gzip';
  files.set('kernel', compress ? gzipSync(await collectBytes(parts.kernel), { level: 9 }) : parts.kernel);
  const { configurations, defaultConfiguration } = configure(nodes, initramfs !== undefined, settings);
  return makeFit({
    source: { description: `Linux ${release}`, images, configurations, defaultConfiguration },
    files,
    ...(settings.signing === undefined ? {} : { signing: settings.signing }),
    // Like every file of a commit it has no time of its own: the same parts are the same image.
    time: 0,
  });
}

function isOverlay(path: string): boolean {
  return path.endsWith('.dtbo');
}

/** Overlays are named without the directory that kernels and boot scripts keep them in. */
function shortName(path: string): string {
  return path.replace(/^overlays\//, '');
}

function configure(
  nodes: ReadonlyMap<string, string>,
  initramfs: boolean,
  settings: FitSettings,
): { configurations: FitConfiguration[]; defaultConfiguration: string } {
  const overlays = settings.overlays.map((overlay) => {
    const node = nodes.get(shortName(overlay));
    if (node !== undefined) return node;
    throw new TreewrightError(
      'config/no-overlay',
      `boot.overlays names ${overlay}, which is not among the device trees: ${[...nodes.keys()].join(', ') || 'there are none'}`,
      { data: { overlay } },
    );
  });
  const common = { kernel: 'kernel-1', ...(initramfs ? { ramdisk: 'ramdisk-1' } : {}) };
  const bases = [...nodes].filter(([path]) => !isOverlay(path));
  const whole = bases.map(([path, node]) => ({
    name: fitNodeName('conf-', path),
    description: path,
    ...common,
    fdt: [node, ...overlays],
  }));
  if (whole.length === 0 && nodes.size > 0) {
    throw new TreewrightError(
      'input/fit-overlays-only',
      'the build has device tree overlays and no device tree that they could be applied to: name one with source.device-trees',
    );
  }
  const alone = [...nodes]
    .filter(([path]) => isOverlay(path))
    .map(([path, node]) => ({ name: fitNodeName('conf-', path), description: path, fdt: [node] }));
  const configurations =
    whole.length === 0
      ? [{ name: 'conf-1', description: 'without a device tree', ...common }]
      : [...whole, ...alone];
  const wanted = settings.default;
  const chosen =
    wanted === undefined ? configurations[0] : whole.find(({ description }) => description === wanted);
  if (chosen === undefined) {
    throw new TreewrightError(
      'config/no-default-device-tree',
      `boot.fit.default names ${wanted}, which is not among the device trees: ${bases.map(([path]) => path).join(', ') || 'there are none'}`,
    );
  }
  return { configurations, defaultConfiguration: chosen.name };
}

/** What U-Boot can start from inside a FIT image, and what it must be told for that. */
function checkKernel({ arch, format }: KernelFitParts, { compression, load }: FitSettings): void {
  if (!['arm64-image', 'arm-zimage', 'riscv-image', 'gzip'].includes(format) || arch === 'x86_64') {
    throw new TreewrightError(
      'input/fit-kernel',
      `boot.fit takes an Image, an Image.gz or a zImage for arm, arm64 or riscv; the kernel is ${format} for ${arch}`,
      { data: { format, arch } },
    );
  }
  if (load !== undefined) return;
  // bootm before 2024.04 looks for the header of an Image in the compressed bytes, and a riscv kernel is never moved.
  const reason =
    format === 'gzip' || compression === 'gzip'
      ? 'the kernel is compressed'
      : arch === 'riscv'
        ? 'a riscv kernel must lie at a multiple of 2 MiB'
        : undefined;
  if (reason === undefined) return;
  throw new TreewrightError(
    'config/fit-load',
    `${reason}, so boot.fit.load must say where U-Boot shall unpack it, such as 0x48200000: a multiple of 2 MiB (any ` +
      'place for 32-bit arm) with room for the whole kernel, away from where the FIT image itself is loaded',
  );
}

function gzipTree(bytes: Uint8Array): Uint8Array {
  const writer = createGzipWriter();
  return concatBytes([writer.push(bytes), writer.finish()]);
}

/**
 * The source of a flattened image tree (.its), which `mkimage` compiles and signs into the FIT image that U-Boot's
 * `bootm` and `source` read. Sources: the FIT specification (fitspec.osfw.foundation), U-Boot doc/usage/fit.
 */
import { TreewrightError } from '../core/errors.ts';

/** `algo` of a signature node, RSA only: an ECDSA signature differs each time it is made. */
export const FIT_ALGORITHMS = [
  'sha256,rsa2048',
  'sha256,rsa3072',
  'sha256,rsa4096',
  'sha384,rsa2048',
  'sha384,rsa3072',
  'sha384,rsa4096',
  'sha512,rsa2048',
  'sha512,rsa3072',
  'sha512,rsa4096',
] as const;

export type FitAlgorithm = (typeof FIT_ALGORITHMS)[number];

/** By the names U-Boot has for them (boot/image.c). */
export type FitArch = 'arm' | 'arm64' | 'riscv' | 'x86_64';

export interface FitImage {
  /** Node below /images. */
  readonly name: string;
  readonly description: string;
  /** `kernel_noload`: started where it lies, or moved by U-Boot to where its header allows; the others as they say. */
  readonly type: 'kernel' | 'kernel_noload' | 'ramdisk' | 'flat_dt' | 'script';
  readonly arch: FitArch;
  readonly compression?: 'none' | 'gzip';
  /** Where U-Boot puts it, and for a kernel where it starts; below 2^53. */
  readonly load?: number;
  /** The file with its content, relative to the source. */
  readonly file: string;
}

export interface FitConfiguration {
  /** Node below /configurations. */
  readonly name: string;
  readonly description: string;
  /** Names of images. */
  readonly kernel?: string;
  readonly ramdisk?: string;
  /** A device tree, and the overlays that are applied to it in this order. */
  readonly fdt?: readonly string[];
  readonly script?: string;
}

export interface FitSource {
  readonly description: string;
  /** In the order in which they are to lie in the file. */
  readonly images: readonly FitImage[];
  /** The image that `source` runs when none is named. */
  readonly defaultImage?: string;
  readonly configurations: readonly FitConfiguration[];
  readonly defaultConfiguration: string;
  /** Signs every image and every configuration; without it there are hashes only. */
  readonly signature?: { readonly algorithm: FitAlgorithm; readonly key: string };
}

/** Node names: the devicetree specification's letters, without the `@` that U-Boot refuses in signed images. */
const NODE_NAME = /^[A-Za-z0-9,._+-]+$/;

/**
 * The name of a node for a file such as `freescale/x.dtb`, as Yocto makes it: a slash becomes an underscore.
 *
 * @throws TreewrightError `input/fit-name` when it has letters that no node may have
 */
export function fitNodeName(prefix: string, path: string): string {
  const name = `${prefix}${path.replaceAll('/', '_')}`;
  if (NODE_NAME.test(name)) return name;
  throw new TreewrightError(
    'input/fit-name',
    `${JSON.stringify(path)} cannot be named inside a FIT image: use letters, digits and , . _ + - in its name`,
    { data: { path } },
  );
}

/** The text of the .its file. */
export function renderFitSource(source: FitSource): string {
  const { images, configurations, signature } = source;
  const hash = signature?.algorithm.split(',')[0] ?? 'sha256';
  const sign = (imageLists: readonly string[]): string[] =>
    signature === undefined
      ? []
      : node('signature-1', [
          property('algo', signature.algorithm),
          property('key-name-hint', signature.key),
          ...(imageLists.length === 0 ? [] : [property('sign-images', ...imageLists)]),
        ]);
  const image = ({ name, description, type, arch, compression = 'none', load, file }: FitImage): string[] => {
    const kernel = type === 'kernel' || type === 'kernel_noload';
    // A kernel_noload has both, of zero: U-Boot up to 2026.07 does not start one without them.
    const address = load ?? (type === 'kernel_noload' ? 0 : undefined);
    return node(name, [
      property('description', description),
      `data = /incbin/(${quoted(file)});`,
      property('type', type),
      property('arch', arch),
      ...(kernel || type === 'ramdisk' ? [property('os', 'linux')] : []),
      property('compression', compression),
      ...(address === undefined ? [] : [`load = ${cells(address)};`]),
      ...(kernel && address !== undefined ? [`entry = ${cells(address)};`] : []),
      ...node('hash-1', [property('algo', hash)]),
      ...sign([]),
    ]);
  };
  const configuration = ({ name, description, kernel, ramdisk, fdt, script }: FitConfiguration): string[] => {
    const parts = Object.entries({
      kernel: kernel === undefined ? [] : [kernel],
      fdt: fdt ?? [],
      ramdisk: ramdisk === undefined ? [] : [ramdisk],
      script: script === undefined ? [] : [script],
    }).filter(([, names]) => names.length > 0);
    return node(name, [
      property('description', description),
      ...parts.map(([part, names]) => property(part, ...names)),
      ...sign(parts.map(([part]) => part)),
    ]);
  };
  return [
    '/dts-v1/;',
    ...node('/', [
      property('description', source.description),
      '#address-cells = <1>;',
      ...node('images', [
        ...(source.defaultImage === undefined ? [] : [property('default', source.defaultImage)]),
        ...images.flatMap(image),
      ]),
      ...node('configurations', [
        property('default', source.defaultConfiguration),
        ...configurations.flatMap(configuration),
      ]),
    ]),
    '',
  ].join('\n');
}

function node(name: string, lines: readonly string[]): string[] {
  return [`${name} {`, ...lines.map((line) => `\t${line}`), '};'];
}

function property(name: string, ...texts: readonly string[]): string {
  return `${name} = ${texts.map(quoted).join(', ')};`;
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** One cell, or two for an address beyond 32 bits; U-Boot goes by the length (fit_image_get_address). */
function cells(address: number): string {
  const low = `0x${(address % 2 ** 32).toString(16)}`;
  return address < 2 ** 32 ? `<${low}>` : `<0x${Math.floor(address / 2 ** 32).toString(16)} ${low}>`;
}

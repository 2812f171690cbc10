/** What a compiled FIT image says about itself. Source: the FIT specification, U-Boot boot/image-fit.c. */
import { TreewrightError } from '../core/errors.ts';
import type { FdtNode } from './fdt.ts';
import { decodeFdt, fdtStrings } from './fdt.ts';

export interface FitPart {
  readonly name: string;
  /** Bytes of the value of each signature; none for an unsigned one, 0 for one that was never made. */
  readonly signatures: readonly number[];
}

export interface FitContents {
  readonly images: readonly (FitPart & {
    readonly type?: string;
    readonly arch?: string;
    /** Absent where the data lies outside the tree. */
    readonly data?: Uint8Array;
  })[];
  readonly configurations: readonly (FitPart & {
    readonly kernel?: string;
    readonly ramdisk?: string;
    readonly fdt: readonly string[];
  })[];
  readonly defaultConfiguration?: string;
}

/** @throws TreewrightError `input/bad-device-tree`, or `input/bad-fit` when it is another kind of tree */
export function decodeFit(bytes: Uint8Array): FitContents {
  const root = decodeFdt(bytes);
  const images = root.children.get('images');
  const configurations = root.children.get('configurations');
  if (images === undefined) {
    throw new TreewrightError('input/bad-fit', 'a FIT image has a node /images; this is a plain device tree');
  }
  const text = (node: FdtNode | undefined, name: string): string | undefined => fdtStrings(node, name)?.[0];
  const chosen = text(configurations, 'default');
  return {
    images: [...images.children.values()].map((node) => ({
      ...partOf(node),
      ...defined({
        type: text(node, 'type'),
        arch: text(node, 'arch'),
        data: node.properties.get('data'),
      }),
    })),
    configurations: [...(configurations?.children.values() ?? [])].map((node) => ({
      ...partOf(node),
      ...defined({ kernel: text(node, 'kernel'), ramdisk: text(node, 'ramdisk') }),
      fdt: fdtStrings(node, 'fdt') ?? [],
    })),
    ...(chosen === undefined ? {} : { defaultConfiguration: chosen }),
  };
}

function partOf({ name, children }: FdtNode): FitPart {
  const signatures = [...children.values()].filter((child) => child.name.startsWith('signature'));
  return { name, signatures: signatures.map(({ properties }) => properties.get('value')?.length ?? 0) };
}

/** The members that are there. */
function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

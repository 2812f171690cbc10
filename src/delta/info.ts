import type { Checksum } from '../core/checksum.ts';
import type { Vardict } from '../formats/gvariant.ts';
import { lookup } from '../formats/gvariant.ts';
import type { ByteOrder } from '../formats/ostree-delta.ts';
import { appendVarint, readVarint } from '../formats/ostree-delta-part.ts';

/** One part of a delta. */
export interface DeltaPartInfo {
  /** Size of the file in bytes. */
  readonly size: number;
  readonly sha256: Checksum;
  /** Sum of the sizes of the objects it produces, in bytes. */
  readonly uncompressed: number;
}

/**
 * How a delta says an object: whole (`raw`), by a bspatch stream (`patch`), as copies from an old file and the rest
 * (`splice`); dirtree and dirmeta objects (`metadata`) and symlinks stand whole, fallbacks are left to a fetch.
 */
export const DELTA_FORMS = ['metadata', 'symlink', 'raw', 'patch', 'splice', 'fallback'] as const;
export type DeltaForm = (typeof DELTA_FORMS)[number];

export interface FormCount {
  readonly objects: number;
  /** Bytes of the objects themselves; of a symlink, its target. */
  readonly size: number;
  /** Bytes of payload they take before compression. */
  readonly payload: number;
}

export type DeltaForms = Readonly<Record<DeltaForm, FormCount>>;

/** Counts objects by form. */
export interface FormCounter {
  add(form: DeltaForm, size: number, payload: number): void;
  forms(): DeltaForms;
}

export function createFormCounter(): FormCounter {
  const counts = new Map<DeltaForm, FormCount>();
  return {
    add: (form, size, payload) => {
      const before = counts.get(form) ?? NONE;
      counts.set(form, {
        objects: before.objects + 1,
        size: before.size + size,
        payload: before.payload + payload,
      });
    },
    forms: () => formsOf((form) => counts.get(form) ?? NONE),
  };
}

const NONE: FormCount = { objects: 0, size: 0, payload: 0 };

function formsOf(count: (form: DeltaForm) => FormCount): DeltaForms {
  return Object.fromEntries(DELTA_FORMS.map((form) => [form, count(form)])) as Record<DeltaForm, FormCount>;
}

/** The counts under this key of our superblocks: they cannot be told from the superblock otherwise. */
export const FORMS_KEY = 'treewright.forms';
/** Objects, size and payload of each form in the order of `DELTA_FORMS`, as libostree's varints. */
const FORMS_TYPE = 'ay';

export function encodeForms(forms: DeltaForms): Vardict[number] {
  const numbers: number[] = [];
  for (const form of DELTA_FORMS) {
    const { objects, size, payload } = forms[form];
    for (const number of [objects, size, payload]) appendVarint(numbers, number);
  }
  return [FORMS_KEY, { signature: FORMS_TYPE, value: Uint8Array.from(numbers) }];
}

/** The counts in a superblock's metadata, or undefined when it has none. Throws `input/bad-delta`. */
export function decodeForms(metadata: Vardict): DeltaForms | undefined {
  const bytes = lookup(metadata, FORMS_KEY, FORMS_TYPE) as Uint8Array | undefined;
  if (bytes === undefined) return undefined;
  let at = 0;
  const next = (): number => {
    const { value, end } = readVarint(bytes, at);
    at = end;
    return value;
  };
  return formsOf(() => ({ objects: next(), size: next(), payload: next() }));
}

/** A finished delta, with exact sizes in bytes. */
export interface DeltaInfo {
  /** Absent for the delta from nothing. */
  readonly from?: Checksum | undefined;
  readonly to: Checksum;
  /** Directory relative to the repository; for a delta written elsewhere, that place. */
  readonly path: string;
  readonly superblock: { readonly size: number; readonly sha256: Checksum };
  readonly parts: readonly DeltaPartInfo[];
  /** True when the parts lie inside the superblock. */
  readonly inline: boolean;
  readonly byteOrder: ByteOrder;
  readonly signed: boolean;
  /** Objects the delta leaves to an ordinary fetch: size of the `.filez`, size of the content. */
  readonly fallbacks: readonly {
    readonly checksum: Checksum;
    readonly size: number;
    readonly uncompressed: number;
  }[];
  readonly forms: DeltaForms;
  /** What a device downloads with it: superblock, parts and fallbacks. */
  readonly bytes: number;
  /** What a device that has `from` downloads without it: `.filez`, dirtree, dirmeta and commit objects. */
  readonly looseBytes: number;
  /** True when the delta was there already, whole and made in the same way. */
  readonly reused: boolean;
}

/** Worker task: what a file that is compressed inside would cost in a delta if it were not. */
import { deflateRawSync, gunzipSync } from 'node:zlib';
import { concatBytes } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import { isTreewrightError } from '../core/errors.ts';
import { FDT_MAGIC } from '../formats/fdt.ts';
import { decodeFit } from '../formats/fit-image.ts';
import { filterBytes } from '../platform/processes.ts';
import { openStore } from '../platform/store.ts';
import { defineTask } from '../platform/workers.ts';
import { matchAnchors } from './anchors.ts';
import { loadContent } from './content.ts';
import { deflatedPatch } from './estimate-task.ts';

/** A new file and the old one in its place. */
export interface PlainItem {
  readonly checksum: Checksum;
  readonly size: number;
  readonly source: { readonly checksum: Checksum; readonly size: number };
}

/** The same file without its compression. Sizes in bytes. */
export interface PlainCost {
  readonly size: number;
  /** What it deflates to, as in its `.filez`. */
  readonly stored: number;
  /** What a patch over the old one's plain content deflates to; absent when they share nothing. */
  readonly deflatedPatch?: number;
}

/** A kernel of 64 MB becomes a few hundred when unpacked; beyond this a file is not looked at. */
const MAX_PLAIN = 512 << 20;

const FORMATS: readonly {
  readonly magic: readonly number[];
  readonly unpack: (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;
}[] = [
  { magic: [0x1f, 0x8b], unpack: (bytes) => gunzipSync(bytes, { maxOutputLength: MAX_PLAIN }) },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], unpack: (bytes) => filterBytes('xz', ['-d', '-c'], bytes) },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], unpack: (bytes) => filterBytes('zstd', ['-q', '-d', '-c'], bytes) },
];

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((value, i) => bytes[i] === value);
}

/** The content without the compression around it, or around the parts of a FIT image; undefined when there is none. */
async function plainContent(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  const format = FORMATS.find(({ magic }) => startsWith(bytes, magic));
  if (format !== undefined) return format.unpack(bytes);
  if (bytes.length < 4 || new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) !== FDT_MAGIC) {
    return undefined;
  }
  let packed = false;
  const parts: Uint8Array[] = [];
  for (const { data } of decodeFit(bytes).images) {
    if (data === undefined) continue;
    const inner = FORMATS.find(({ magic }) => startsWith(data, magic));
    packed ||= inner !== undefined;
    parts.push(inner === undefined ? data : await inner.unpack(data));
  }
  return packed ? concatBytes(parts) : undefined;
}

async function judge(repo: string, { checksum, size, source }: PlainItem): Promise<PlainCost | undefined> {
  const store = openStore(repo);
  try {
    const fresh = await plainContent(await loadContent(store, checksum, size));
    if (fresh === undefined) return undefined;
    const stored = deflateRawSync(fresh, { level: 1 }).length;
    const old = await plainContent(await loadContent(store, source.checksum, source.size));
    const segments = old === undefined ? undefined : matchAnchors(old, fresh);
    return {
      size: fresh.length,
      stored,
      ...(old === undefined || segments === undefined
        ? {}
        : { deflatedPatch: deflatedPatch(old, fresh, segments) }),
    };
  } catch (error) {
    // An odd file, or a program that is not here: there is no advice about it then.
    if (isTreewrightError(error) && !error.code.startsWith('trust/')) return undefined;
    if (error instanceof RangeError || (error instanceof Error && 'errno' in error)) return undefined;
    throw error;
  }
}

/** In the order of the items; undefined for what is not compressed in a way that is known here. */
export const judgePlain = defineTask(
  'delta/judge-plain',
  import.meta.url,
  async ({
    repo,
    items,
  }: {
    repo: string;
    items: readonly PlainItem[];
  }): Promise<(PlainCost | undefined)[]> => {
    const found: (PlainCost | undefined)[] = [];
    for (const item of items) found.push(await judge(repo, item));
    return found;
  },
);

/**
 * A reader of flattened device trees, the container of device tree blobs and of FIT images.
 * Source: devicetree specification v0.4, chapter 5.
 */
import { fromUtf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';

export const FDT_MAGIC = 0xd00dfeed;

const HEADER_SIZE = 40;
const BEGIN_NODE = 1;
const END_NODE = 2;
const PROP = 3;
const NOP = 4;
const END = 9;

/** Deeper trees are no device trees; libfdt stops at 32 in some of its callers. */
const MAX_DEPTH = 64;

export interface FdtNode {
  /** Empty for the root. */
  readonly name: string;
  /** Values are views of the blob. */
  readonly properties: ReadonlyMap<string, Uint8Array>;
  readonly children: ReadonlyMap<string, FdtNode>;
}

function fail(problem: string): never {
  throw new TreewrightError('input/bad-device-tree', `flattened device tree: ${problem}`);
}

/**
 * The root of the tree. Bytes after the end that the header names are allowed: images with data outside have them.
 *
 * @throws TreewrightError `input/bad-device-tree`
 */
export function decodeFdt(blob: Uint8Array): FdtNode {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  if (blob.length < HEADER_SIZE || view.getUint32(0) !== FDT_MAGIC) fail('it does not begin with d00dfeed');
  const total = view.getUint32(4);
  if (total > blob.length) fail(`its header says ${total} bytes, there are ${blob.length}`);
  if (view.getUint32(24) > 17 || view.getUint32(20) < 17) {
    fail(`versions ${view.getUint32(24)} to ${view.getUint32(20)} do not include 17`);
  }
  const block = (offsetAt: number, sizeAt: number, what: string): [number, number] => {
    const offset = view.getUint32(offsetAt);
    const size = view.getUint32(sizeAt);
    if (offset < HEADER_SIZE || offset + size > total) fail(`the ${what} block lies outside`);
    return [offset, offset + size];
  };
  const [strings, stringsEnd] = block(12, 32, 'strings');
  const [start, structEnd] = block(8, 36, 'structure');
  if (start % 4 !== 0) fail('the structure block is not aligned');

  const text = (from: number, end: number): string => {
    const length = blob.subarray(from, end).indexOf(0);
    const found = length < 0 ? undefined : fromUtf8(blob.subarray(from, from + length));
    return found ?? fail(`no name ends at byte ${from}`);
  };
  let at = start;
  const u32 = (): number => {
    if (at + 4 > structEnd) fail('the structure block ends within a node');
    at += 4;
    return view.getUint32(at - 4);
  };
  const names = new Map<number, string>();
  const readNode = (depth: number): FdtNode => {
    if (depth > MAX_DEPTH) fail(`nodes are nested deeper than ${MAX_DEPTH}`);
    const name = text(at, structEnd);
    at = aligned(at + name.length + 1);
    const properties = new Map<string, Uint8Array>();
    const children = new Map<string, FdtNode>();
    for (;;) {
      const token = u32();
      if (token === END_NODE) return { name, properties, children };
      if (token === NOP) continue;
      if (token === BEGIN_NODE) {
        const child = readNode(depth + 1);
        if (children.has(child.name)) fail(`the node ${JSON.stringify(child.name)} is there twice`);
        children.set(child.name, child);
        continue;
      }
      if (token !== PROP || children.size > 0) fail(`token ${token} at byte ${at - 4}`);
      const length = u32();
      const nameAt = strings + u32();
      if (nameAt >= stringsEnd || at + length > structEnd) fail(`a property of ${name} lies outside`);
      const property = names.get(nameAt) ?? text(nameAt, stringsEnd);
      names.set(nameAt, property);
      properties.set(property, blob.subarray(at, at + length));
      at = aligned(at + length);
    }
  };
  const token = u32();
  if (token !== BEGIN_NODE) fail(`token ${token} where the root should begin`);
  const root = readNode(0);
  if (root.name !== '') fail('the root has a name');
  while (at < structEnd) {
    const rest = u32();
    if (rest === END) return root;
    if (rest !== NOP) break;
  }
  return fail('nothing says that the structure block ends');
}

function aligned(offset: number): number {
  return (offset + 3) & ~3;
}

/** A string property: its texts; undefined when it is absent or not text. */
export function fdtStrings(node: FdtNode | undefined, property: string): string[] | undefined {
  const value = node?.properties.get(property);
  const text = value === undefined ? undefined : fromUtf8(value);
  return text?.endsWith('\0') === true ? text.slice(0, -1).split('\0') : undefined;
}

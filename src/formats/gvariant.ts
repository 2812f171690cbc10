/**
 * GVariant serialisation, the wire format of every OSTree structure.
 *
 * A codec knows its type string, its alignment and, for fixed-size types, its size; it encodes a value to bytes
 * and decodes exactly those bytes again. Decoding is strict: only the normal form is accepted, so that
 * `encode(decode(bytes))` is always `bytes`. Source: the GVariant specification, sections 2.3 to 2.7.
 */
import { concatBytes, fromUtf8, utf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';

/** One GVariant type. `size` is present for fixed-size types only, in bytes. */
export interface Codec<T> {
  readonly signature: string;
  readonly align: 1 | 2 | 4 | 8;
  readonly size?: number;
  encode(value: T): Uint8Array;
  /** Throws `input/bad-gvariant` unless `bytes` are the normal form of a value. */
  decode(bytes: Uint8Array): T;
}

/** The value type of a codec. */
export type ValueOf<C> = C extends Codec<infer T> ? T : never;

function fail(signature: string, problem: string): never {
  throw new TreewrightError('input/bad-gvariant', `GVariant ${signature}: ${problem}`, {
    data: { signature },
  });
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function fixed<T>(
  signature: string,
  size: 1 | 2 | 4 | 8,
  put: (view: DataView, value: T) => void,
  get: (view: DataView) => T,
): Codec<T> {
  return {
    signature,
    align: size,
    size,
    encode: (value) => {
      const bytes = new Uint8Array(size);
      put(viewOf(bytes), value);
      return bytes;
    },
    decode: (bytes) => {
      if (bytes.length !== size) fail(signature, `expected ${size} bytes, found ${bytes.length}`);
      return get(viewOf(bytes));
    },
  };
}

function safeFromBigInt(signature: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER)) {
    fail(signature, `the number ${value.toString()} is beyond 2^53`);
  }
  return Number(value);
}

/** `y` */
export const byte: Codec<number> = fixed(
  'y',
  1,
  (v, n) => v.setUint8(0, n),
  (v) => v.getUint8(0),
);
/** `b`; any byte but 0 and 1 is refused. */
export const boolean: Codec<boolean> = fixed(
  'b',
  1,
  (v, on) => v.setUint8(0, on ? 1 : 0),
  (v) => (v.getUint8(0) > 1 ? fail('b', 'a boolean is neither 0 nor 1') : v.getUint8(0) === 1),
);
const u16: Codec<number> = fixed(
  'q',
  2,
  (v, n) => v.setUint16(0, n, true),
  (v) => v.getUint16(0, true),
);
const i16: Codec<number> = fixed(
  'n',
  2,
  (v, n) => v.setInt16(0, n, true),
  (v) => v.getInt16(0, true),
);
/** `u` in little-endian byte order, as a GVariant made on the build host has it. */
export const u32le: Codec<number> = fixed(
  'u',
  4,
  (v, n) => v.setUint32(0, n, true),
  (v) => v.getUint32(0, true),
);
/** `u` in big-endian byte order, as OSTree stores owners and modes. */
export const u32be: Codec<number> = fixed(
  'u',
  4,
  (v, n) => v.setUint32(0, n),
  (v) => v.getUint32(0),
);
const i32: Codec<number> = fixed(
  'i',
  4,
  (v, n) => v.setInt32(0, n, true),
  (v) => v.getInt32(0, true),
);
/** `t` in little-endian byte order; beyond 2^53 is refused. */
export const u64le: Codec<number> = fixed(
  't',
  8,
  (v, n) => v.setBigUint64(0, BigInt(n), true),
  (v) => safeFromBigInt('t', v.getBigUint64(0, true)),
);
/** `t` in big-endian byte order, as OSTree stores sizes and timestamps; beyond 2^53 is refused. */
export const u64be: Codec<number> = fixed(
  't',
  8,
  (v, n) => v.setBigUint64(0, BigInt(n)),
  (v) => safeFromBigInt('t', v.getBigUint64(0)),
);
/** `t` and `x` inside a variant: any 64-bit value, since OSTree keeps big-endian numbers swapped there. */
const anyU64: Codec<bigint> = fixed(
  't',
  8,
  (v, n) => v.setBigUint64(0, n, true),
  (v) => v.getBigUint64(0, true),
);
const anyI64: Codec<bigint> = fixed(
  'x',
  8,
  (v, n) => v.setBigInt64(0, n, true),
  (v) => v.getBigInt64(0, true),
);
const f64: Codec<number> = fixed(
  'd',
  8,
  (v, n) => v.setFloat64(0, n, true),
  (v) => v.getFloat64(0, true),
);

/** `s`: UTF-8 with a NUL after it and none inside. */
export const string: Codec<string> = {
  signature: 's',
  align: 1,
  encode: (text) => {
    if (text.includes('\0') || !text.isWellFormed()) fail('s', 'the string has a NUL or a lone surrogate');
    const bytes = utf8(text);
    const out = new Uint8Array(bytes.length + 1);
    out.set(bytes);
    return out;
  },
  decode: (bytes) => {
    if (bytes.length === 0 || bytes[bytes.length - 1] !== 0) fail('s', 'the string does not end in NUL');
    const body = bytes.subarray(0, -1);
    if (body.includes(0)) fail('s', 'the string has a NUL inside');
    return fromUtf8(body) ?? fail('s', 'the string is not valid UTF-8');
  },
};

/** `ay`: the bytes as they are. Decoding does not copy. */
export const bytestring: Codec<Uint8Array> = {
  signature: 'ay',
  align: 1,
  encode: (bytes) => bytes,
  decode: (bytes) => bytes,
};

function alignUp(offset: number, align: number): number {
  // Not with bit operators: they would wrap beyond 2 GiB.
  return offset + ((align - (offset % align)) % align);
}

/** Bytes of one framing offset for a container whose values take `body` bytes and that stores `count` offsets. */
function offsetSizeFor(body: number, count: number): 0 | 1 | 2 | 4 | 8 {
  if (count === 0) return 0;
  if (body + count <= 0xff) return 1;
  if (body + 2 * count <= 0xffff) return 2;
  if (body + 4 * count <= 0xffffffff) return 4;
  return 8;
}

/** Bytes of one framing offset inside a serialised container of `total` bytes. */
function offsetSizeIn(total: number): 1 | 2 | 4 | 8 {
  if (total <= 0xff) return 1;
  if (total <= 0xffff) return 2;
  if (total <= 0xffffffff) return 4;
  return 8;
}

function putOffset(out: Uint8Array, at: number, size: number, value: number): void {
  let rest = value;
  for (let i = 0; i < size; i++) {
    out[at + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

function getOffset(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = value * 256 + (bytes[at + i] ?? 0);
  return value;
}

function checkPadding(signature: string, bytes: Uint8Array, from: number, to: number): void {
  if (to > bytes.length) fail(signature, `needs ${to} bytes, found ${bytes.length}`);
  for (let i = from; i < to; i++) if (bytes[i] !== 0) fail(signature, `padding byte ${i} is not zero`);
}

/** `aX`. */
export function array<T>(element: Codec<T>): Codec<T[]> {
  const signature = `a${element.signature}`;
  const fixedSize = element.size;
  if (fixedSize !== undefined) {
    return {
      signature,
      align: element.align,
      encode: (values) => concatBytes(values.map((value) => element.encode(value))),
      decode: (bytes) => {
        if (bytes.length % fixedSize !== 0) fail(signature, `${bytes.length} bytes are not whole elements`);
        const values: T[] = [];
        for (let at = 0; at < bytes.length; at += fixedSize) {
          values.push(element.decode(bytes.subarray(at, at + fixedSize)));
        }
        return values;
      },
    };
  }
  return {
    signature,
    align: element.align,
    encode: (values) => {
      const encoded = values.map((value) => element.encode(value));
      let body = 0;
      for (const bytes of encoded) body = alignUp(body, element.align) + bytes.length;
      const offsetSize = offsetSizeFor(body, encoded.length);
      const out = new Uint8Array(body + offsetSize * encoded.length);
      let at = 0;
      encoded.forEach((bytes, i) => {
        at = alignUp(at, element.align);
        out.set(bytes, at);
        at += bytes.length;
        putOffset(out, body + i * offsetSize, offsetSize, at);
      });
      return out;
    },
    decode: (bytes) => {
      if (bytes.length === 0) return [];
      const offsetSize = offsetSizeIn(bytes.length);
      const body = getOffset(bytes, bytes.length - offsetSize, offsetSize);
      const table = bytes.length - body;
      if (body > bytes.length || table === 0 || table % offsetSize !== 0) fail(signature, 'bad offset table');
      const count = table / offsetSize;
      if (offsetSizeFor(body, count) !== offsetSize) fail(signature, 'offsets are wider than needed');
      const values: T[] = [];
      let at = 0;
      for (let i = 0; i < count; i++) {
        const start = alignUp(at, element.align);
        const end = getOffset(bytes, body + i * offsetSize, offsetSize);
        if (end < start || end > body)
          fail(signature, `element ${i} ends at ${end}, outside ${start}..${body}`);
        checkPadding(signature, bytes, at, start);
        values.push(element.decode(bytes.subarray(start, end)));
        at = end;
      }
      return values;
    },
  };
}

/** `(XY...)`; also used for dictionary entries, which serialise alike. */
function structure<T extends readonly unknown[]>(
  signature: string,
  members: { readonly [K in keyof T]: Codec<T[K]> },
): Codec<T> {
  // A mapped tuple type loses its array methods; the members are codecs of some value each.
  const codecs = members as readonly Codec<unknown>[];
  const align = Math.max(1, ...codecs.map((codec) => codec.align)) as Codec<T>['align'];
  const last = codecs.length - 1;
  const framed = codecs.filter((codec, i) => codec.size === undefined && i !== last).length;
  let fixedSize: number | undefined = 0;
  for (const codec of codecs) {
    fixedSize =
      codec.size === undefined || fixedSize === undefined
        ? undefined
        : alignUp(fixedSize, codec.align) + codec.size;
  }
  if (fixedSize !== undefined) fixedSize = codecs.length === 0 ? 1 : alignUp(fixedSize, align);

  return {
    signature,
    align,
    ...(fixedSize === undefined ? {} : { size: fixedSize }),
    encode: (values) => {
      if (codecs.length === 0) return new Uint8Array(1);
      const encoded = codecs.map((codec, i) => codec.encode(values[i]));
      let body = 0;
      encoded.forEach((bytes, i) => {
        body = alignUp(body, codecs[i]?.align ?? 1) + bytes.length;
      });
      if (fixedSize !== undefined) body = fixedSize;
      const offsetSize = offsetSizeFor(body, framed);
      const out = new Uint8Array(body + offsetSize * framed);
      let at = 0;
      let offsetAt = out.length;
      encoded.forEach((bytes, i) => {
        const codec = codecs[i];
        at = alignUp(at, codec?.align ?? 1);
        out.set(bytes, at);
        at += bytes.length;
        // Framing offsets of a structure stand at its end in reverse order.
        if (codec?.size === undefined && i !== last) {
          offsetAt -= offsetSize;
          putOffset(out, offsetAt, offsetSize, at);
        }
      });
      return out;
    },
    decode: (bytes) => {
      if (fixedSize !== undefined && bytes.length !== fixedSize) {
        fail(signature, `expected ${fixedSize} bytes, found ${bytes.length}`);
      }
      const offsetSize = framed === 0 ? 0 : offsetSizeIn(bytes.length);
      const bodyEnd = bytes.length - framed * offsetSize;
      if (bodyEnd < 0) fail(signature, 'too short for its offsets');
      if (framed > 0 && offsetSizeFor(bodyEnd, framed) !== offsetSize) {
        fail(signature, 'offsets are wider than needed');
      }
      const values: unknown[] = [];
      let at = 0;
      let offsetAt = bytes.length;
      codecs.forEach((codec, i) => {
        const start = alignUp(at, codec.align);
        let end: number;
        if (codec.size !== undefined) end = start + codec.size;
        else if (i === last) end = bodyEnd;
        else {
          offsetAt -= offsetSize;
          end = getOffset(bytes, offsetAt, offsetSize);
        }
        if (end < start || end > bodyEnd)
          fail(signature, `member ${i} ends at ${end}, outside ${start}..${bodyEnd}`);
        checkPadding(signature, bytes, at, start);
        values.push(codec.decode(bytes.subarray(start, end)));
        at = end;
      });
      checkPadding(signature, bytes, at, bodyEnd);
      if (fixedSize === undefined && at !== bodyEnd) fail(signature, `${bodyEnd - at} bytes left over`);
      return values as unknown as T;
    },
  };
}

/** `(XY...)`. */
export function tuple<T extends readonly unknown[]>(
  ...members: { readonly [K in keyof T]: Codec<T[K]> }
): Codec<T> {
  const codecs = members as readonly Codec<unknown>[];
  return structure<T>(`(${codecs.map((codec) => codec.signature).join('')})`, members);
}

/** `{KV}`. */
export function dictEntry<K, V>(key: Codec<K>, value: Codec<V>): Codec<readonly [K, V]> {
  return structure<readonly [K, V]>(`{${key.signature}${value.signature}}`, [key, value]);
}

/** `mX`. */
export function maybe<T>(element: Codec<T>): Codec<T | undefined> {
  const signature = `m${element.signature}`;
  return {
    signature,
    align: element.align,
    encode: (value) => {
      if (value === undefined) return new Uint8Array(0);
      const bytes = element.encode(value);
      return element.size === undefined ? concatBytes([bytes, new Uint8Array(1)]) : bytes;
    },
    decode: (bytes) => {
      if (bytes.length === 0) return undefined;
      if (element.size !== undefined) return element.decode(bytes);
      if (bytes[bytes.length - 1] !== 0) fail(signature, 'a present value does not end in a zero byte');
      return element.decode(bytes.subarray(0, -1));
    },
  };
}

/**
 * A value with its own type, `v`. Integers inside are little-endian, 64-bit ones are bigints; what OSTree stores
 * big-endian inside a variant keeps its swapped value, as it does in libostree.
 */
export interface Variant {
  readonly signature: string;
  readonly value: unknown;
}

/** `v`. */
export const variant: Codec<Variant> = {
  signature: 'v',
  align: 8,
  encode: ({ signature, value }) =>
    concatBytes([codecFor(signature).encode(value), new Uint8Array(1), utf8(signature)]),
  decode: (bytes) => {
    const separator = bytes.lastIndexOf(0);
    if (separator < 0) fail('v', 'the variant has no type string');
    const signature = fromUtf8(bytes.subarray(separator + 1)) ?? fail('v', 'the type string is not text');
    return { signature, value: codecFor(signature).decode(bytes.subarray(0, separator)) };
  },
};

/** `a{sv}` as ordered entries: OSTree's checksums depend on the order. */
export type Vardict = readonly (readonly [string, Variant])[];

/** `a{sv}`. */
export const vardict: Codec<(readonly [string, Variant])[]> = array(dictEntry(string, variant));

/** The value stored under `key`, when it is there with exactly this type. */
export function lookup(dict: Vardict, key: string, signature: string): unknown {
  const found = dict.find(([name]) => name === key)?.[1];
  return found?.signature === signature ? found.value : undefined;
}

const BASIC: Readonly<Record<string, Codec<unknown>>> = Object.fromEntries(
  [byte, boolean, i16, u16, i32, u32le, anyI64, anyU64, f64, string, variant]
    .map((codec) => codec as Codec<unknown>)
    .map((codec) => [codec.signature, codec]),
);

/** Nesting that no OSTree structure comes near; stops a hostile type string from exhausting the stack. */
const MAX_DEPTH = 32;
const codecCache = new Map<string, Codec<unknown>>();

/** Turns the byte order of a 64-bit number round, for what OSTree keeps big-endian inside variants. */
export function swap64(value: bigint): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt.asUintN(64, value));
  return view.getBigUint64(0, true);
}

/** The codec of one complete type string, integers little-endian, 64-bit ones as bigints. */
export function codecFor(signature: string): Codec<unknown> {
  const cached = codecCache.get(signature);
  if (cached) return cached;
  const [codec, end] = parseType(signature, 0, 0);
  if (end !== signature.length) fail(signature, 'is not one complete type');
  if (codecCache.size < 256) codecCache.set(signature, codec);
  return codec;
}

function parseType(text: string, at: number, depth: number): [Codec<unknown>, number] {
  if (depth > MAX_DEPTH) fail(text, 'is nested too deep');
  const letter = text[at] ?? fail(text, 'ends too early');
  const basic = BASIC[letter];
  if (basic) return [basic, at + 1];
  if (letter === 'o' || letter === 'g') return [string, at + 1];
  if (letter === 'a' || letter === 'm') {
    const [element, end] = parseType(text, at + 1, depth + 1);
    if (letter === 'm') return [maybe(element), end];
    return [element === BASIC['y'] ? bytestring : array(element), end];
  }
  if (letter !== '(' && letter !== '{') fail(text, `has the unknown type letter ${JSON.stringify(letter)}`);
  const close = letter === '(' ? ')' : '}';
  const members: Codec<unknown>[] = [];
  let next = at + 1;
  while (text[next] !== close) {
    const [member, end] = parseType(text, next, depth + 1);
    members.push(member);
    next = end;
  }
  if (letter === '{' && members.length !== 2)
    fail(text, 'has a dictionary entry without exactly two members');
  return [structure<unknown[]>(text.slice(at, next + 1), members), next + 1];
}

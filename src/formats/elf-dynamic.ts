/** What an ELF program needs at run time. Source: System V ABI, chapter 5, "Dynamic Linking". */
import { fromUtf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';
import { decodeElfHeader } from './elf.ts';

export interface ElfDynamic {
  readonly bits: 32 | 64;
  readonly machine: number;
  /** The program interpreter, such as /lib/ld-linux-aarch64.so.1; absent in libraries and static programs. */
  readonly interpreter?: string;
  /** Names of needed libraries, in order. */
  readonly needed: readonly string[];
  readonly soname?: string;
  /** Colon-separated directories; RPATH counts only without RUNPATH. */
  readonly rpath?: string;
  readonly runpath?: string;
}

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const TAGS = { needed: 1, strtab: 5, strsz: 10, soname: 14, rpath: 15, runpath: 29 } as const;

/** Reads the whole file `bytes`; undefined when it is not ELF. Throws `input/bad-elf` for a damaged one. */
export function decodeElfDynamic(bytes: Uint8Array): ElfDynamic | undefined {
  const header = decodeElfHeader(bytes);
  if (header === undefined) return undefined;
  const { bits, endian, machine } = header;
  const little = endian === 'little';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bad = (what: string): TreewrightError =>
    new TreewrightError('input/bad-elf', `the ELF file is damaged: ${what}`);
  const need = (at: number, size: number): void => {
    if (!Number.isSafeInteger(at) || at < 0 || at + size > bytes.length) throw bad(`${at} is beyond its end`);
  };
  const u16 = (at: number): number => {
    need(at, 2);
    return view.getUint16(at, little);
  };
  const u32 = (at: number): number => {
    need(at, 4);
    return view.getUint32(at, little);
  };
  /** A word of the file's class. */
  const word = (at: number): number => {
    if (bits === 32) return u32(at);
    need(at, 8);
    return Number(view.getBigUint64(at, little));
  };
  const wide = bits === 64;
  const table = word(wide ? 32 : 28);
  const size = u16(wide ? 54 : 42);
  const count = u16(wide ? 56 : 44);
  const segments = Array.from({ length: count }, (_, i) => {
    const at = table + i * size;
    return {
      type: u32(at),
      offset: word(at + (wide ? 8 : 4)),
      address: word(at + (wide ? 16 : 8)),
      length: word(at + (wide ? 32 : 16)),
    };
  });
  const text = (start: number, end: number): string => {
    need(start, 0);
    const zero = bytes.indexOf(0, start);
    const found = zero < 0 || zero >= end ? undefined : fromUtf8(bytes.subarray(start, zero));
    if (found === undefined) throw bad(`no text at ${start}`);
    return found;
  };
  const interp = segments.find(({ type }) => type === PT_INTERP);
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  const entries = new Map<number, number[]>();
  if (dynamic !== undefined) {
    const step = wide ? 16 : 8;
    for (let at = dynamic.offset; at + step <= dynamic.offset + dynamic.length; at += step) {
      const tag = word(at);
      if (tag === 0) break;
      const values = entries.get(tag);
      const value = word(at + step / 2);
      if (values) values.push(value);
      else entries.set(tag, [value]);
    }
  }
  const [strtab] = entries.get(TAGS.strtab) ?? [];
  const [strsz = 0] = entries.get(TAGS.strsz) ?? [];
  const holder = segments.find(
    ({ type, address, length }) =>
      type === PT_LOAD && strtab !== undefined && strtab >= address && strtab < address + length,
  );
  const strings =
    holder === undefined || strtab === undefined ? undefined : strtab - holder.address + holder.offset;
  const named = (tag: number): string[] =>
    (entries.get(tag) ?? []).map((offset) => {
      if (strings === undefined || offset >= strsz) throw bad('its string table is missing');
      return text(strings + offset, strings + strsz);
    });
  const [soname] = named(TAGS.soname);
  const [rpath] = named(TAGS.rpath);
  const [runpath] = named(TAGS.runpath);
  return {
    bits,
    machine,
    ...(interp === undefined ? {} : { interpreter: text(interp.offset, interp.offset + interp.length) }),
    needed: named(TAGS.needed),
    ...(soname === undefined ? {} : { soname }),
    ...(rpath === undefined ? {} : { rpath }),
    ...(runpath === undefined ? {} : { runpath }),
  };
}

/** The head of an ELF file: what machine it is for. Source: System V ABI, chapter 4, "ELF Header". */

/** Bytes `decodeElfHeader` needs. */
export const ELF_HEADER_SIZE = 20;

export interface ElfHeader {
  readonly bits: 32 | 64;
  readonly endian: 'little' | 'big';
  /** `e_type`: 2 is an executable, 3 a shared object or position-independent executable. */
  readonly type: number;
  /** `e_machine` of the ABI's registry. */
  readonly machine: number;
}

/** The first 20 bytes of a file, or undefined when it is not ELF. */
export function decodeElfHeader(bytes: Uint8Array): ElfHeader | undefined {
  if (bytes.length < ELF_HEADER_SIZE) return undefined;
  if (bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) return undefined;
  const bits = bytes[4] === 1 ? 32 : bytes[4] === 2 ? 64 : undefined;
  const endian = bytes[5] === 1 ? 'little' : bytes[5] === 2 ? 'big' : undefined;
  if (bits === undefined || endian === undefined) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    bits,
    endian,
    type: view.getUint16(16, endian === 'little'),
    machine: view.getUint16(18, endian === 'little'),
  };
}

/** `e_machine` values of the processors embedded Linux runs on. */
const EM = {
  i386: 3,
  mips: 8,
  ppc: 20,
  ppc64: 21,
  s390: 22,
  arm: 40,
  x86_64: 62,
  aarch64: 183,
  riscv: 243,
  loong: 258,
};

/**
 * The name `uname -m` would print. 32-bit ARM does not tell its version in the header;
 * `armv7l` is what nearly every Linux-capable core reports.
 */
export function elfArchitecture({ bits, endian, machine }: ElfHeader): string | undefined {
  const big = endian === 'big';
  switch (machine) {
    case EM.i386:
      return 'i686';
    case EM.mips:
      return bits === 64 ? 'mips64' : 'mips';
    case EM.ppc:
      return 'ppc';
    case EM.ppc64:
      return big ? 'ppc64' : 'ppc64le';
    case EM.s390:
      return bits === 64 ? 's390x' : 's390';
    case EM.arm:
      return big ? 'armv7b' : 'armv7l';
    case EM.x86_64:
      return 'x86_64';
    case EM.aarch64:
      return big ? 'aarch64_be' : 'aarch64';
    case EM.riscv:
      return bits === 64 ? 'riscv64' : 'riscv32';
    case EM.loong:
      return bits === 64 ? 'loongarch64' : 'loongarch32';
    default:
      return undefined;
  }
}

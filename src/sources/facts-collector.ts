/** Picks up what facts need while content streams by, since nothing of it can be read again later. */
import type { Checksum } from '../core/checksum.ts';
import { fromUtf8 } from '../core/bytes.ts';
import { ELF_HEADER_SIZE, decodeElfHeader, elfArchitecture } from '../formats/elf.ts';
import { createReleaseScanner } from '../formats/kernel-image.ts';
import type { KernelFormat, ReleaseScanner } from '../formats/kernel-image.ts';

/** /etc/os-release may be a link to any file of that name; larger ones are not what they claim to be. */
const TEXTS = /(^|\/)os-release[^/]*$/;
const TEXT_LIMIT = 64 * 1024;
const PROGRAM = /^(usr\/)?s?bin\/[^/]+$/;
const KERNEL = /^boot\/[^/]+$|^(usr\/)?lib\/modules\/[^/]+\/vmlinuz$/;

export interface KernelProbe {
  readonly format: KernelFormat;
  readonly release?: string;
}

/** A regular file's content on its way to the sink. */
export interface Watched {
  readonly content: Uint8Array | AsyncIterable<Uint8Array>;
  /** Ties what was seen to the checksum the sink gave, so that links and moves do not lose it. */
  stored(checksum: Checksum): void;
}

export interface FactsCollector {
  watch(path: string, size: number, content: Uint8Array | AsyncIterable<Uint8Array>): Watched;
  text(checksum: Checksum): string | undefined;
  kernel(checksum: Checksum): KernelProbe | undefined;
  /** The machine most programs are for, as `uname -m` prints it. */
  architecture(): string | undefined;
}

/** What a scanner that saw everything knows. */
export function probe(scanner: ReleaseScanner): KernelProbe {
  const release = scanner.release();
  return { format: scanner.format(), ...(release === undefined ? {} : { release }) };
}

const NOTHING = (): void => undefined;

export function createFactsCollector(): FactsCollector {
  const machines = new Map<string, number>();
  const texts = new Map<Checksum, string>();
  const kernels = new Map<Checksum, KernelProbe>();

  const program = (head: Uint8Array): void => {
    const elf = decodeElfHeader(head);
    const machine = elf === undefined ? undefined : elfArchitecture(elf);
    if (machine !== undefined) machines.set(machine, (machines.get(machine) ?? 0) + 1);
  };

  const watchBytes = (path: string, size: number, content: Uint8Array): Watched => {
    if (PROGRAM.test(path)) program(content.subarray(0, ELF_HEADER_SIZE));
    if (TEXTS.test(path) && size <= TEXT_LIMIT) {
      const text = fromUtf8(content);
      if (text !== undefined) return { content, stored: (checksum) => void texts.set(checksum, text) };
    }
    if (KERNEL.test(path)) {
      const scanner = createReleaseScanner();
      scanner.push(content);
      return { content, stored: (checksum) => void kernels.set(checksum, probe(scanner)) };
    }
    return { content, stored: NOTHING };
  };

  const watchStream = (path: string, content: AsyncIterable<Uint8Array>): Watched => {
    if (PROGRAM.test(path)) {
      let first = true;
      const look = (chunk: Uint8Array): boolean => {
        if (first) program(chunk.subarray(0, ELF_HEADER_SIZE));
        return (first = false);
      };
      return { content: tap(content, look), stored: NOTHING };
    }
    if (KERNEL.test(path)) {
      const scanner = createReleaseScanner();
      return {
        content: tap(content, (chunk) => scanner.push(chunk)),
        stored: (checksum) => void kernels.set(checksum, probe(scanner)),
      };
    }
    return { content, stored: NOTHING };
  };

  return {
    watch: (path, size, content) =>
      content instanceof Uint8Array ? watchBytes(path, size, content) : watchStream(path, content),
    text: (checksum) => texts.get(checksum),
    kernel: (checksum) => kernels.get(checksum),
    architecture: () => [...machines].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0]?.[0],
  };
}

/** Passes chunks on and shows them to `look` until it answers false. */
export async function* tap(
  content: AsyncIterable<Uint8Array>,
  look: (chunk: Uint8Array) => boolean,
): AsyncGenerator<Uint8Array> {
  let wanted = true;
  for await (const chunk of content) {
    if (wanted) wanted = look(chunk);
    yield chunk;
  }
}
